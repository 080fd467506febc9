"""Frames that are known while others are sampled: windows continue, the head is held, a range is sampled again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from generated_motion import BASE, CONTROLLER, FACE, FAST, talk
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_models import PREVIOUS, WINDOW, rest, voice
from torch import Tensor

from playmate_core.diffusion.generate import PlaymateGenerator, iterate
from playmate_core.diffusion.known_frames import KnownFrames, holding, spread_of
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.regenerate import Part, Regeneration, regenerate, window_begins
from playmate_core.diffusion.request import GenerationRequest, joined
from playmate_core.diffusion.windows import held_frames
from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound
from playmate_core.values import EmotionCurve, Motion
from playmate_core.weights.files import load_motion
from playmate_core.weights.folders import bundled

GENERATOR = PlaymateGenerator(BASE, CONTROLLER)
FRAMES = 4 * WINDOW + 3


def flat(motion: Motion) -> Tensor:
    pose = motion.pose
    return torch.cat([motion.expression.flatten(1), pose.rotation, pose.translation, pose.scale], -1)


def request(frames: int = FRAMES, emotion: str | None = None, **changes: object) -> GenerationRequest:
    curve = None if emotion is None else EmotionCurve.constant(emotion, 1.0, frames)
    return GenerationRequest(FACE, rest(), voice(frames), curve, replace(FAST, **changes))  # type: ignore[arg-type]


def again(motion: Motion, what: Regeneration, **changes: object) -> Motion:
    return regenerate(GENERATOR, request(len(motion), **changes), motion, what)  # type: ignore[arg-type]


def test_the_weights_are_those_of_a_gaussian_process() -> None:
    known = torch.tensor([True, True, False, False, False, False, True])
    weights = spread_of(known, 2.0)
    assert torch.equal(weights[known], torch.eye(7)[known]) and bool((weights[:, ~known] == 0).all())
    steady = weights @ torch.ones(7)
    assert float((steady - 1).abs().max()) < 0.12, "a constant offset is carried on between its ends"
    lone = spread_of(torch.arange(60) < 4, 2.0)
    assert float(lone[-1].abs().max()) < 1e-6, "and forgotten far from them"
    assert not bool(spread_of(torch.zeros(5, dtype=torch.bool), 2.0).any())


def test_what_is_known_comes_out_and_the_rest_follows_without_a_jump() -> None:
    frames = torch.full((4, 69), 2.0)
    known = KnownFrames.leading(frames, WINDOW)
    predict = holding(lambda noisy, t: torch.zeros(1, WINDOW, 69), known)
    made = predict(torch.zeros(1, WINDOW, 69), 500)[0]
    assert torch.equal(made[:4], frames)
    head = made[:, 63:].mean(-1)
    assert bool((head[3:].diff() < 0).all()) and float(head[4]) > 1.8, "the head leaves what is known slowly"
    assert float(made[8:, :63].abs().max()) < 0.6, "the expression soon"
    free = KnownFrames.leading(frames[:0], WINDOW)
    assert holding(predict, free) is predict
    posed = free.with_pose(torch.ones(WINDOW, 6))
    assert bool((posed.over(torch.zeros(WINDOW, 69)) == posed.mask).all())


@pytest.mark.parametrize("sampler", ["dpm++2m", "ddim", "ddpm"])
def test_windows_go_on_from_the_frames_they_share(sampler: str) -> None:
    """The shared frames are the first window's, whatever follows, and streaming gives the same bits."""
    options = {"sampler": sampler, "eta": 1.0, "overlap": 4, "spacing": "uniform", "eye_movement": 0.0}
    whole = talk(FRAMES, felt_by=None, **options)
    pieces = list(iterate(BASE, None, request(**options)))
    assert [len(piece) for piece in pieces][:2] == [WINDOW - 4, WINDOW - 4]
    assert torch.equal(flat(joined(pieces)), flat(whole)) and torch.equal(
        flat(whole), flat(talk(FRAMES, felt_by=None, **options))
    )
    first = replace(voice(FRAMES), features=voice(FRAMES).features[:WINDOW], energy=voice(FRAMES).energy[:WINDOW])
    alone = talk(WINDOW, heard=first, felt_by=None, **options)
    kept = WINDOW - 4 + held_frames(4)
    assert torch.equal(flat(alone)[:kept], flat(whole)[:kept]) and not torch.equal(flat(alone), flat(whole)[:WINDOW])
    faded = talk(FRAMES, felt_by=None, joint="fade", **options)
    assert not torch.equal(flat(faded)[:WINDOW], flat(whole)[:WINDOW])


def test_the_rough_frames_at_the_end_of_a_window_are_sampled_again() -> None:
    assert [held_frames(overlap) for overlap in range(8)] == [0, 1, 2, 2, 2, 3, 4, 5]


