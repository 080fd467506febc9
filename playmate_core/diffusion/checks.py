"""Input checks shared by all motion generators, made before any slow work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from ..errors import UserError
from ..values import KEYPOINTS, AudioFeatures, EmotionCurve, expect, expect_same_rate, row_blocks
from .request import GenerationRequest

#: The emotion that every generator accepts.
NEUTRAL = "neutral"


def check_request(request: GenerationRequest, *modules: nn.Module) -> None:
    """Raise ValueError or UserError for a malformed portrait, speech without frames, non-finite numbers, and networks
    in training mode."""
    if any(module.training for module in modules):
        raise ValueError("The motion model is in training mode, where dropout adds noise; call train(False) first.")
    keypoints, rest, audio = request.portrait_keypoints, request.rest, request.audio
    expect("portrait_keypoints", keypoints, KEYPOINTS, 3)
    if len(rest) != 1:
        raise ValueError(f"rest must be one frame, got {len(rest)}.")
    if len(audio) == 0:
        raise UserError("The audio has no frames; give a speech that lasts at least one frame.")
    pose = rest.pose
    portrait = (keypoints, rest.expression, pose.rotation, pose.translation, pose.scale)
    parts: dict[str, Iterable[Tensor]] = {"audio": row_blocks(audio.features), "portrait": portrait}
    for name, tensors in parts.items():
        if not all(bool(part.isfinite().all()) for part in tensors):
            raise UserError(f"The {name} holds NaN or infinite numbers; read it again from an intact file.")
    if request.previous is not None:
        expect_same_rate(request.previous.fps, audio.fps, "The previous motion and the audio")


def check_encoder(model: str, audio: AudioFeatures, encoder: str, width: int) -> None:
    """Raise UserError for features of another audio encoder, ValueError for another frame rate than 25."""
    if audio.encoder != encoder or audio.features.shape[1:] != (1, width):
        raise UserError(
            f"This speech was heard by {audio.encoder}, and {model}'s model was trained on {encoder}; encode the audio"
            f" for the model that is to speak."
        )
    if audio.fps != 25.0:
        raise ValueError(f"{model}'s model makes 25 frames a second, got audio at {audio.fps:g}.")


def check_curve(curve: EmotionCurve, audio: AudioFeatures) -> None:
    """Raise for an emotion curve of another length or rate than ``audio``, or with non-finite numbers."""
    if len(curve) != len(audio):
        raise UserError(f"The emotion has {len(curve)} frames and the audio {len(audio)}; give one row for each frame.")
    expect_same_rate(curve.fps, audio.fps, "The emotion and the audio")
    if not bool(curve.weights.isfinite().all() and curve.intensity.isfinite().all()):
        raise UserError("The emotion holds NaN or infinite numbers; give weights and intensities from 0 to 1.")


def columns_by_name(curve: EmotionCurve, known: Sequence[str]) -> Tensor:
    """The weights (T, E) of a curve in the order of the model's names ``known``. Raises UserError for an unknown
    one."""
    unknown = [n for i, n in enumerate(curve.names) if n not in known and bool(curve.weights[:, i].any())]
    if unknown:
        raise UserError(f"This emotion model does not know {unknown[0]!r}; choose one of {', '.join(known)}.")
    columns = curve.weights.new_zeros(len(curve), len(known))
    for i, name in enumerate(curve.names):
        if name in known:
            columns[:, known.index(name)] = curve.weights[:, i]
    return columns


def refuse_emotion(model: str, curve: EmotionCurve | None) -> None:
    """Raise UserError for an emotion other than neutral, for models without emotions."""
    if curve is None:
        return
    strength = curve.weights.abs() * curve.intensity[:, None]
    asked = [name for i, name in enumerate(curve.names) if name != NEUTRAL and bool(strength[:, i].any())]
    if asked:
        raise UserError(
            f"{model}'s model has no emotion of its own, and {asked[0]!r} was asked for; leave the emotion off, or"
            " choose neutral."
        )
