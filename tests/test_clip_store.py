"""Clips on disk: the same windows and statistics as in memory, in memory that hardly grows, kept when killed."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from child_process import kill_where_it_waits, needs_proc, needs_sigkill, peak_memory
from hypothesis import given, settings
from hypothesis import strategies as st
from measured_statistics import measure_statistics
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.speech import make_encoder
from playmate_core.values import EMOTIONS, Motion, Pose
from training.clip_store import ClipStore, open_clips
from training.clip_windows import ClipTensors, FramesInMemory, WindowSampler, clip_tensors
from training.data import load_clips, split_clips, write_clips
from training.data_card import data_card
from training.synthetic.clips import SyntheticClip, make_clip

WINDOW, PREVIOUS = 12, 4
#: Opens the clips of a corpus with an encoder that makes 6 kB of a frame, and draws windows of all of them.
DRAW = """
import torch
from made_clips import wide_encoder
from training.clip_windows import WindowSampler
from training import clip_store
wide_encoder(clip_store)
clips = clip_store.open_clips(sys.argv[1], "train", "logmel", "", sys.argv[2])
sampler = WindowSampler(clips.frames(clips.statistics, "clip"), clips.silence, 64, 10)
generator = torch.Generator().manual_seed(0)
for _ in range(100):
    sampler.draw(8, 0.03, 0.15, 0.1, generator)
print(len(clips), sampler.frames)
"""
KILLED = """
from training import clip_store
written, count = clip_store.keep, 0
def keep(*facts):
    global count
    count += 1
    if count == 5:
        wait_to_be_killed()
    return written(*facts)
