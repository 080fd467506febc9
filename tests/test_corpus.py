"""The corpus verb and its reader: one seed one corpus, however many workers, however often killed."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from child_process import kill_where_it_waits, needs_sigkill

from playmate_core.errors import UserError
from playmate_core.geometry import place
from training.corpus import CorpusConfig, make_corpus, plan, split_counts
from training.data import Sessions, corpus_hash, load_synthetic_clips
from training.synthetic.clips import SPLITS, make_clip
from training.synthetic.sessions import make_session

SMALL = CorpusConfig(
    clips=9,
    sessions=3,
    frames_per_session=2,
    size=32,
    workers=1,
    speech="formant",
    shortest=1.0,
    longest=2.0,
    shard_clips=3,
)
ROOT = Path(__file__).resolve().parent.parent


#: The verb as it is, but that it waits before the second shard.
KILLED = """
import json
from training import corpus
make_shard = corpus.make_shard
def wait_before_the_second(config, shard):
    if any(shard.path.parent.glob("*.safetensors")):
        wait_to_be_killed()
    return make_shard(config, shard)
corpus.make_shard = wait_before_the_second
corpus.make_corpus(corpus.CorpusConfig(**json.loads(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_corpus(dataclasses.replace(SMALL, out=str(root)))
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir() if path.name != "config.json"}


def test_two_workers_write_the_same_bytes_as_one(corpus: Path, tmp_path: Path) -> None:
    make_corpus(dataclasses.replace(SMALL, out=str(tmp_path), workers=2))
    assert contents(tmp_path) == contents(corpus)


@needs_sigkill
def test_a_killed_run_goes_on_and_ends_the_same(corpus: Path, tmp_path: Path) -> None:
    kill_where_it_waits(KILLED, [json.dumps(dataclasses.asdict(SMALL) | {"out": str(tmp_path)})])
    assert [path.name for path in tmp_path.glob("*.safetensors")] == [next(plan(SMALL)).path.name]
    foreign = tmp_path / ".download.iso.part"  # another program's: the same ending without the mark
    foreign.write_bytes(b"half a download")
    own = tmp_path / ".train-clips-00002.safetensors.playmate-00000000-1-0.part"  # another machine's, two days old
    own.write_bytes(b"half a shard")
    os.utime(own, (time.time() - 2 * 86400,) * 2)
    make_corpus(dataclasses.replace(SMALL, out=str(tmp_path)))
    assert contents(tmp_path) == contents(corpus) | {foreign.name: b"half a download"}


def test_existing_shards_are_not_made_again(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in corpus.glob("*.safetensors")}
    assert make_corpus(dataclasses.replace(SMALL, out=str(corpus))) == corpus_hash(corpus)
    assert {path: path.stat().st_mtime_ns for path in corpus.glob("*.safetensors")} == before


def test_clips_come_back_as_they_were_made(corpus: Path) -> None:
    clips = {split: load_synthetic_clips(corpus, split) for split in SPLITS}
    assert {split: len(found) for split, found in clips.items()} == split_counts(9)
    assert len({clip.id for found in clips.values() for clip in found}) == 9
    for read in (clips["train"][4], clips["test"][0]):
        made = make_clip(int(read.id.split("-")[1]), read.id.split("-")[0], (1.0, 2.0), "formant")
        for field in dataclasses.fields(made):
            one, other = getattr(made, field.name), getattr(read, field.name)
            if isinstance(one, torch.Tensor):
                assert torch.equal(one, other), field.name
            elif field.name != "motion":
                assert one == other, field.name
        assert torch.equal(made.motion.expression, read.motion.expression)
        assert torch.equal(made.motion.pose.scale, read.motion.pose.scale)
        assert torch.equal(made.waveform, read.waveform)


def test_no_person_is_in_two_splits(corpus: Path) -> None:
    people = [{clip.identity_seed for clip in load_synthetic_clips(corpus, split)} for split in SPLITS]
    people = [
        seen | {s.identity_seed for s in Sessions(corpus, split)} for seen, split in zip(people, SPLITS, strict=True)
    ]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])