def test_a_locked_pose_is_the_one_without_the_emotion_in_every_bit() -> None:
    plain = talk(FRAMES, overlap=3)
    felt, locked = talk(FRAMES, "happy", overlap=3), talk(FRAMES, "happy", overlap=3, lock_pose=True)
    assert not torch.equal(felt.pose.rotation, plain.pose.rotation)
    for name in ("rotation", "translation", "scale"):
        assert torch.equal(getattr(locked.pose, name), getattr(plain.pose, name))
    assert float((locked.expression - plain.expression).abs().max()) > 1e-3
    told: list[tuple[int, int]] = []
    talk(2 * WINDOW, "sad", lock_pose=True, progress=lambda step, total: told.append((step, total)))
    assert told == [(k + 1, 12) for k in range(12)]
    assert torch.equal(flat(talk(FRAMES, lock_pose=True)), flat(talk(FRAMES))), "nothing to lock without an emotion"


@pytest.mark.parametrize("part", list(Part))
def test_a_zero_edit_gives_the_motion_back(part: Part) -> None:
    motion = talk(FRAMES, seed=5)
    assert again(motion, Regeneration(7, 7, part=part)) is motion
    assert again(motion, Regeneration(3, 30, strength=0.0, part=part)) is motion


@pytest.mark.parametrize(("begin", "end"), [(6, 13), (6, 9), (5, 13)])
def test_a_range_whose_second_window_begins_before_it(begin: int, end: int) -> None:
    motion = talk(WINDOW + 1, seed=5)
    made = flat(again(motion, Regeneration(begin, end), seed=6))
    assert made.shape == flat(motion).shape and bool((made != flat(motion))[begin:end].any(1).all())
    assert torch.equal(made[:begin], flat(motion)[:begin]) and torch.equal(made[end:], flat(motion)[end:])


@settings(max_examples=15, deadline=None)
@given(data=st.data(), strength=st.sampled_from([0.3, 1.0]), part=st.sampled_from(list(Part)))
def test_outside_of_the_range_every_bit_stays(data: st.DataObject, strength: float, part: Part) -> None:
    frames = data.draw(st.integers(1, 3 * WINDOW))
    begin = data.draw(st.integers(0, frames - 1))
    end = data.draw(st.integers(begin + 1, frames))
    motion = talk(frames, seed=5)
    made = again(motion, Regeneration(begin, end, strength, part), seed=6)
    outside = [*range(begin), *range(end, frames)]
    assert torch.equal(flat(made)[outside], flat(motion)[outside]) and len(made) == frames
    changed = (flat(made) != flat(motion))[begin:end]
    expression, pose = bool(changed[:, :63].any()), bool(changed[:, 63:].any())
    assert (expression, pose) == (part is not Part.POSE, part is not Part.EXPRESSION)
    assert torch.equal(made.pose.translation[:, 2], motion.pose.translation[:, 2])
    assert torch.equal(flat(made), flat(again(motion, Regeneration(begin, end, strength, part), seed=6)))


@pytest.fixture(scope="module")
def spoken() -> tuple[PlaymateGenerator, GenerationRequest]:
    """The bundled weights and speech: an untrained network has no smooth motion that could jump."""
    generator = PlaymateGenerator(load_motion(bundled("motion.safetensors")))
    sound = read_sound(bundled("speech.wav"))
    audio = generator.encoder().listen(sound.waveform, sound.rate)
    return generator, GenerationRequest(FACE, rest(), audio, options=SamplingOptions())


def test_held_joints_are_smoother_than_faded_ones(spoken: tuple[PlaymateGenerator, GenerationRequest]) -> None:
    """The worst mean bend of the head at any offset from a joint, over 16 joints; an untrained network shows none."""
    generator, asked = spoken
    window, overlap = generator.denoiser.config.window, SamplingOptions().overlap

    def worst(joint: str) -> float:
        takes = [replace(asked, options=SamplingOptions(joint=joint, seed=seed)) for seed in range(8)]
        turns = torch.stack([generator.generate(take).pose.rotation for take in takes])
        bend = turns.diff(n=2, dim=1).norm(dim=-1).mean(0)
        joints = torch.arange(window - overlap, turns.shape[1] - overlap - 3, window - overlap)
        return max(float(bend[joints + k].mean()) for k in range(-2, overlap + 2)) / float(bend.mean())

    assert worst("hold") < 0.85 * worst("fade")


