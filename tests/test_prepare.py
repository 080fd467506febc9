"""Real videos become clips: every trap repaired or named, the same bytes whoever made them and however often killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prepare_corpora import CORPORA, Answers, Wanted
from prepare_films import correlation, drawn, lips, marks, person, voice_of, write_film

from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from training import stage1, stage2
from training.data import load_clips
from training.prepare import PrepareConfig, main, prepare
from training.prepare.filters import Limits
from training.prepare.manifest import read_manifest
from training.prepared import members, prepared_shards, read_shards

MISSING = [name for name in ("scenedetect", "silero_vad", "pyarrow", "matplotlib", "numba") if find_spec(name) is None]
#: Four minutes of films; the single steps and the layouts are tested in every run.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install 'playmate-portrait[train]'"
    ),
]
ROOT = Path(__file__).resolve().parent.parent
#: The drawn heads are small, to be drawn quickly; everything else is as shipped.
LIMITS = Limits(face_px=60)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Answers]]:
    """Every layout, its films drawn and prepared once."""
    torch.set_num_threads(1)
    root, made = tmp_path_factory.mktemp("prepare"), {}
    for name, make in CORPORA.items():
        source = root / name / "source"
        answers = make(source)
        labels = root / name / "labels.csv"
        workers = 2 if name == "plain" else 1  # a worker's start costs more than two films
        config = PrepareConfig(str(source), name, str(root / name / "data"), limits=LIMITS, workers=workers)
        prepare(replace(config, labels=str(labels) if labels.is_file() else ""), marks)
        made[name] = (root / name / "data", answers)
    return made


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
    film = rows_of(prepared["mafw"][0], "mafw/00001")[0]
    assert film["emotion"] == "happy" and film["emotion_dist"][3] == 1.0 and film["level"] is None


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
    assert emotion.training["speakers"] == 1  # one film has an emotion's name


def config_for(source: Path, out: Path, **changes: Any) -> PrepareConfig:
    return replace(PrepareConfig(str(source), "plain", str(out), limits=LIMITS), **changes)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four films, one of them with two shots, one broken."""
    root = tmp_path_factory.mktemp("few") / "source"
    write_film(root / "a.mp4", drawn(0), voice_of(0))
    write_film(root / "b.mp4", [*drawn(1), *drawn(2)], np.concatenate([voice_of(1), voice_of(2)]))
    write_film(root / "c.mp4", drawn(3), voice_of(3))
    (root / "d.mp4").write_bytes((root / "a.mp4").read_bytes()[:5000])
    return root


def digest(out: Path) -> dict[str, str]:
    """The hash of everything a corpus consists of."""
    names = [*sorted(path.name for path in out.glob("*.tar")), "manifest.parquet", "summary.json", "corpus.json"]
    return {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="session")
def undisturbed(few: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By one worker, in one go."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert prepare(config_for(few, out, workers=1), marks).kept == 4
    return digest(out)


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
from test_prepare import config_for
from prepare_films import marks
from training.prepare import prepare
if __name__ == "__main__":
    prepare(config_for(Path({source!r}), Path({out!r})), marks)
"""


def start(source: Path, out: Path, script: Path) -> subprocess.Popen[bytes]:
    """The same command in a process that can be killed."""
    script.write_text(
        SCRIPT.format(tests=str(ROOT / "tests"), root=str(ROOT), source=str(source), out=str(out)), encoding="utf-8"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    return subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def results(out: Path) -> int:
    return len(list((out / "work").rglob("*.json")))


def test_killed_at_three_points_and_resumed_by_two_workers(
    few: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "data"
    for goal in (3, 12, 20):
        process = start(few, out, tmp_path / "run.py")
        try:
            wait_until(lambda: results(out) >= goal or process.poll() is not None)  # noqa: B023
            assert process.poll() is None, "it ended before it could be killed"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: not alive(tmp_path / "run.py"))
        assert not (out / "manifest.parquet").exists()
    prepare(config_for(few, out, workers=2), marks)
    assert digest(out) == undisturbed


def wait_until(true: Any, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def alive(script: Path) -> list[int]:
    """Workers of a killed command: they watch their parent and end."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or ())
        environment = "" if "spawn_main" not in line else _environment(process)
        if str(script) in line or str(script) in environment:
            found.append(process.info["pid"])
    return found


def _environment(process: Any) -> str:
    import psutil

    try:
        return " ".join(process.environ().values())
    except psutil.Error:
        return ""


@pytest.mark.slow
def test_ray_makes_the_same_corpus(few: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'playmate-portrait[cluster]'")
    prepare(config_for(few, tmp_path, engine="ray", workers=2), marks)
    assert digest(tmp_path) == undisturbed


def deadly() -> Any:
    """A detector that takes its process with it when it sees the film of two shots, and no other."""

    def detect(image: torch.Tensor) -> Any:
        from prepare_films import find_marks

        if os.environ.get("DEADLY") and float(image[40:60, 10:30].mean()) == pytest.approx(
            float(os.environ["DEADLY"]), abs=1e-4
        ):
            os._exit(11)
        return find_marks(image)

    return detect


def test_a_film_that_kills_its_worker_costs_itself_only(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playmate_core.media.images import from_bytes
    from playmate_core.media.video_reader import read_frames

    first = from_bytes(next(read_frames(few / "c.mp4")).picture)
    monkeypatch.setenv("DEADLY", str(float(first[40:60, 10:30].mean())))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'tests'}")
    prepare(config_for(few, tmp_path, workers=2), deadly)
    reasons = {row["source"]: row["reason"] for row in read_manifest(tmp_path)}
    assert reasons == {"a.mp4": "", "b.mp4": "", "c.mp4": "crashed", "d.mp4": "unreadable"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give the folder of videos"),
        (["SOURCE", "--layout", "vox"], "--layout is 'vox', expected one of plain"),
        (["SOURCE", "--engine", "spark"], "--engine is 'spark', expected one of pool, ray"),
        (["SOURCE", "--workers", "0"], "--workers is 0"),
        (["SOURCE", "--pixels", "33"], "--pixels is 33"),
        (["SOURCE", "--limits-shortest", "20"], "cannot be cut"),
        (["SOURCE", "--syncnet", "nowhere.model", "--detector", "whole"], "no file at nowhere.model"),
        (["nowhere"], "nowhere is no folder"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(few: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    given = [str(few) if word == "SOURCE" else word for word in arguments]
    with pytest.raises(UserError, match=says):
        main([*given, "--out", str(tmp_path / "data")])
    assert not (tmp_path / "data").exists()


def test_a_folder_that_holds_another_corpus_is_refused(prepared: dict[str, tuple[Path, Answers]], few: Path) -> None:
    out, _ = prepared["mafw"]
    with pytest.raises(UserError, match="holds a corpus of the source"):
        prepare(config_for(few, out), marks)


def test_a_shard_that_is_damaged_is_named(prepared: dict[str, tuple[Path, Answers]], tmp_path: Path) -> None:
    shard = prepared_shards(prepared["plain"][0], "train")[0]
    copy = tmp_path / shard.name
    copy.write_bytes(b"no tar at all" * 100)
    with pytest.raises(UserError, match="cannot be read as a tar"):
        read_shards([copy])
    whole = bytearray(shard.read_bytes())
    at = next(iter(members(shard).values()))["json"].offset
    whole[at : at + 5] = b"?????"
    copy.write_bytes(bytes(whole))
    with pytest.raises(UserError, match="is damaged"):
        read_shards([copy])
