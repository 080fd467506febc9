"""From a folder of videos to a talking picture, and one fine-tuning step of LivePortrait's own layout: whole runs."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden_fill import filled_state_dict
from liveportrait_files import official
from prepare_results import MISSING, config_for
from prepare_videos import drawn, marks, voice_of, write_video

from playmate_core.cli.main import main as playmate
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights import files as weights
from playmate_core.weights.folders import bundled
from training.__main__ import main
from training.data import load_clips
from training.face_pairs.clips import VideoPairs, decode
from training.prepare import prepare
from training.prepare.corpus import split_of
from training.prepared import PreparedClip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        bool(MISSING), reason=f"{', '.join(MISSING)} not installed: pip install 'playmate-portrait[train]'"
    ),
]
PEOPLE = [name for name in ("ann", "ben", "cat", "dan", "eve", "fay", "guy") if split_of(name) == "train"]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos of three people: one with an emotion and its level, one with an emotion alone, one without."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("people")
    rows = []
    for index, (name, emotion, level) in enumerate(zip(PEOPLE, ("happy", "sad", ""), ("2", "", ""), strict=False)):
        write_video(root / "videos" / f"{name}.mp4", drawn(index), voice_of(index))
        rows.append({"path": f"{name}.mp4", "emotion": emotion, "level": level, "speaker": name})
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    config = config_for(root / "videos", root / "data", labels=str(root / "labels.csv"), pixels=256, license="mine")
    assert prepare(replace(config, description="videos of the test", workers=1), marks).kept == 3
    return root / "data"


def test_clips_know_nothing_that_only_a_renderer_knows(people: Path) -> None:
    clips = load_clips(people, "train")
    assert all(type(clip) is PreparedClip for clip in clips)
    fields = {name for clip in clips for name in vars(clip)}
    assert fields == {
        "id", "speaker", "emotion", "intensity", "motion", "keypoints", "license_tag", "shard", "sound",
    }  # fmt: skip
    assert sorted((clip.emotion, clip.intensity) for clip in clips if clip.emotion == "happy") == [
        ("happy", pytest.approx(2 / 3))
    ]
    assert [math.isnan(clip.intensity) for clip in clips if clip.emotion != "happy"] == [True, True]


def test_three_commands_make_weights_that_speak(people: Path, tmp_path: Path) -> None:
    short = ["--corpus", str(people), "--steps", "2", "--batch", "4"]
    motion, emotion = tmp_path / "one" / "motion.safetensors", tmp_path / "two" / "emotion.safetensors"
    assert main(["stage1", *short, "--out", str(motion.parent)]) == 0
    assert main(["stage2", *short, "--out", str(emotion.parent), "--base", str(motion)]) == 0
    first, second = weights.describe(motion), weights.describe(emotion)
    assert first.data.startswith("videos of the test; ") and first.training["speakers"] == 3
    assert second.training["speakers"] == 2, "the clip without an emotion teaches stage 1 alone"
    assert first.license == second.license == "mine"
    out = tmp_path / "out.mp4"
    words = ["talk", str(bundled("portrait.png")), str(bundled("speech.wav")), "-o", str(out), "--emotion", "happy"]
    chosen = ["--motion-weights", str(motion), "--emotion-weights", str(emotion), "--emotion-by", "model"]
    assert playmate([*words, *chosen]) == 0 and out.stat().st_size > 10_000


def test_pairs_come_from_the_videos_and_lie_apart(people: Path) -> None:
    source = VideoPairs(people)
    pairs = source.draw(3, 0.5, torch.Generator().manual_seed(0))
    assert pairs.source.shape == (3, 3, 256, 256) and not torch.equal(pairs.source, pairs.driving)
    assert float(pairs.gap.min()) > 0.5
    clip = source.clips[0]
    forward = decode(str(clip.shard), clip.video, range(5))
    back = decode(str(clip.shard), clip.video, [4, 0])
    assert (forward[4] == back[0]).all() and (forward[0] == back[1]).all() and (forward[0] != forward[4]).any()


FEW = ["--perceptual", "given", "--steps", "1", "--batch", "1", "--stitching-steps", "1", "--scales", "1"]


def test_the_bundled_networks_are_fine_tuned_without_labels(people: Path, tmp_path: Path) -> None:
    few = ["--batch", "2", "--steps", "2", "--log-every", "1"]
    assert main(["face", "--pairs", str(people), *FEW, *few, "--out", str(tmp_path)]) == 0
    tuned = weights.load_face(tmp_path / "face.safetensors")
    before = weights.load_face(bundled("face.safetensors"))
    assert any(
        not torch.equal(a, b) for a, b in zip(tuned.motion.parameters(), before.motion.parameters(), strict=True)
    )
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert {"transfer", "gan", "matching", "equivariance", "prior", "landmarks", "anchor", "judge"} <= set(line)
    facts = weights.describe(tmp_path / "face.safetensors")
    assert facts.license == "all of: Apache-2.0; mine" and "videos of the test" in facts.data


def test_one_step_runs_in_the_published_layout(people: Path, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    face = FaceModel(FaceConfig())
    face.load_state_dict(filled_state_dict({name: tuple(t.shape) for name, t in face.state_dict().items()}, 7))
    folder = official(face, tmp_path / "public")
    assert main(["face", "--pairs", str(people), "--init", str(folder), *FEW, "--out", str(tmp_path / "run")]) == 0
    first = weights.load_face(tmp_path / "run" / "face.safetensors")
    last = weights.load_face(tmp_path / "run" / "stitching" / "face.safetensors")
    given = dict(weights.load_face(folder).named_parameters())  # its spectral norms are folded in
    moved = {name.partition(".")[0] for name, p in first.named_parameters() if not torch.equal(p, given[name])}
    assert {"motion", "warping", "generator"} <= moved and "stitching" not in moved
    stitched = {name for name, p in last.named_parameters() if not torch.equal(p, first.get_parameter(name))}
    assert stitched and all(name.startswith("stitching.stitching.") for name in stitched)