@pytest.mark.parametrize("wide", [False, True])
def test_the_range_meets_both_ends(spoken: tuple[PlaymateGenerator, GenerationRequest], wide: bool) -> None:
    """At both ends of the range the motion bends as it does elsewhere; cut in from another seed it jumps."""
    generator, asked = spoken
    motion = generator.generate(asked)
    if wide:  # as from a video, a head that turns further than any generated one
        swing = 40.0 * torch.sin(torch.arange(len(motion)) / 20.0)
        turned = torch.cat([motion.pose.rotation[:, :1], swing[:, None], motion.pose.rotation[:, 2:]], -1)
        motion = motion.with_pose(replace(motion.pose, rotation=turned))
    begin, end = 40, min(105, len(motion) - 12)
    held, cut = [], []
    for seed in (1, 2, 3):
        other = replace(asked, options=SamplingOptions(seed=seed))
        held.append(ends(regenerate(generator, other, motion, Regeneration(begin, end)), begin, end))
        mixed = torch.cat([flat(motion)[:begin], flat(generator.generate(other))[begin:end], flat(motion)[end:]])
        cut.append(bends(mixed[:, 63:66], begin, end))
    assert sum(held) / 3 < 1.8 and sum(cut) / 3 > 2.5


def ends(motion: Motion, begin: int, end: int) -> float:
    return bends(motion.pose.rotation, begin, end)


def bends(turned: Tensor, begin: int, end: int) -> float:
    """Mean acceleration of the four steps around each end over that of all steps."""
    bend = turned.diff(n=2, dim=0).norm(dim=-1)  # the entry k is at frame k + 1
    near = torch.cat([bend[begin - 2 : begin + 1], bend[end - 2 : end + 1]])
    return float(near.mean() / bend.mean())


def test_a_weaker_strength_stays_nearer_to_the_motion() -> None:
    motion = talk(FRAMES, seed=5)
    off = [
        float((again(motion, Regeneration(5, 40, strength), seed=9).expression - motion.expression).norm())
        for strength in (0.05, 0.4, 1.0)
    ]
    assert 0.0 < off[0] < off[1] < off[2]


def test_axes_that_may_not_move_keep_their_pose() -> None:
    motion = talk(FRAMES, seed=5)
    made = again(motion, Regeneration(5, 40), pose_amplitude=(0.0, 1.0, 1.0, 0.0, 1.0, 0.0))
    assert torch.equal(made.pose.rotation[:, 0], motion.pose.rotation[:, 0])
    assert torch.equal(made.pose.scale, motion.pose.scale)
    assert torch.equal(made.pose.translation[:, 0], motion.pose.translation[:, 0])
    assert not torch.equal(made.pose.rotation[:, 1], motion.pose.rotation[:, 1])


@settings(max_examples=60, deadline=None)
@given(first=st.integers(0, 300), length=st.integers(1, 300), after=st.integers(0, 60), overlap=st.integers(4, 25))
def test_windows_cover_the_range_and_the_last_sees_what_follows(
    first: int, length: int, after: int, overlap: int
) -> None:
    window, context = 50, 10
    end, frames = first + length, first + length + after
    begins = window_begins(first, end, frames, window, context, overlap)
    assert begins[0] <= first and begins[-1] + window >= min(end + context, frames)
    assert all(0 < b - a <= window - overlap for a, b in zip(begins, begins[1:], strict=False))
    assert begins[0] == 0 or begins[0] >= context


def test_what_cannot_be_sampled_again_is_refused() -> None:
    motion = talk(FRAMES, seed=5)
    with pytest.raises(UserError, match="frames 9 to 5"):
        again(motion, Regeneration(9, 5))
    with pytest.raises(UserError, match="strength"):
        Regeneration(0, 5, strength=1.5)
    with pytest.raises(UserError, match="speech"):
        regenerate(GENERATOR, request(FRAMES + 1), motion, Regeneration(0, 5))
    with pytest.raises(UserError, match="at 30 a second"):
        again(replace(motion, pose=replace(motion.pose, fps=30.0)), Regeneration(0, 5))
    with pytest.raises(UserError, match="keypoints|face"):
        again(replace(motion, keypoint_space="liveportrait"), Regeneration(0, 5))

    class Other:
        name = "ditto"

    with pytest.raises(UserError, match="ditto"):
        regenerate(Other(), request(), motion, Regeneration(0, 5))  # type: ignore[arg-type]


def test_progress_counts_the_evaluations_of_the_windows_that_are_sampled() -> None:
    told: list[tuple[int, int]] = []
    motion = talk(FRAMES, seed=5)
    regenerate(GENERATOR, request(), motion, Regeneration(20, 24), lambda step, total: told.append((step, total)))
    assert told == [(k + 1, 3) for k in range(3)], "one window holds the range and what is known on both sides"
    assert PREVIOUS + 4 + PREVIOUS == WINDOW
    told.clear()
    regenerate(GENERATOR, request(), motion, Regeneration(20, 40), lambda step, total: told.append((step, total)))
    assert told == [(k + 1, 12) for k in range(12)], "four windows of three steps"
