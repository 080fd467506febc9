"""The model files of a talking video, and loading them onto their device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..diffusion.model_controls import ModelControls
from ..diffusion.request import MotionGenerator
from ..face import FaceModel
from ..rendering.device import to_device
from ..weights.files import load_face
from ..weights.folders import bundled
from ..weights.generator_file import Companions
from ..weights.generators import load_generator
from .stages import check_generator


@dataclass(frozen=True)
class Weights:
    """Model files; None is the bundled one. ``audio``: a local folder with the audio encoder, where it has weights."""

    face: Path | None = None
    motion: Path | None = None
    emotion: Path | None = None
    audio: str | None = None


def load_talk_models(
    weights: Weights, emotional: bool, controls: ModelControls, device: str, precision: str
) -> tuple[FaceModel, MotionGenerator]:
    """Load the face model and the motion generator onto the device. Raises UserError where one cannot drive the other.

    Playmate's own generator is loaded without its emotion model unless ``emotional``.
    """
    face = load_face(weights.face or bundled("face.safetensors"))
    emotion = (weights.emotion or bundled("emotion.safetensors")) if emotional else None
    generator = load_generator(weights.motion or bundled("motion.safetensors"), Companions(emotion=emotion))
    generator = generator.controlled(controls)
    check_generator(generator, face.config.keypoint_space)
    for module in generator.modules:
        module.to(device)
    return to_device(face, device, precision), generator
