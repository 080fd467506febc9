"""Speech that comes in pieces gives the motion and the frames of the whole recording, window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generator_requests import flat
from motion_models import rest

from playmate_core.diffusion.emotion_schedule import EmotionSchedule
from playmate_core.diffusion.generate import PlaymateGenerator, generate
from playmate_core.diffusion.live import GrowingRows, LiveMotion, LiveRequest
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import BaseGenerator, GenerationRequest, joined
from playmate_core.errors import UserError
from playmate_core.media.audio_files import read_sound
from playmate_core.motion.edit import resample_motion
from playmate_core.motion.pose import still
from playmate_core.motion.stream import MotionStream
from playmate_core.pipelines.live import LiveOptions, LiveTalk
from playmate_core.pipelines.stages import fitted_pieces, with_fitted_pose
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import RenderOptions, render
from playmate_core.rendering.segments import RenderJob
from playmate_core.rendering.write_video import portrait_job
from playmate_core.speech.encoders import make_encoder
from playmate_core.speech.live import LiveLogMel, SpeechLevel
from playmate_core.values import AudioFeatures, Motion, Pose
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled
from playmate_core.weights.generator_file import Companions
from playmate_core.weights.generators import load_generator

RATE = 16000
POINTS = 0.1 * torch.randn(21, 3, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def generator() -> Any:
    return load_generator(bundled("motion.safetensors"), Companions(emotion=bundled("emotion.safetensors")))


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """The bundled speech, 16 kHz mono."""
    from playmate_core.speech.waveform import to_mono_16k

    sound = read_sound(bundled("speech.wav"))
    return np.asarray(to_mono_16k(sound.waveform, sound.rate))


def features(frames: int, generator: PlaymateGenerator) -> AudioFeatures:
    shape = (frames, generator.denoiser.config.audio_layers, generator.denoiser.config.audio_width)
    rows = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    return AudioFeatures(rows, torch.rand(frames), "logmel")


def cut(audio: AudioFeatures, size: int) -> Iterator[AudioFeatures]:
    for part in torch.arange(len(audio)).split(size):
        yield replace(audio, features=audio.features[part], energy=audio.energy[part])


@pytest.mark.parametrize("pose_anchor", ["mean", "first"])
@pytest.mark.parametrize("beyond", [-70, -1, 0, 1, 2, 40])
def test_pieces_of_speech_give_the_motion_of_the_whole(generator: Any, beyond: int, pose_anchor: str) -> None:
    """Whatever the length of the speech relative to its windows, and of the pieces."""
    config = generator.denoiser.config
    options = SamplingOptions(steps=2, seed=5, pose_anchor=pose_anchor)
    frames = 2 * config.window - options.overlap + beyond
    audio, emotion = features(frames, generator), EmotionSchedule.written("0:happy,2:sad", 0.9)
    clip = GenerationRequest(POINTS, rest(), audio, emotion.curve(frames), options)
    whole = generate(generator.denoiser, generator.controller, clip)
    for size in (1, 7, frames):
        live = LiveMotion(generator, LiveRequest(POINTS, rest(), emotion, options))
        pieces, pushed, sent = list[Motion](), 0, 0
        for part in cut(audio, size):
            pushed += len(part)
            pieces += list(live.push(part))
            sent = sum(map(len, pieces))
            assert pushed - sent <= live.look_ahead + options.overlap
        pieces += list(live.finish())
        assert torch.equal(flat(joined(pieces)), flat(whole)) and not list(live.finish())
        if size == 1:
            stride = config.window - options.overlap
            complete = 0 if frames < config.window else 1 + (frames - config.window) // stride
            assert sent == complete * stride


def test_the_parameters_must_make_sense_live(generator: Any) -> None:
    wrong = SamplingOptions(cfg_audio=(1.0, 2.0))
    with pytest.raises(UserError, match="whole speech"):
        LiveMotion(generator, LiveRequest(POINTS, rest(), options=wrong))
    assert not list(LiveMotion(generator, LiveRequest(POINTS, rest())).finish())


def test_rows_grow_in_place() -> None:
    growing, wanted = GrowingRows(torch.arange(3.0)), torch.arange(40.0)
    for part in wanted[3:].split(5):
        growing.append(part)
    assert torch.equal(growing.rows, wanted)


@pytest.mark.parametrize("size", [100, 640, 5000])
def test_samples_in_pieces_are_encoded_as_the_whole(speech: np.ndarray, size: int) -> None:
    sound = speech[: 3 * RATE + 123] + np.float32(0.01)
    whole = make_encoder("logmel").listen(sound, RATE)
    live, parts = LiveLogMel(SpeechLevel.of(sound, RATE)), list[AudioFeatures]()
    for begin in range(0, len(sound), size):
        parts += [part for part in [live.push(sound[begin : begin + size])] if part is not None]
        heard = begin + min(size, len(sound) - begin)
        assert sum(map(len, parts)) == max(0, (heard - 176) // 640)
    parts += [part for part in [live.finish()] if part is not None]
    assert torch.allclose(torch.cat([part.features for part in parts]), whole.features, atol=1e-4)
    assert torch.allclose(torch.cat([part.energy for part in parts]), whole.energy, atol=1e-4)


def test_without_a_level_speech_is_levelled_as_it_comes(speech: np.ndarray) -> None:
    """Quiet and loud recordings of the same speech come to lie together within a few seconds."""
    ends = []
    for loud in (0.2, 1.0):
        live = LiveLogMel()
        live.push(loud * speech[: 4 * RATE])
        part = live.push(loud * speech[4 * RATE : 5 * RATE])
        assert part is not None
        ends.append(part.features)
    assert (ends[0] - ends[1]).abs().mean() < 0.05


def test_a_portrait_speaks_live_as_in_the_video(generator: Any, speech: np.ndarray, tiny_face: Path) -> None:
    """The frames are those of the whole recording's motion, though most came before its end."""
    face = load_face(tiny_face)
    portrait = read_portrait(face, torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0)), "whole")
    sound, options = speech[: 4 * RATE], SamplingOptions(steps=2)
    audio = generator.encoder().listen(sound, RATE)
    clip = GenerationRequest(portrait.keypoints, portrait.rest, audio, options=options)
    motion = generate(generator.denoiser, generator.controller, clip)
    rendering = RenderOptions(expression="relative")
    wanted = torch.cat(list(render(face, portrait, motion, rendering)))
    live = LiveTalk(face, generator, portrait, LiveOptions(None, options, rendering, SpeechLevel.of(sound, RATE)))
    shown = [frames for begin in range(0, len(sound), 1600) for frames in live.push(sound[begin : begin + 1600])]
    early = sum(map(len, shown))
    shown += list(live.finish())
    assert early >= 100 - live.look_ahead - 1 > 0
    assert torch.cat(shown).shape == wanted.shape == (100, 64, 64, 3)
    assert (torch.cat(shown).int() - wanted.int()).abs().max() <= 1


