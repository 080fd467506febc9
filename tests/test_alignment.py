"""Frame i stays frame i: the voice, the emotion and the motion arrive where they belong, whatever windows or parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from motion_models import AUDIO, SMALL, WINDOW, controller, denoiser, rest
from portrait_videos import write
from torch import Tensor

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser, PreparedConditions, WindowContext
from playmate_core.diffusion.emotion import EmotionController
from playmate_core.diffusion.generate import generate
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.pose_prior import PosePrior
from playmate_core.diffusion.request import GenerationRequest
from playmate_core.face import FaceModel
from playmate_core.media.images import read_picture
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.motion.driving import DrivingOptions
from playmate_core.motion.motion_file import MotionClip, save_motion_clip
from playmate_core.pipelines.animate import AnimateRequest, animate
from playmate_core.rendering import segments
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.segments import VideoOutput
from playmate_core.rendering.source_video import FaceVideoOptions, read_driving
from playmate_core.values import EMOTIONS, LIP_KEYPOINTS, AudioFeatures, EmotionCurve, Motion, Pose
from playmate_core.weights.files import load_face

FRAMES = 3 * WINDOW + 1
#: A hundredth a frame, far inside the limit of six standard deviations.
RAMP = torch.arange(FRAMES) / 100


class Repeats(MotionDenoiser):
    """Predicts, in every expression channel, the first audio feature of the very frame (channel 0 of the hidden
    frames) plus what the controller adds (channel 1). The pose stays at its mean."""

    def __init__(self, config: MotionConfig) -> None:
        super().__init__(config)
        self.eval().requires_grad_(False)

    def prepare(self, context: WindowContext) -> PreparedConditions:
        heard = torch.zeros(*context.audio.shape[:2], self.config.width)
        heard[..., 0] = context.audio[..., 0, 0]
        return PreparedConditions(heard, context.previous, context.identity, None, None)

    def run(self, noisy: Tensor, t: Tensor, prepared: PreparedConditions) -> Tensor:
        return prepared.audio

    def expression_head(self, hidden: Tensor) -> Tensor:
        return hidden[:, self.config.previous :, :2].sum(-1, keepdim=True).expand(-1, -1, 63)

    def pose_head(self, hidden: Tensor) -> Tensor:
        return torch.zeros(*hidden[:, self.config.previous :].shape[:2], 6)


class Shows(EmotionController):
    """Adds, to hidden channel 1 of every current frame, how strongly it is to look happy."""

    def forward(
        self, hidden: Tensor, t: Tensor, weights: Tensor, intensity: Tensor, null: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        moved = hidden.clone()
        shown = weights[..., EMOTIONS.index("happy")] * intensity
        moved[:, hidden.shape[1] - weights.shape[1] :, 1] = shown.masked_fill(null[:, None], 0.0)
        return moved


def curve_of(voice: Tensor, happy: Tensor | None, overlap: int) -> Tensor:
    """The number that each generated frame shows (T,)."""
    features = torch.zeros(len(voice), 1, AUDIO)
    features[:, 0, 0] = voice
    emotion = None
    if happy is not None:
        weights = torch.zeros(len(voice), len(EMOTIONS))
        weights[:, EMOTIONS.index("happy")] = 1.0
        emotion = EmotionCurve(weights, happy)
    options = SamplingOptions(steps=2, overlap=overlap, cfg_audio=1.0, cfg_audio_pose=1.0, cfg_emotion=1.0)
    audio = AudioFeatures(features, torch.zeros(len(voice)), "logmel")
    request = GenerationRequest(torch.zeros(21, 3), rest(), audio, emotion, options)
    return generate(Repeats(SMALL), Shows(controller().config).eval(), request).expression[:, 0, 0]


@pytest.mark.parametrize("overlap", [0, 1, 3, WINDOW // 2])
@pytest.mark.parametrize("frames", [WINDOW, WINDOW + 1, FRAMES])
def test_frame_i_of_the_motion_is_frame_i_of_the_voice(overlap: int, frames: int) -> None:
    """Where two windows agree about their common frames, fading from one to the other must change nothing."""
    torch.testing.assert_close(curve_of(RAMP[:frames], None, overlap), RAMP[:frames], atol=1e-5, rtol=0)


@pytest.mark.parametrize("overlap", [0, 3])
def test_frame_i_of_the_motion_shows_frame_i_of_the_emotion(overlap: int) -> None:
    happy = (RAMP * 2).clamp(max=1.0)
    torch.testing.assert_close(curve_of(torch.zeros(FRAMES), happy, overlap), happy, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("normalisation", "named"), [("clip", "typical"), ("global", "global")])
def test_the_head_moves_by_the_spread_its_model_was_normalised_with(normalisation: str, named: str) -> None:
    """A model of clip-normalised poses moves the head by the typical std of a clip, the ablation by the global one."""
    model = denoiser(replace(SMALL, pose_normalisation=normalisation))
    stds = {"typical": torch.tensor([1.0, 2.0, 0.5, 0.01, 0.02, 0.03]), "global": torch.arange(6) + 4.0}
    model.statistics.pose_typical_std.copy_(stds["typical"])
    model.statistics.pose_global_std.copy_(stds["global"])
    prior = PosePrior.of(rest(), model, SamplingOptions(pose_amplitude=0.5))
    torch.testing.assert_close(prior.std.float(), 0.5 * stds[named])
    pose, _ = prior.decode(torch.ones(1, 6), 25.0)
    torch.testing.assert_close(pose.rotation - prior.mean[:3].float(), 0.5 * stds[named][:3][None], atol=1e-5, rtol=0)


# Videos: each frame is drawn as bright as its own motion says, and each frame of a video shows its own number.

PART, SHOWN = 7, 25


def brightness_of(i: Tensor | int) -> Tensor:
    """Eight grey levels a frame, which no encoder confuses."""
    return (20 + 8 * torch.as_tensor(i)) / 255


def draw_brightness(self: FaceModel, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
    """A flat picture whose brightness says how many tenths of the second lip's way the first has gone."""
    first, second = (x_d - x_s)[:, LIP_KEYPOINTS[:2], 0].unbind(1)
    number = torch.where(second > 1e-3, 10 * first / second.clamp(min=1e-3), torch.zeros(()))
    return brightness_of(number)[:, None, None, None].expand(len(x_d), 3, 64, 64).clone()


