"""``python -m training figures``: the README's pictures, made by the same calls as every talking video."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from playmate_core.atomic_file import write_atomically
from playmate_core.diffusion.emotion_schedule import NO_EMOTION, EmotionSchedule
from playmate_core.diffusion.generate import joined
from playmate_core.diffusion.options import SamplingOptions
from playmate_core.diffusion.request import MotionGenerator
from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.media.audio_files import read_sound
from playmate_core.media.images import Bytes, read_picture
from playmate_core.motion.edit import hold_rest
from playmate_core.motion.expression_layer import add_emotion
from playmate_core.motion.plot import FONT, INK, plot_motion
from playmate_core.motion.pose import absolute_pose, apply_pose
from playmate_core.pipelines.models import Weights
from playmate_core.pipelines.stages import sample_motion
from playmate_core.pipelines.talk import TalkRequest, load_models
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.render import render
from playmate_core.values import EMOTIONS, AudioFeatures, EmotionCurve, Motion, Portrait, Pose
from playmate_core.weights.folders import bundled
from training.config import parse

logger = logging.getLogger(__name__)


#: Requested angles in degrees, left to right.
YAWS, PITCHES = (-25.0, -12.5, 0.0, 12.5, 25.0), (-15.0, -7.5, 0.0, 7.5, 15.0)
CAPTION, STRIP, PLOT_HEIGHT = 28, 8, 520
#: The face within the bundled portrait, as shares of its sides: top, bottom, left, right.
CLOSE_UP = (0.14, 0.90, 0.12, 0.88)


@dataclass(frozen=True)
class FiguresConfig:
    """What to draw and where. Empty paths are the bundled files; ``tile`` is the side of one face in pixels; ``only``
    names one of FIGURES."""

    out: str = "docs"
    only: str = ""
    face: str = ""
    motion: str = ""
    emotion: str = ""
    portrait: str = ""
    speech: str = ""
    tile: int = 256
    seed: int = 0


@dataclass(frozen=True)
class Studio:
    """A portrait and a voice before the loaded models."""

    request: TalkRequest
    face: FaceModel
    generator: MotionGenerator
    portrait: Portrait
    audio: AudioFeatures
    tile: int

    def perform(self, emotion: str) -> Motion:
        """The whole speech in one emotion at full intensity."""
        schedule = EmotionSchedule.written(emotion, self.request.intensity)
        pieces = sample_motion(self.generator, self.portrait, self.audio, schedule, self.request.sampling)
        return joined(list(pieces))

    def show(
        self, motion: Motion, captions: Sequence[str], part: tuple[float, ...] = (0.0, 1.0, 0.0, 1.0)
    ) -> list[Bytes]:
        """One captioned tile for each frame of ``motion``; ``part`` as CLOSE_UP."""
        drawn = torch.cat(list(render(self.face, self.portrait, motion))).numpy()
        top, bottom, left, right = (round(share * drawn.shape[1]) for share in part)
        drawn = drawn[:, top:bottom, left:right]
        return [captioned(picture, text, self.tile) for picture, text in zip(drawn, captions, strict=True)]


def open_studio(config: FiguresConfig) -> Studio:
    """Load what the figures are made of. Raises UserError as `playmate talk` does."""
    request = TalkRequest(
        portrait=_given(config.portrait) or bundled("portrait.png"),
        speech=_given(config.speech) or bundled("speech.wav"),
        output=Path(),
        sampling=SamplingOptions(seed=config.seed),
        weights=Weights(_given(config.face), _given(config.motion), _given(config.emotion)),
    )
    face, generator = load_models(request)
    portrait = read_portrait(face, read_picture(request.portrait))
    sound = read_sound(request.speech)
    audio = generator.encoder().listen(sound.waveform, sound.rate)
    return Studio(request, face, generator, portrait, audio, config.tile)


def emotions_figure(studio: Studio) -> Bytes:
    """The eight emotions at one moment of the speech, the loudest of its middle third: (2 h, 4 w, 3) RGB."""
    at = loudest(studio.audio)
    tiles = [studio.show(studio.perform(name)[at : at + 1], [name])[0] for name in EMOTIONS]
    return grid(tiles, 4)


def layer_figure(studio: Studio) -> Bytes:
    """The eight emotions of the emotion layer at full intensity, on the bundled face at rest (above) and on the motion
    that the voice alone gives, at the moment of :func:`emotions_figure` (below): (4 h, 4 w, 3) RGB."""
    at, small = loudest(studio.audio), replace(studio, tile=studio.tile * 5 // 8)
    rest = hold_rest(studio.portrait.rest, 1, studio.audio.fps)
    spoken = studio.perform(NO_EMOTION)[at : at + 1].with_pose(rest.pose)
    tiles = []
    for motion, moment in ((rest, ""), (spoken, ", speaking")):
        for name in EMOTIONS:
            with_emotion = add_emotion(motion, EmotionCurve.constant(name, 1.0, 1, motion.fps))
            tiles += small.show(with_emotion, [name + moment], CLOSE_UP)
    return grid(tiles, 4)


def loudest(audio: AudioFeatures) -> int:
    """The loudest frame of the middle third."""
    third = len(audio) // 3
    return third + int(audio.energy[third : 2 * third + 1].argmax())


def pose_figure(studio: Studio) -> Bytes:
    """The portrait's own expression under requested yaws (above) and pitches (below): (2 h, 5 w, 3) RGB."""
    angles = [(0.0, yaw, 0.0) for yaw in YAWS] + [(pitch, 0.0, 0.0) for pitch in PITCHES]
    rest, count = studio.portrait.rest, len(angles)
    held = Motion(Pose(*_repeated(rest.pose, count)), rest.expression.expand(count, -1, -1).clone())
    requested = replace(held.pose, rotation=torch.tensor(angles))
    turned = apply_pose(held, absolute_pose(requested, rest.pose))
    captions = [f"yaw {yaw:g}" for yaw in YAWS] + [f"pitch {pitch:g}" for pitch in PITCHES]
    return grid(studio.show(turned, captions), len(YAWS))