clip_store.keep = keep
clip_store.open_clips(sys.argv[1], "train", "logmel", "", sys.argv[2])
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips in two files."""
    root = tmp_path_factory.mktemp("corpus")
    clips = [make_clip(seed, "train", seconds=(2.0, 4.0), backend="formant") for seed in range(8)]
    write_clips(root / "train-clips-00000.safetensors", clips[:5])
    write_clips(root / "train-clips-00001.safetensors", clips[5:])
    return root


@pytest.fixture
def store(corpus: Path, tmp_path: Path) -> ClipStore:
    return open_clips(corpus, "train", "logmel", "", str(tmp_path / "features"))


@pytest.mark.parametrize("pose_normalisation", ["clip", "global"])
def test_windows_from_disk_are_those_from_memory(corpus: Path, store: ClipStore, pose_normalisation: str) -> None:
    statistics, encoder = store.statistics, make_encoder("logmel")
    seen = [clip_tensors(clip, statistics, encoder, pose_normalisation) for clip in load_clips(corpus, "train")]
    memory = WindowSampler(FramesInMemory(seen), store.silence, WINDOW, PREVIOUS)
    disk = WindowSampler(store.frames(statistics, pose_normalisation), store.silence, WINDOW, PREVIOUS)
    one, two = (s.draw(200, 0.1, 0.2, 0.3, torch.Generator().manual_seed(1)) for s in (memory, disk))
    for name, value in vars(one).items():
        if name == "audio":
            torch.testing.assert_close(getattr(two, name), value, atol=2e-3, rtol=1e-3)  # half precision
        else:
            torch.testing.assert_close(getattr(two, name), value, atol=1e-5, rtol=1e-5, equal_nan=True)


def test_statistics_and_card_are_those_of_the_clips(corpus: Path, store: ClipStore) -> None:
    clips = load_clips(corpus, "train")
    measured = measure_statistics([c.motion for c in clips], [c.keypoints for c in clips], store.silence)
    for name, value in measured.state_dict().items():
        torch.testing.assert_close(store.statistics.state_dict()[name], value, atol=1e-6, rtol=1e-5)
    assert store.card == data_card(corpus, clips)
    few = store.first(3)
    assert len(few) == 3 and few.card == data_card(corpus, clips[:3])
    direct = torch.cat([c.motion.expression.flatten(1) for c in clips]).double().std(0, correction=0)
    live = measured.live
    torch.testing.assert_close(measured.expression_std[live].double(), direct[live], rtol=1e-5, atol=1e-9)


def test_clips_of_a_speaker_share_their_keypoints(tmp_path: Path) -> None:
    """What M read into the keypoints of one clip beside the person is not told as the identity."""
    made = [make_clip(seed, "train", (1.0, 1.5), "formant", person=seed % 2) for seed in range(6)]
    random = torch.Generator().manual_seed(0)
    clips = [replace(clip, keypoints=clip.keypoints + 0.1 * torch.randn(21, 3, generator=random)) for clip in made]
    assert [clip.speaker for clip in clips] == ["0", "1"] * 3 and len({clip.emotion for clip in clips}) == 6
    write_clips(tmp_path / "train-clips-00000.safetensors", clips)
    opened = open_clips(tmp_path, "train", "logmel", "", str(tmp_path / "features"))
    medians = [torch.stack([clip.keypoints for clip in clips[k::2]]).median(0).values.flatten() for k in range(2)]
    torch.testing.assert_close(opened.index.keypoints, torch.stack(medians * 3), rtol=0, atol=0)
    identity = opened.frames(opened.statistics, "clip").labels.identity
    assert torch.equal(identity[0::2], identity[:1].expand(3, -1)) and not torch.equal(identity[0], identity[1])


def test_the_shares_of_processes_are_all_clips_once(corpus: Path) -> None:
    everything = [clip.id for clip in load_clips(corpus, "train")]
    for of in (1, 2, 3, 5, 9):
        shares = [[clip.id for clip in split_clips(corpus, "train", share, of)] for share in range(of)]
        assert [shares[i % of][i // of] for i in range(8)] == everything
        assert sum(map(len, shares)) == 8


def test_a_second_opening_encodes_nothing_and_another_corpus_all_that_is_new(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, made = str(tmp_path / "features"), []
    from training import feature_files

    real = feature_files.save_file
    monkeypatch.setattr(feature_files, "save_file", lambda *a, **k: made.append(a[1]) or real(*a, **k))
    first = open_clips(corpus, "train", "logmel", "", folder)
    assert len(made) == 8
    monkeypatch.setattr("training.clip_store.make_encoder", lambda *_, **__: pytest.fail("it encoded again"))
    again = open_clips(corpus, "train", "logmel", "", folder)
    assert len(made) == 8 and torch.equal(first.index.key, again.index.key)
    monkeypatch.undo()
    monkeypatch.setattr(feature_files, "save_file", lambda *a, **k: made.append(a[1]) or real(*a, **k))
    other = tmp_path / "other"
    clips = [*load_clips(corpus, "train"), make_clip(77, "train", seconds=(2.0, 3.0), backend="formant")]
    write_clips(_made(other) / "train-clips-00000.safetensors", [c for c in clips if isinstance(c, SyntheticClip)])
    assert len(open_clips(other, "train", "logmel", "", folder)) == 9
    assert len(made) == 9


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_damaged_file_is_named(store: ClipStore) -> None:
    frames = store.frames(store.statistics, "clip")
    path = next(store.folder.glob("??/*.safetensors"))
    index = [bytes(key.tolist()).hex() for key in store.index.key].index(path.stem)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=rf"{path.name} cannot be read .*; delete it"):
        frames.read(index, 0, 3)


def test_a_second_process_reads_the_silence_after_the_main_one_wrote_it(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "features"
    wanted = open_clips(corpus, "train", "logmel", "", str(folder)).silence
    (kept,) = folder.rglob("silence.safetensors")
    hidden = kept.rename(tmp_path / "written by the main process")
    second = SimpleNamespace(is_main=False, any=bool, wait=lambda: hidden.rename(kept))
    monkeypatch.setattr("training.clip_store.processes", lambda: second)
    assert torch.equal(open_clips(corpus, "train", "logmel", "", str(folder)).silence, wanted)


@needs_sigkill
def test_what_a_killed_run_encoded_is_kept(corpus: Path, tmp_path: Path) -> None:
    kill_where_it_waits(KILLED, [corpus, tmp_path])
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/??/*.safetensors")}
    assert len(kept) == 4 and not list(tmp_path.glob("*/index*"))
    assert len(open_clips(corpus, "train", "logmel", "", str(tmp_path))) == 8
    now = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/??/*.safetensors")}
    assert len(now) == 8 and kept.items() <= now.items()
    assert not list(tmp_path.glob("**/*.part"))


@settings(max_examples=40)
@given(st.lists(st.integers(1, 2000), min_size=2, max_size=6), st.integers(0, 2**31))
def test_a_clip_is_drawn_in_proportion_to_its_frames(lengths: list[int], seed: int) -> None:
    clips = [
        ClipTensors(torch.zeros(n, 1), torch.zeros(n, 1, 1), torch.zeros(63), emotion=i, intensity=0.0)
        for i, n in enumerate(lengths)
    ]
    sampler = WindowSampler(FramesInMemory(clips), torch.zeros(1, 1), 8, 2)
    drawn = sampler.draw(2000, 0.0, 0.0, 0.0, torch.Generator().manual_seed(seed))
    counts = torch.bincount(drawn.emotion, minlength=len(lengths))
    for count, length in zip(counts.tolist(), lengths, strict=True):
        share = length / sum(lengths)
        assert abs(count - 2000 * share) <= 6 * math.sqrt(2000 * share * (1 - share)) + 1


def test_windows_of_a_huge_corpus_reach_its_last_clips() -> None:
    """Float32 has no odd numbers above 2^24: of clips of one frame there, half would never be drawn."""

    class Huge(FramesInMemory):
        def read(self, clip: int, begin: int, end: int) -> tuple[Tensor, Tensor]:
            return torch.zeros(end - begin, 1), torch.zeros(end - begin, 1, 1)

    clips = [ClipTensors(torch.zeros(1, 1), torch.zeros(1, 1, 1), torch.zeros(63), i, 0.0) for i in range(5)]
    source = Huge(clips)
    source.labels.length[0] = 2**40
    source.labels.length[1:] = torch.tensor([2**38, 2**38, 2**38, 2**38])
    sampler = WindowSampler(source, torch.zeros(1, 1), 4, 0)
    drawn = sampler.draw(4000, 0.0, 0.0, 0.0, torch.Generator().manual_seed(0))
    assert (torch.bincount(drawn.emotion, minlength=5) / 4000).tolist() == pytest.approx([0.5, *[0.125] * 4], abs=0.05)


@needs_proc
@pytest.mark.slow
def test_ten_times_the_clips_take_hardly_more_memory(tmp_path: Path) -> None:
    """40 clips and 400 of 250 frames: in single precision in memory the others would take 2.2 GB more."""
    peaks = {}
    for count in (40, 400):
        root = _made(tmp_path / str(count))
        for first in range(0, count, 20):
            write_clips(root / f"train-clips-{first:05d}.safetensors", [flat_clip(first + i) for i in range(20)])
        peaks[count] = peak_memory(DRAW, [root, tmp_path / f"features-{count}"])
        again = peak_memory(DRAW, [root, tmp_path / f"features-{count}"])
        assert again < peaks[count] + 50_000
    sys.stdout.write(f"peak memory in kB: {peaks}\n")
    assert peaks[400] - peaks[40] < 200_000


def flat_clip(seed: int, frames: int = 250) -> SyntheticClip:
    """A clip of random numbers."""
    g = torch.Generator().manual_seed(seed)
    pose = Pose(torch.randn(frames, 3, generator=g), torch.zeros(frames, 3), torch.ones(frames, 1))
    return SyntheticClip(
        id=f"made-{seed}",
        speaker=str(seed),
        emotion=EMOTIONS[seed % 8],
        intensity=0.5,
        motion=Motion(pose, 0.01 * torch.randn(frames, 21, 3, generator=g)),
        keypoints=torch.randn(21, 3, generator=g),
        license_tag="none",
        identity_seed=seed,
        voice="",
        text="",
        prosody="neutral",
        style="",
        phones=(),
        samples=torch.randint(-3000, 3000, (640 * frames,), generator=g, dtype=torch.int16),
        rig=torch.zeros(frames, 16),
        bilabial=torch.zeros(frames, dtype=torch.bool),
        stressed=torch.zeros(frames, dtype=torch.bool),
    )