def test_sessions_come_back_as_they_were_made_and_stay_on_disk(corpus: Path) -> None:
    sessions = Sessions(corpus, "val")
    made, read = make_session(1, 0, "val", 2, 32), sessions[0]
    assert len(sessions) == 1 and len(read) == 2
    assert isinstance(read.frames, np.memmap) and read.frames.dtype == np.uint8
    assert np.array_equal(made.frames, read.frames)
    for name in ("rotation", "translation", "scale", "expression", "keypoints", "rig", "emotion", "intensity"):
        assert torch.equal(getattr(made, name), getattr(read, name)), name


def test_writing_into_what_was_read_leaves_the_corpus_alone(corpus: Path) -> None:
    before = contents(corpus)
    Sessions(corpus, "val")[0].frames[:] = 0
    load_synthetic_clips(corpus, "val")[0].samples.zero_()
    assert contents(corpus) == before


def test_sessions_show_faces_inside_the_picture_in_many_poses() -> None:
    sessions = [make_session(5, index, "train", 6, 24) for index in range(8)]
    for session in sessions:
        points = place(session.keypoints, session.rotation, session.expression, session.translation, session.scale)
        assert float(points[:, [11, 15, 14, 17], :2].abs().max()) < 1.0
        assert float(session.rotation[0].abs().max()) < 30.0
    rotation = torch.cat([session.rotation for session in sessions])
    assert (rotation.std(0) > torch.tensor([6.0, 9.0, 6.0])).all()
    assert len({session.frames.tobytes() for session in sessions}) == len(sessions)
    assert all(torch.equal(s.rotation[[1, 4]], s.rotation[[2, 5]]) for s in sessions), "one pose, another face"
    assert not any(torch.equal(s.expression[1], s.expression[2]) for s in sessions)


def test_a_folder_made_with_other_values_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--seed 1, not 2"):
        make_corpus(dataclasses.replace(SMALL, out=str(corpus), seed=2))
    with pytest.raises(UserError, match="--clips 9, not 12"):
        make_corpus(dataclasses.replace(SMALL, out=str(corpus), clips=12))
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(UserError, match="another --out"):
        make_corpus(dataclasses.replace(SMALL, out=str(occupied)))


def test_sessions_can_be_added_to_clips(tmp_path: Path) -> None:
    first = make_corpus(dataclasses.replace(SMALL, out=str(tmp_path), clips=3, sessions=0))
    with pytest.raises(UserError, match="no train sessions"):
        Sessions(tmp_path, "train")
    second = make_corpus(dataclasses.replace(SMALL, out=str(tmp_path), clips=3))
    assert first != second == corpus_hash(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["sessions"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speech": "parrot"}, "espeak, formant"),
        ({"clips": 2}, "at least 3"),
        ({"workers": 0}, "at least 1"),
        ({"size": 8}, "16 to 1024"),
        ({"shortest": 5.0}, "shortest <= longest"),
    ],
)
def test_values_that_cannot_be_meant_leave_nothing_behind(tmp_path: Path, changes: dict, message: str) -> None:
    out = tmp_path / "new"
    with pytest.raises(UserError, match=message):
        make_corpus(dataclasses.replace(SMALL, out=str(out), **changes))
    assert not out.exists()


def test_what_is_missing_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="python -m training corpus"):
        load_synthetic_clips(tmp_path, "train")
    with pytest.raises(UserError, match="no finished corpus"):
        corpus_hash(tmp_path)


def test_the_plan_covers_every_item_once() -> None:
    shards = list(plan(CorpusConfig()))
    assert split_counts(900) == {"train": 800, "val": 50, "test": 50}
    for kind, total in (("clips", 900), ("sessions", 684)):
        assert sum(shard.count for shard in shards if shard.kind == kind) == total
    assert len({shard.path for shard in shards}) == len(shards)
