"""What an emotion controller is given of a schedule: weights and intensities for every frame."""

from __future__ import annotations

from torch import Tensor

from ..errors import UserError
from ..values import AudioFeatures, EmotionCurve
from .checks import check_curve, columns_by_name
from .emotion import EmotionController


def controlled_emotion(
    controller: EmotionController | None, curve: EmotionCurve | None, audio: AudioFeatures
) -> tuple[Tensor, Tensor] | None:
    """The curve with its columns in the controller's order, by name; None where it has no weights."""
    if curve is None or not bool((curve.weights != 0).any()):
        return None
    if controller is None:
        raise UserError("An emotion was asked for, but there is no emotion model; load one, or leave the emotion off.")
    check_curve(curve, audio)
    weights, calibration = columns_by_name(curve, controller.config.emotions), controller.calibration
    if calibration is None:
        return weights, curve.intensity
    return weights, calibration.network_intensity(weights, curve.intensity)
