"""Editing directions: what one step of a named slider adds to the expression (docs/liveportrait.md 11).

Sliders have the names and ranges of AdvancedLivePortrait. Their keypoint offsets depend on the keypoint space of the
face model, so that a setting gives the same expression in each of them:

* ``liveportrait``: the documented offsets, component by component. Its implicit points answer to signs that were found
  by trying (to raise both brows point 1 goes down and point 2 up), so nothing here is made symmetric.
* ``playmate-demo``: the bundled face model, whose points move as the drawn features do, both sides alike. Its lengths
  are larger: an upper lid travels 0.068 to shut, against LivePortrait's 0.020; a smile of 1 lifts either corner by
  0.038, against 0.020 at point 14; brows rise 0.003 a step, against 0.001. One step of ``aaa`` is 0.001 in both.

"left" is the picture's left (x < 0). Lengths are canonical units: x right, y down, z into the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ..errors import UserError
from ..keypoint_space import LIVEPORTRAIT, PLAYMATE_DEMO, UNKNOWN
from ..values import KEYPOINTS, LIDS, LOWER_LIP, UPPER_LIP

X, Y, Z = 0, 1, 2


@dataclass(frozen=True)
class Slider:
    """The range of a slider within which results are plausible, and its effect towards ``high``."""

    low: float
    high: float
    effect: str

    def __post_init__(self) -> None:
        if not self.low <= 0.0 <= self.high:
            raise ValueError(f"A slider's range must hold 0, got {self.low:g} to {self.high:g}.")


#: Sliders of the expression. ``frown`` lets brows rise and meet at once, as in sorrow; in LivePortrait's space, where
#: one direction is documented for both, it is the lower half of ``eyebrow`` by itself.
SLIDERS: Mapping[str, Slider] = {
    "blink": Slider(-20.0, 8.0, "opens both eyes; -20 shuts them"),
    "eyebrow": Slider(-15.0, 15.0, "raises the brows; below 0 they lower and meet"),
    "frown": Slider(0.0, 15.0, "draws the brows together, on top of eyebrow"),
    "wink": Slider(0.0, 25.0, "shuts the left eye and lifts cheek and corner on its side"),
    "pupil_x": Slider(-15.0, 15.0, "looks to the picture's right"),
    "pupil_y": Slider(-15.0, 15.0, "looks up"),
    "aaa": Slider(-30.0, 120.0, "opens the mouth"),
    "eee": Slider(-20.0, 15.0, "bares the upper teeth"),
    "woo": Slider(-20.0, 15.0, "purses the lips"),
    "smile": Slider(-0.5, 1.3, "lifts the corners of the mouth; below 0 they drop"),
}
#: Sliders of the head, in degrees, added before the rotation is built.
POSE_SLIDERS: Mapping[str, Slider] = {
    "pitch": Slider(-20.0, 20.0, "turns the head as its pitch does"),
    "yaw": Slider(-20.0, 20.0, "turns the head as its yaw does"),
    "roll": Slider(-20.0, 20.0, "tilts the head as its roll does"),
}

_Components = Mapping[tuple[int, int], float]

_SMILE = {(20, Y): -0.01, (14, Y): -0.02, (17, Y): 0.0065, (17, Z): 0.003, (13, Y): -0.00275, (16, Y): -0.00275}
_SMILE |= {(3, Y): -0.0035, (7, Y): -0.0035}
#: Offsets for one step up; the second table holds those that differ below 0, for one step up as well.
_LIVEPORTRAIT: Mapping[str, _Components] = {
    "blink": {(11, Y): -0.001, (13, Y): 0.0003, (15, Y): -0.001, (16, Y): 0.0003},
    "eyebrow": {(1, Y): 0.001, (2, Y): -0.001},
    "frown": {(1, X): 0.001, (2, X): -0.001, (1, Y): -0.0003, (2, Y): 0.0003},
    "wink": {(11, Y): 0.001, (13, Y): -0.0003, (17, X): 0.0003, (17, Y): 0.0003, (3, Y): -0.0003},
    "pupil_x": {(11, X): 0.0007, (15, X): 0.001},
    # -0.001 of gaze and, with b = -v/2, the lids that follow it: -0.001 b and 0.0003 b.
    "pupil_y": {(11, Y): -0.0005, (15, Y): -0.0005, (13, Y): -0.00015, (16, Y): -0.00015},
    "aaa": {(19, Y): 0.001, (19, Z): 0.0001, (17, Y): -0.0001},
    "eee": {(20, Z): -0.001, (20, Y): -0.001, (14, Y): -0.001},
    "woo": {(14, Y): 0.001, (3, Y): -0.0005, (7, Y): -0.0005, (17, Z): -0.0005},
    "smile": _SMILE,
}
_LIVEPORTRAIT_BELOW: Mapping[str, _Components] = {
    "eyebrow": {(1, X): -0.001, (2, X): 0.001, (1, Y): 0.0003, (2, Y): -0.0003},
    "pupil_x": {(11, X): 0.001, (15, X): 0.0007},
}

_DEMO_SMILE = {(14, X): -0.018, (17, X): 0.018, (14, Y): -0.038, (17, Y): -0.038, (17, Z): 0.006}
_DEMO_SMILE |= {(3, X): -0.004, (7, X): 0.004, (3, Y): -0.018, (7, Y): -0.018, (13, Y): -0.008, (16, Y): -0.008}
_DEMO_SMILE |= {(20, Y): -0.006, (0, X): -0.004, (4, X): 0.004}
_DEMO: Mapping[str, _Components] = {
    "blink": {(11, Y): -0.0034, (15, Y): -0.0034, (13, Y): 0.0008, (16, Y): 0.0008},
    "eyebrow": {(1, Y): -0.003, (2, Y): -0.003, (18, Y): -0.0007, (8, Y): -0.0013},
    "frown": {(1, X): 0.0012, (2, X): -0.0012, (1, Y): 0.002, (2, Y): 0.002, (18, Y): 0.0002, (8, Y): 0.0004},
    "wink": {(11, Y): 0.0027, (13, Y): -0.0009, (14, X): -0.0010, (14, Y): -0.0024, (3, Y): -0.0010},
    "pupil_x": {(11, X): 0.0013, (15, X): 0.0013, (13, X): 0.0007, (16, X): 0.0007},
    "pupil_y": {(11, Y): -0.001, (15, Y): -0.001, (13, Y): -0.0007, (16, Y): -0.0007},
    "aaa": {(19, Y): 0.001, (19, Z): 0.00012, (12, Y): 0.00096, (10, Y): 0.00085, (10, Z): 0.0002}
    | {(14, X): 0.00012, (17, X): -0.00012, (14, Y): 0.00032, (17, Y): 0.00032, (0, Y): 0.00015, (4, Y): 0.00015},
    "eee": {(20, Y): -0.0014, (20, Z): -0.0002, (6, Y): -0.0007, (14, Y): -0.0002, (17, Y): -0.0002}
    | {(3, Y): -0.0009, (7, Y): -0.0009, (18, Y): 0.0007, (1, Y): 0.0004, (2, Y): 0.0004},
    "woo": {(14, X): 0.0018, (17, X): -0.0018, (17, Z): -0.0006, (19, Z): -0.0008, (20, Z): -0.0008}
    | {(3, X): 0.0004, (7, X): -0.0004},
    "smile": _DEMO_SMILE,
}
_DEMO_BELOW: Mapping[str, _Components] = {
    "eyebrow": {(1, X): -0.0006, (2, X): 0.0006, (1, Y): -0.0026, (2, Y): -0.0026, (18, Y): -0.001, (8, Y): -0.0006},
}


@dataclass(frozen=True)
class Directions:
    """The sliders of one keypoint space: ``above`` and ``below`` (S, K, 3) float64, one step of each above and below 0.

    ``opening`` (4, K, 3) are the directions in which lips part: lower from upper lip along each axis, and ``aaa``.
    ``lid_travel`` is the change of the lid distance from an open to a closed eye.
    """

    space: str
    above: Tensor
    below: Tensor
    opening: Tensor
    lid_travel: float

    def offset(self, values: Tensor) -> Tensor:
        """What settings (..., S), in the order of SLIDERS, add to the expression -> (..., K, 3) float64."""
        values = values.double()
        rise = torch.einsum("...s,skc->...kc", values.clamp(min=0.0), self.above)
        return rise + torch.einsum("...s,skc->...kc", values.clamp(max=0.0), self.below)

    def lip_locked(self, offset: Tensor, share: float = 1.0) -> Tensor:
        """``offset`` (..., K, 3) with ``share`` of its lip opening removed.

        An orthogonal projection off ``opening``: at 1 both lips move together, and jaw and corners have no component
        along ``aaa``.
        """
        basis = torch.linalg.qr(self.opening.flatten(1).T).Q  # (63, 4)
        flat = offset.double().flatten(-2)
        return (flat - share * (flat @ basis) @ basis.T).unflatten(-1, (KEYPOINTS, 3))


@cache
def has_directions(space: str) -> bool:
    """Whether :func:`directions` knows the sliders of a keypoint space."""
    return space == UNKNOWN or space in _SPACES


def directions(space: str = LIVEPORTRAIT) -> Directions:
    """The sliders of a keypoint space; an unknown one is taken for LivePortrait's.

    Raises UserError for a space whose directions nobody measured.
    """
    space = LIVEPORTRAIT if space == UNKNOWN else space
    if space not in _SPACES:
        raise UserError(
            f"No editing directions are known for the keypoints {space!r}; please choose a model with those of"
            f" {' or '.join(_SPACES)}."
        )
    above, below = _SPACES[space]
    up, down = _tensor(above), _tensor({name: below.get(name, above[name]) for name in SLIDERS})
    aaa = list(SLIDERS).index("aaa")
    parting = torch.zeros(3, KEYPOINTS, 3, dtype=torch.float64)
    for axis in (X, Y, Z):
        parting[axis, LOWER_LIP, axis], parting[axis, UPPER_LIP, axis] = 1.0, -1.0
    upper, lower = LIDS[0]
    blink = down[list(SLIDERS).index("blink")]
    travel = float(blink[lower, Y] - blink[upper, Y]) * -SLIDERS["blink"].low
    return Directions(space, up, down, torch.cat([parting, up[aaa : aaa + 1]]), travel)


def slider_values(settings: Mapping[str, float]) -> Tensor:
    """Settings by name as a row in the order of SLIDERS, (S,) float64, 0 where none is given.

    Raises UserError for an unknown name or a number outside the slider's range.
    """
    for name, value in settings.items():
        check_slider(name, value, SLIDERS)
    return torch.tensor([float(settings.get(name, 0.0)) for name in SLIDERS], dtype=torch.float64)


def check_slider(name: str, value: float, sliders: Mapping[str, Slider]) -> None:
    """Raise UserError unless ``sliders`` hold ``name`` and its range holds ``value``."""
    if name not in sliders:
        raise UserError(f"Unknown slider {name!r}; please choose one of {', '.join(sliders)}.")
    slider = sliders[name]
    if not slider.low <= value <= slider.high:  # NaN is in no range
        raise UserError(f"The slider {name} is {value:g}; please give a number from {slider.low:g} to {slider.high:g}.")


def displaced(value: Tensor, offset: Tensor) -> Tensor:
    """float32 ``value`` plus float64 ``offset``. Zero offsets copy the value, so that it stays bit-identical: -0.0 +
    0.0 would be 0.0."""
    return torch.where(offset == 0, value, (value.double() + offset).float())


def _tensor(table: Mapping[str, _Components]) -> Tensor:
    """(S, K, 3) float64 in the order of SLIDERS."""
    steps = torch.zeros(len(SLIDERS), KEYPOINTS, 3, dtype=torch.float64)
    for row, name in enumerate(SLIDERS):
        for (point, axis), step in table[name].items():
            steps[row, point, axis] = step
    return steps


_SPACES: Mapping[str, tuple[Mapping[str, _Components], Mapping[str, _Components]]] = {
    LIVEPORTRAIT: (_LIVEPORTRAIT, _LIVEPORTRAIT_BELOW),
    PLAYMATE_DEMO: (_DEMO, _DEMO_BELOW),
}
