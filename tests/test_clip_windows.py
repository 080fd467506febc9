"""Windows drawn from clips: every frame belongs to its clip, and what is outside is silent, still and not valid."""

from __future__ import annotations

import pytest
import torch

from training.clip_windows import ClipTensors, FramesInMemory, WindowSampler

WINDOW, PREVIOUS, LENGTHS = 8, 3, (20, 5, 30)
SILENCE = -7.0


def sampler() -> WindowSampler:
    """Clips whose motion and audio say which clip and frame they are: 100 * clip + frame."""
    clips = []
    for index, length in enumerate(LENGTHS):
        mark = 100.0 * (index + 1) + torch.arange(length)
        clips.append(
            ClipTensors(
                motion=mark[:, None].repeat(1, 69),
                audio=mark[:, None, None].repeat(1, 1, 2),
                identity=torch.full((63,), float(index + 1)),
                emotion=index,
                intensity=index / 2,
                pose_static=index == 1,
            )
        )
    return WindowSampler(FramesInMemory(clips), torch.full((1, 2), SILENCE), WINDOW, PREVIOUS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_window_inside_a_clip_is_that_clips_frames() -> None:
    got = sampler().gather(torch.tensor([2]), torch.tensor([4]), torch.tensor([False]), torch.tensor([False]))
    assert torch.equal(got.motion[0, :, 0], 300.0 + torch.arange(1.0, 12.0))
    assert torch.equal(got.audio[0, :, 0, 1], got.motion[0, :, 0])
    assert bool(got.valid.all()) and float(got.identity[0, 0]) == 3.0 and int(got.emotion[0]) == 2


def test_frames_outside_the_clip_are_silent_still_and_not_valid() -> None:
    got = sampler().gather(torch.tensor([1]), torch.tensor([2]), torch.tensor([False]), torch.tensor([False]))
    assert got.valid[0].tolist() == [True] * 3 + [False] * 5
    assert got.motion[0, :, 0].tolist() == [0.0, 200.0, 201.0, 202.0, 203.0, 204.0] + [0.0] * 5
    assert got.audio[0, 6:].unique().tolist() == [SILENCE] and float(got.audio[0, 0, 0, 0]) == SILENCE
    assert bool(got.pose_static[0])


def test_repeat_holds_the_frame_before_the_window_in_silence() -> None:
    got = sampler().gather(
        torch.tensor([0, 0]), torch.tensor([6, 0]), torch.tensor([False] * 2), torch.tensor([True] * 2)
    )
    assert got.motion[0, :PREVIOUS, 0].unique().tolist() == [105.0]
    assert got.motion[1, :PREVIOUS, 0].unique().tolist() == [100.0]
    assert got.audio[:, :PREVIOUS].unique().tolist() == [SILENCE]
    assert got.motion[0, PREVIOUS:, 0].tolist() == [106.0 + k for k in range(WINDOW)]


def test_drawing_covers_every_frame_and_depends_on_the_generator_alone() -> None:
    source = sampler()
    first, again = (source.draw(2000, 0.05, 0.15, 0.1, generator(3)) for _ in range(2))
    assert torch.equal(first.motion, again.motion) and torch.equal(first.start, again.start)
    current = first.motion[:, PREVIOUS:][first.valid][:, 0].unique()
    everything = torch.cat([100.0 * (k + 1) + torch.arange(n) for k, n in enumerate(LENGTHS)])
    assert torch.equal(current, everything)
    counts = torch.bincount(first.emotion, minlength=3) / 2000
    assert counts.tolist() == pytest.approx([n / sum(LENGTHS) for n in LENGTHS], abs=0.04)


def test_windows_without_a_full_past_start_unless_they_hold_a_picture() -> None:
    drawn = sampler().draw(4000, 0.0, 0.15, 0.1, generator())
    begin = drawn.motion[:, PREVIOUS, 0] % 100
    held = (drawn.audio[:, :PREVIOUS] == SILENCE).flatten(1).all(1) & (drawn.motion[:, 0, 0] > 0)
    assert bool((drawn.start | held)[begin < PREVIOUS].all())
    assert not bool((drawn.start & held & (begin >= PREVIOUS)).any())
    late = begin >= PREVIOUS
    assert float(drawn.start[late].float().mean()) == pytest.approx(0.15, abs=0.03)
    assert float(held[late].float().mean()) == pytest.approx(0.10, abs=0.03)


def test_a_share_begins_with_its_clip() -> None:
    drawn = sampler().draw(1000, 1.0, 0.0, 0.0, generator())
    assert bool((drawn.motion[:, PREVIOUS, 0] % 100 == 0).all()) and bool(drawn.start.all())


def test_no_clips_is_an_error() -> None:
    with pytest.raises(ValueError, match="got none"):
        FramesInMemory([])