def counting() -> Motion:
    """Frame i moves the first lip by i tenths of the second's way, whatever the scale of a head; frame 0 rests."""
    expression = torch.zeros(SHOWN, 21, 3)
    expression[:, LIP_KEYPOINTS[0], 0] = 0.01 * torch.arange(SHOWN)
    expression[1:, LIP_KEYPOINTS[1], 0] = 0.1
    return Motion(Pose(torch.zeros(SHOWN, 3), torch.zeros(SHOWN, 3), torch.ones(SHOWN, 1)), expression)


def numbers_at(path: Path, row: int, column: int) -> list[int]:
    """The numbers that the frames of a video show at a pixel."""
    return [round((float(frame.picture[row, column].mean()) - 20) / 8) for frame in read_frames(path)]


def stop_in_the_second_part(stage: str, done: int, total: int) -> None:
    if stage == "render and encode" and done > PART:
        raise KeyboardInterrupt


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """A video twice as wide as high, as bright as each frame's number."""
    path = tmp_path / "numbered.mp4"
    with VideoWriter(path, 25.0) as video:
        for i in range(SHOWN):
            video.write(brightness_of(i).expand(1, 64, 128, 3))
    return path


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "PART", PART)
    monkeypatch.setattr(FaceModel, "draw", draw_brightness)


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("resumable", [False, True])
@pytest.mark.parametrize("expression", ["absolute", "relative"])
def test_every_part_of_a_long_video_begins_at_its_own_frame(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, resumable: bool, expression: str
) -> None:
    face = load_face(tiny_face)
    portrait = replace(read_portrait(face, read_picture(portrait_picture), "whole"), rest=counting()[:1])
    output = VideoOutput(tmp_path / "a.mp4", resumable=resumable)
    rendering = replace(RenderOptions(batch=4), expression=expression, stitching=False)
    write(face, portrait, counting(), output, rendering=rendering)
    assert numbers_at(output.path, 32, 32) == list(range(SHOWN))


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("portrait", ["picture", "film"])
def test_every_part_of_a_long_animation_begins_at_its_own_frame(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, numbered: Path, resume: bool, portrait: str
) -> None:
    driving, out = tmp_path / "driving.safetensors", tmp_path / "a.mp4"
    save_motion_clip(MotionClip(counting()), driving)
    request = AnimateRequest(portrait_picture if portrait == "picture" else numbered, driving, out, crop="whole")
    how = DrivingOptions(priority="pose", stitching=False)
    request = replace(request, how=how, weights=tiny_face, limits=None, batch=4, resume=resume)
    if resume:  # the first part is there, the others are drawn by a second run
        with pytest.raises(KeyboardInterrupt):
            animate(request, stop_in_the_second_part)
    animate(request)
    height, width = next(read_frames(out)).picture.shape[:2]
    assert numbers_at(out, height // 2, width // 2) == list(range(SHOWN))
    if portrait == "film":  # beside the square of the face it is the video itself
        assert numbers_at(out, height // 2, 4) == list(range(SHOWN))


@pytest.mark.parametrize("first", [0.0, 0.04, 1.5])
def test_a_video_is_timed_from_its_first_frame(tmp_path: Path, tiny_face: Path, numbered: Path, first: float) -> None:
    """Cut videos often begin later than at 0: their frames, and the motion read of them, do not."""
    later = tmp_path / "later.mkv"  # an mp4 would hide the gap in its edit list
    with av.open(str(numbered)) as source, av.open(str(later), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                packet.pts += round(first / packet.time_base)
                packet.dts += round(first / packet.time_base)
                target.mux(packet)
    with av.open(str(later)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(first, abs=2e-3)
    assert [frame.time for frame in read_frames(later)] == pytest.approx(np.arange(SHOWN) / 25, abs=2e-3)
    face, plain = load_face(tiny_face), FaceVideoOptions("whole")
    at_zero, shifted = (read_driving(face, path, plain).motion for path in (numbered, later))
    assert shifted.fps == at_zero.fps and len(shifted) == SHOWN
    torch.testing.assert_close(shifted.pose.rotation, at_zero.pose.rotation)
