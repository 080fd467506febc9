"""ARKit's 52 blend shapes of a motion, as near as the editing directions come."""

from __future__ import annotations

import torch
from torch import Tensor

from ..values import LIDS, LOWER_LIP, UPPER_LIP, Motion
from .directions import SLIDERS, Y, directions
from .expression_layer import lid_apertures, open_lids
from .lips_and_lids import lips_open

_SIDES = ("Left", "Right")


def _both(*names: str) -> tuple[str, ...]:
    return tuple(name + side for name in names for side in _SIDES)


#: In the order of Live Link Face. Left is the person's, so the picture's right.
ARKIT_SHAPES: tuple[str, ...] = (
    *(
        f"eye{what}{side}"
        for side in _SIDES
        for what in ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
    ),
    *("jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker"),
    *("mouthRight", "mouthLeft"),
    *_both("mouthSmile", "mouthFrown", "mouthDimple", "mouthStretch"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *_both("mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown"),
    *("browInnerUp", *_both("browOuterUp"), "cheekPuff", *_both("cheekSquint", "noseSneer"), "tongueOut"),
)
#: How many steps of aaa a jaw that is open all the way has, and how many times the travel of the lids a wide eye.
JAW_STEPS, WIDE = 100.0, 2.0
_NAMES = list(SLIDERS)


def arkit_shapes(motion: Motion) -> Tensor:
    """(T, 52) in 0..1, in the order of ARKIT_SHAPES.

    Lids and jaw are measured, against the clip's own open eyes and closed lips; brows, smile, pucker, upper lip and
    gaze are the sliders that fit the expression best. Shapes that no slider moves stay 0: jaw aside, tongue, cheeks.
    Raises UserError for a keypoint space without directions.
    """
    ways = directions(motion.keypoint_space)
    fitted = dict(zip(SLIDERS, fitted_sliders(motion).unbind(-1), strict=True))
    found: dict[str, Tensor] = {}
    shut = (open_lids(motion) - lid_apertures(motion)) / ways.lid_travel  # (T, 2), the picture's left and right
    for eye, side in enumerate(("Right", "Left")):
        found[f"eyeBlink{side}"], found[f"eyeWide{side}"] = shut[:, eye], -WIDE * shut[:, eye]
        right = fitted["pupil_x"] / SLIDERS["pupil_x"].high
        out = right if side == "Left" else -right
        found[f"eyeLookOut{side}"], found[f"eyeLookIn{side}"] = out, -out
        up = fitted["pupil_y"] / SLIDERS["pupil_y"].high
        found[f"eyeLookUp{side}"], found[f"eyeLookDown{side}"] = up, -up
        found[f"mouthSmile{side}"], found[f"mouthFrown{side}"] = fitted["smile"], -2.0 * fitted["smile"]
        found[f"mouthUpperUp{side}"] = fitted["eee"] / SLIDERS["eee"].high
        brow = fitted["eyebrow"] / SLIDERS["eyebrow"].high
        found[f"browOuterUp{side}"], found[f"browDown{side}"] = brow, fitted["frown"] / SLIDERS["frown"].high - brow
    aaa = ways.above[list(SLIDERS).index("aaa")]
    found["jawOpen"] = lips_open(motion) / (float(aaa[LOWER_LIP, Y] - aaa[UPPER_LIP, Y]) * JAW_STEPS)
    found["mouthPucker"] = fitted["woo"] / SLIDERS["woo"].high
    found["browInnerUp"] = fitted["eyebrow"] / SLIDERS["eyebrow"].high
    nothing = torch.zeros(len(motion), dtype=torch.float64)
    return torch.stack([found.get(name, nothing).clamp(0.0, 1.0) for name in ARKIT_SHAPES], -1)


def fitted_sliders(motion: Motion) -> Tensor:
    """The slider values whose offsets come nearest to the expression, as a departure from the middle of the clip
    in the lids and from zero elsewhere, (T, S) float64.

    In the places of ``blink`` and ``wink``, which move both eyes or cheek and mouth besides, stands how far the lids of
    the picture's left and right eye are shut, so that one eye that shuts is not taken for half a smile.
    """
    ways = directions(motion.keypoint_space)
    seen = motion.expression.double().clone()
    for lids in LIDS:
        seen[:, list(lids)] -= seen[:, list(lids)].median(0).values if len(motion) else 0.0
    steps = ways.above.clone()
    blink = steps[_NAMES.index("blink")].clone()
    for name, lids in zip(("blink", "wink"), LIDS, strict=True):
        steps[_NAMES.index(name)] = 0.0
        steps[_NAMES.index(name), list(lids)] = blink[list(lids)]
    basis = steps.flatten(1).T  # (63, S)
    # A little of ridge keeps sliders that nearly are each other's opposite from cancelling.
    ridge = 1e-8 * torch.eye(len(SLIDERS), dtype=torch.float64)
    return torch.linalg.solve(basis.T @ basis + ridge, basis.T @ seen.flatten(1).T).T