def talk_figure(studio: Studio) -> Bytes:
    """Frames of the demo, evenly spaced in time, above the curves of its motion: RGB."""
    motion = studio.perform(studio.request.emotion)
    frames = np.linspace(0, len(motion) - 1, STRIP + 2).round().astype(int)[1:-1]
    small = replace(studio, tile=studio.tile * 5 // 8)
    tiles = [small.show(motion[at : at + 1], [f"{at / motion.fps:.2f} s"])[0] for at in frames.tolist()]
    strip = grid(tiles, STRIP)
    curves = plot_motion(motion, studio.audio.energy, strip.shape[1], PLOT_HEIGHT)
    return np.concatenate([strip, curves])


def captioned(picture: Bytes, text: str, tile: int) -> Bytes:
    """A picture (S, S, 3) as a tile with ``text`` centred below it: (tile + CAPTION, tile, 3)."""
    how = cv2.INTER_AREA if len(picture) >= tile else cv2.INTER_CUBIC
    canvas: Bytes = np.full((tile + CAPTION, tile, 3), 255, np.uint8)
    canvas[:tile] = cv2.resize(picture, (tile, tile), interpolation=how)
    width = cv2.getTextSize(text, FONT, 0.5, 1)[0][0]
    cv2.putText(canvas, text, ((tile - width) // 2, tile + 19), FONT, 0.5, INK, 1, cv2.LINE_AA)
    return canvas


def grid(tiles: Sequence[Bytes], columns: int) -> Bytes:
    """Tiles of one size, row by row."""
    rows = [np.concatenate(tiles[at : at + columns], 1) for at in range(0, len(tiles), columns)]
    return np.concatenate(rows)


#: The pictures by name, each a PNG in the folder.
FIGURES: dict[str, Callable[[Studio], Bytes]] = {
    "emotions": emotions_figure,
    "emotion_layer": layer_figure,
    "pose_override": pose_figure,
    "talk": talk_figure,
}


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the pictures of FIGURES, or the one that is named. Raises UserError for a name that is none."""
    config = parse(FiguresConfig, argv, __doc__ or "")
    if config.only and config.only not in FIGURES:
        raise UserError(f"There is no figure {config.only!r}; please choose one of {', '.join(FIGURES)}.")
    out = Path(config.out)
    studio = open_studio(config)
    out.mkdir(parents=True, exist_ok=True)
    for name in [config.only] if config.only else FIGURES:
        write_atomically(out / f"{name}.png", cv2.imencode(".png", FIGURES[name](studio)[..., ::-1])[1].tobytes())
        logger.info("%s", out / f"{name}.png")


def _given(path: str) -> Path | None:
    return Path(path) if path else None


def _repeated(pose: Pose, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rotation, translation, scale = (
        part.expand(count, -1).clone() for part in (pose.rotation, pose.translation, pose.scale)
    )
    return rotation, translation, scale
