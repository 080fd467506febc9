"""Real videos become clips: every trap repaired or named, the same bytes whoever made them and however often killed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prepare_corpora import Answers, Wanted
from prepare_results import (
    LIMITS,
    MISSING,
    prepared,  # noqa: F401
)
from prepare_videos import correlation, lips, marks, person

from playmate_core.weights import files as weights
from training import stage1, stage2
from training.data import load_clips
from training.prepare import PrepareConfig, prepare
from training.prepare.manifest import read_manifest
from training.prepared import members, read_shards

#: Four minutes of videos; the single steps and the layouts are tested in every run.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install 'playmate-portrait[train]'"
    ),
]


def rows_of(out: Path, source: str) -> list[dict[str, Any]]:
    found = [row for row in read_manifest(out) if row["source"] == source]
    return sorted(found, key=lambda row: row["t0"])


def cases() -> list[tuple[str, str]]:
    names = {
        "plain": (
            *("tv.mp4", "cinema.mp4", "uneven.mp4", "cut.mp4", "two.mp4", "mute.mp4", "late.mp4", "silent.mp4"),
            *("frozen.mp4", "lost8.mp4", "lost3.mp4", "phone.mp4", "short.mp4", "broken.mp4", "empty.mp4", "gone.mp4"),
        ),
        "avspeech": (
            *("avspeech/twofaces001/0/0.75,0.5", "avspeech/twofaces001/0/0.25,0.5"),
            *("avspeech/cutoutfilm1/12.34/0.5,0.5", "avspeech/gonefilm001/0/0.5,0.5", "avspeech_train.csv:5"),
        ),
        "celebvtext": ("celebvtext/celebritiesA_0", "celebvtext/celebritiesB_7"),
        "acappella": ("acappella/singerfilm1/1/0",),
        "mead": (
            *("M003/video/front/happy/level_2/001.mp4", "W009/video/front/neutral/level_1/001.mp4"),
            "W009/video/front/sad/level_1/001.mp4",
        ),
        "mafw": ("mafw/00001", "mafw/00002"),
        "hdtf": ("hdtf/WDA/JaneDoe0/0", "hdtf/RD/Radio1/0"),
    }
    return [(layout, name) for layout, some in names.items() for name in some]


@pytest.mark.parametrize(("layout", "source"), cases())
def test_every_trap_is_repaired_or_rejected_with_its_reason(
    prepared: dict[str, tuple[Path, Answers]], layout: str, source: str
) -> None:
    out, answers = prepared[layout]
    rows = rows_of(out, source)
    assert len(rows) == len(answers[source]), rows
    for row, wanted in zip(rows, answers[source], strict=True):
        assert row["reason"] == wanted.reason, (row["detail"], row["scores"])
        assert row["kept"] == (not wanted.reason) and bool(row["shard"]) == row["kept"]
        assert wanted.flag in row["flags"] or not wanted.flag
        if row["kept"]:
            compare_with_truth(out, row, wanted)


def compare_with_truth(out: Path, row: dict[str, Any], wanted: Wanted) -> None:
    """Yaw, lips and sound of a clip against what was drawn and said."""
    shard = out / row["shard"]
    clip = next(clip for clip in read_shards([shard]) if clip.id == row["shard_key"])
    truth = person(wanted.seed, wanted.seconds)
    start = round(row["t0"] * 25) if wanted.first >= 0 else round(row["t0"] * 25 + wanted.first)
    if wanted.first > 0:
        assert start == wanted.first
    true = truth.motion[start : start + len(clip)]
    assert len(true) >= len(clip) - 1 and len(clip) >= 75
    n = len(true)
    yaw = (clip.motion.pose.rotation[:n, 1] - true.pose.rotation[:, 1]).abs()
    assert float(yaw.mean()) <= 1.5
    lags = {
        shift: correlation(lips(clip.motion.expression)[5 + shift : n - 5 + shift], lips(true.expression)[5 : n - 5])
        for shift in range(-5, 6)
    }
    moved = max(lags, key=lags.__getitem__)  # how late the pictures are
    assert max(lags.values()) >= 0.95 and abs(moved) <= 1 and lags[0] >= 0.95
    sound = sound_lag(clip.waveform.numpy(), truth.waveform.numpy()[start * 640 : (start + n) * 640])
    assert abs(sound / 640 - moved) <= 1.0, f"sound {sound / 640:.2f} frames late, pictures {moved}"


def sound_lag(heard: np.ndarray, said: np.ndarray) -> int:
    """By how many samples ``heard`` is late."""
    n = min(len(heard), len(said))
    spectrum = np.fft.rfft(heard[:n], 2 * n) * np.conj(np.fft.rfft(said[:n], 2 * n))
    values = np.fft.irfft(spectrum, 2 * n)
    best = int(values.argmax())
    return best if best < n else best - 2 * n


def test_the_same_content_is_kept_once(prepared: dict[str, tuple[Path, Answers]]) -> None:
    out, _ = prepared["plain"]
    one, other = rows_of(out, "steady.mp4")[0], rows_of(out, "again.mp4")[0]
    assert sorted([one["reason"], other["reason"]]) == ["", "duplicate"] and one["clip_id"] == other["clip_id"]


def test_labels_times_and_licences_reach_the_manifest_and_the_shards(prepared: dict[str, tuple[Path, Answers]]) -> None:
    out, _ = prepared["mead"]
    happy = rows_of(out, "M003/video/front/happy/level_2/001.mp4")[0]
    assert (happy["emotion"], happy["level"], happy["speaker_id"], happy["lang"]) == ("happy", 2.0, "mead/M003", "en")
    assert happy["license_tag"] == "non-commercial research (MEAD)" and happy["fps_in"] == 30.0
    assert happy["sync_by"] == "lip opening against the voice's envelope" and happy["has_speech"]
    clips = {clip.id: clip for clip in read_shards(sorted(out.glob("*.tar")))}
    clip = clips[happy["shard_key"]]
    assert (clip.emotion, clip.speaker) == ("happy", "mead/M003") and clip.intensity == pytest.approx(2 / 3)
    neutral = clips[rows_of(out, "W009/video/front/neutral/level_1/001.mp4")[0]["shard_key"]]
    assert (neutral.emotion, neutral.intensity) == ("neutral", 0.0)
    plain_out, _ = prepared["plain"]
    labelled = rows_of(plain_out, "steady.mp4") + rows_of(plain_out, "again.mp4")
    assert all((row["emotion"], row["level"], row["speaker_id"]) == ("happy", 2.0, "ann") for row in labelled)
    video = rows_of(prepared["mafw"][0], "mafw/00001")[0]
    assert video["emotion"] == "happy" and video["emotion_dist"][3] == 1.0 and video["level"] is None


def test_rows_name_every_score_step_and_hash(prepared: dict[str, tuple[Path, Answers]]) -> None:
    out, _ = prepared["plain"]
    row = rows_of(out, "tv.mp4")[0]
    missing = [name for name, value in row["scores"].items() if value is None and name not in ("sync_c", "snr")]
    assert not missing and row["scores"]["sync_c"] is None
    steps = json.loads(row["step_versions"])
    assert list(steps) == ["encode", "motion", "probe", "shots", "speech", "sync", "track"]
    assert len(row["sha256"]) == 64 and len(row["source_sha256"]) == 64 and len(row["crop"]) == 4
    rejected = rows_of(out, "silent.mp4")[0]
    assert rejected["scores"]["vad"] == 0.0 and rejected["sha256"] is None and rejected["scores"]["yaw_max"] is None


def test_shards_are_plain_tars_without_pickles(prepared: dict[str, tuple[Path, Answers]]) -> None:
    out, _ = prepared["plain"]
    for shard in out.glob("*.tar"):
        for found in members(shard).values():
            assert sorted(found) == ["flac", "json", "motion.safetensors"]
            assert found["flac"].read(shard)[:4] == b"fLaC"
            assert json.loads(found["json"].read(shard))["fps"] == 25


def test_people_are_in_one_split_only(prepared: dict[str, tuple[Path, Answers]]) -> None:
    splits: dict[str, set[str]] = {}
    for out, _ in prepared.values():
        for row in read_manifest(out):
            splits.setdefault(row["speaker_id"], set()).add(row["split"])
    assert all(len(names) == 1 for names in splits.values())


def test_the_summary_counts_reasons_and_draws_the_scores(prepared: dict[str, tuple[Path, Answers]]) -> None:
    out, answers = prepared["plain"]
    told = json.loads((out / "summary.json").read_text())
    rejected = [wanted.reason for some in answers.values() for wanted in some if wanted.reason] + ["duplicate"]
    assert told["by_reason"] == {name: rejected.count(name) for name in told["by_reason"]}
    assert sum(told["by_reason"].values()) == len(rejected) and told["kept"] + len(rejected) == told["clips"]
    rows = [row for row in read_manifest(out) if row["kept"]]
    assert told["hours"] == pytest.approx(sum(row["n_frames"] for row in rows) / 25 / 3600, abs=1e-4)
    assert (out / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_other_limits_recompute_nothing(prepared: dict[str, tuple[Path, Answers]]) -> None:
    out, _ = prepared["mafw"]
    work = {path: path.stat().st_mtime_ns for path in (out / "work").rglob("*.json")}
    config = PrepareConfig(str(out.parent / "source"), "mafw", str(out), limits=replace(LIMITS, yaw=0.01))
    try:
        summary = prepare(config, marks)
        assert summary.kept == 0 and summary.by_reason == {"little_speech": 1, "turned_away": 1}
        assert not list(out.glob("*.tar"))
    finally:
        again = prepare(replace(config, limits=LIMITS), marks)
    assert again.kept == 1
    assert {path: path.stat().st_mtime_ns for path in (out / "work").rglob("*.json")} == work


def test_both_stages_train_on_what_was_prepared(
    prepared: dict[str, tuple[Path, Answers]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = prepared["plain"]
    size = ["--model-width", "32", "--model-layers", "1", "--model-window", "12", "--batch", "4", "--steps", "2"]
    stage1.main(["--corpus", str(out), "--out", str(tmp_path / "one"), *size])
    told = weights.describe(tmp_path / "one" / "motion.safetensors")
    assert told.license == "unstated" and "no recorded person" not in told.data
    assert told.data.startswith("recorded people: videos of a folder, made by `python -m training prepare`; 0.0")
    clips = load_clips(out, "train")
    assert told.training["speakers"] == len({clip.speaker for clip in clips}) > 1
    assert told.training["license_tags"] == ["unstated"] and told.training["hours"] > 0
    assert told.training["corpus_hash"] == json.loads((out / "corpus.json").read_text())["hash"]
    text = str(told)
    assert "training.hours: " in text and "training.speakers: " in text and "training.license_tags: " in text
    base = ["--base", str(tmp_path / "one" / "motion.safetensors"), "--batch", "4", "--steps", "2"]
    stage2.main(["--corpus", str(out), "--out", str(tmp_path / "two"), "--model-width", "32", *base])
    emotion = weights.describe(tmp_path / "two" / "emotion.safetensors")
    assert emotion.training["speakers"] == 1  # one video has an emotion's name