def test_other_generators_are_refused_live(tiny_face: Path) -> None:
    face: Any = load_face(tiny_face)
    portrait = read_portrait(face, torch.rand(64, 64, 3), "whole")
    other: Any = type("Other", (BaseGenerator,), {"name": "joyvasa"})()
    with pytest.raises(UserError, match="joyvasa cannot be driven live"):
        LiveTalk(face, other, portrait)


def moving(frames: int) -> Motion:
    random = torch.Generator().manual_seed(2)
    pose = Pose(torch.randn(frames, 3, generator=random), torch.zeros(frames, 3), torch.ones(frames, 1))
    return Motion(pose, 0.01 * torch.randn(frames, 21, 3, generator=random))


def test_a_stream_takes_pieces_when_they_are_needed() -> None:
    motion, taken = moving(20), list[int]()

    def pieces() -> Iterator[Motion]:
        for begin in range(0, 20, 6):
            taken.append(begin)
            yield motion[begin : begin + 6]

    stream = MotionStream(pieces(), 20)
    assert not taken and torch.equal(flat(stream.first_frame()), flat(motion[:1])) and taken == [0]
    parts = stream.parts(4, 9)
    assert [len(next(parts)), *taken] == [2, 0] and [len(part) for part in parts] == [3] and taken == [0, 6]
    assert torch.equal(flat(stream.whole()), flat(motion)) and taken == [0, 6, 12, 18]
    short = MotionStream(iter([motion[:5]]), 6)
    with pytest.raises(ValueError, match="ended after 5"):
        short.whole()


@pytest.mark.parametrize("fps", [2.0, 12.5, 23.976, 25.0, 30.0, 60.0])
@pytest.mark.parametrize("length", [1, 6, 70])
def test_a_stream_is_resampled_as_the_whole_motion_is(fps: float, length: int) -> None:
    motion, taken = moving(length), list[int]()

    def pieces() -> Iterator[Motion]:
        for begin in range(0, length, 6):
            taken.append(begin)
            yield motion[begin : begin + 6]

    stream, wanted = MotionStream(pieces(), length).resampled(fps), resample_motion(motion, fps)
    assert not taken and (len(stream), stream.fps) == (len(wanted), wanted.fps)
    assert torch.equal(flat(stream.first_frame()), flat(wanted[:1]))
    assert taken == [0], "the first frame needs the first piece alone"
    assert torch.equal(flat(stream.whole()), flat(wanted))


def test_a_pose_is_fitted_to_pieces_as_to_the_whole() -> None:
    motion, own = moving(20), still(moving(1).pose, 1)
    pose = replace(moving(7).pose, fps=12.5)
    pieces = fitted_pieces(iter([motion[:6], motion[6:]]), pose, own, "bounce", 20)
    assert torch.equal(flat(joined(list(pieces))), flat(with_fitted_pose(motion, pose, own, "bounce")))
    assert torch.equal(flat(joined(list(fitted_pieces(iter([motion]), None, own, "hold", 20)))), flat(motion))


def test_frames_are_drawn_before_the_motion_ends(tiny_face: Path) -> None:
    """The first batch of a streamed motion needs its first piece alone; all of it is what the whole motion gives."""
    face = load_face(tiny_face)
    portrait = read_portrait(face, torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(0)), "whole")
    motion, taken = moving(20), list[int]()

    def job(how: Motion | MotionStream) -> RenderJob:
        return portrait_job(face, portrait, how, RenderOptions("relative", batch=4))

    def pieces() -> Iterator[Motion]:
        for begin in range(0, 20, 6):
            taken.append(begin)
            yield motion[begin : begin + 6]

    told: list[tuple[int, int]] = []
    drawn = job(MotionStream(pieces(), 20)).pictures(lambda *step: told.append(step))
    first = next(drawn)
    assert len(first) == 1 and taken == [0], "the first frame alone"
    others = list(drawn)
    assert max(map(len, others)) == 2, "two frames at once on a processor"
    shown, wanted = torch.cat([first, *others]), torch.cat(list(job(motion).pictures()))
    assert (shown.int() - wanted.int()).abs().max() <= 1 and told[-1] == (20, 20) and told == sorted(told)
    streamed, held = job(MotionStream(pieces(), 20)), job(motion)
    assert streamed.fingerprint() == held.fingerprint()
    taken.clear()
    assert streamed.key(0, 6) == held.key(0, 6) != held.key(6, 12) and taken == [0], "a part needs its own frames"
