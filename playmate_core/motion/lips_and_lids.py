"""Scale the lip opening while closed lips stay closed; add, replace or remove blinks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError
from ..interpolation import lerp
from ..times import TimeRange
from ..values import LIDS, LOWER_LIP, UPPER_LIP, Motion
from .directions import SLIDERS, Directions, Y, directions, displaced, has_directions, slider_values
from .expression_layer import lid_apertures, open_lids

BLINKS = ("keep", "add", "replace", "none")
#: Quantile of the clip's lip distances that counts as closed.
_CLOSED_QUANTILE = 0.1
#: A blink closes an eye by more than half and lasts while it is closed by more than a tenth, at most a second.
_BLINKS, _DRIFTS, _LONGEST = 0.5, 0.1, 1.0
#: A voice is silent below this loudness.
SILENT = 0.05
#: Shortest pause of speech, and how long lips take to close and to open again, in seconds.
_PAUSE, _EASE = 0.2, 0.12
#: Seconds of closing, closed and opening, and from the start of a blink to the earliest start of the next.
_DOWN, _SHUT, _UP, _REFRACTORY = 0.08, 0.04, 0.16, 0.5


@dataclass(frozen=True)
class Blinks:
    """``mode`` one of BLINKS; the added ones come ``per_minute`` on average, at times that ``seed`` decides."""

    mode: str = "keep"
    per_minute: float = 17.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in BLINKS:
            raise UserError(f"Unknown blinks {self.mode!r}; please choose one of {', '.join(BLINKS)}.")
        if not 0.0 <= self.per_minute <= 60.0:
            raise UserError(f"Got {self.per_minute:g} blinks a minute; please give a number from 0 to 60.")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"Got the seed {self.seed}; please choose a whole number from 0 to 2^63 - 1.")


def lip_gain(motion: Motion, gain: float) -> Motion:
    """Scale the lip opening by ``gain`` (0..3), along ``aaa``; closed lips stay bit-identical.

    Closed is the 10 % quantile of their distance in the clip. Raises UserError for a gain out of range.
    """
    if not 0.0 <= gain <= 3.0:
        raise UserError(f"The lip gain is {gain:g}; please give a number from 0 to 3.")
    if gain == 1.0 or not len(motion):
        return motion
    return _parted(motion, torch.full((len(motion),), gain, dtype=torch.float64))


def closed_lips(motion: Motion, share: Tensor) -> Motion:
    """Lips that are closed as far as ``share`` (T,) in 0..1 says: 0 keeps every bit, 1 closes them."""
    return motion if not len(motion) else _parted(motion, 1.0 - share.double())


def silence(energy: Tensor, frames: int, fps: float, threshold: float) -> Tensor:
    """How silent every frame is, (T,) float64 in 0..1, eased at both ends of a pause.

    A pause is at least 0.2 s in which the loudness ``energy`` stays below ``threshold``; after its end all is silent.
    """
    loud = torch.zeros(frames, dtype=torch.bool)
    loud[: len(energy)] = energy[:frames] >= threshold
    share = torch.zeros(frames, dtype=torch.float64)
    for first, last in runs(~loud):
        if last - first + 1 >= _PAUSE * fps:
            end = None if last == frames - 1 else (last + 1) / fps
            fade_in = _EASE if first else 0.0
            share = torch.maximum(share, TimeRange(first / fps, end).envelope(frames, fps, fade_in, _EASE))
    return share


def runs(marked: Tensor) -> list[tuple[int, int]]:
    """First and last frame of every run of True in (T,) bool."""
    change = torch.diff(marked.int(), prepend=torch.zeros(1).int(), append=torch.zeros(1).int())
    first, end = (torch.nonzero(change == sign)[:, 0].tolist() for sign in (1, -1))
    return [(one, other - 1) for one, other in zip(first, end, strict=True)]


def _parted(motion: Motion, gain: Tensor) -> Motion:
    """How far the lips part in every frame times ``gain`` (T,), along ``aaa``."""
    aaa = directions(motion.keypoint_space).offset(slider_values({"aaa": 1.0}))
    aaa = aaa / (aaa[LOWER_LIP, Y] - aaa[UPPER_LIP, Y])  # parts the lips by 1
    offset = (gain - 1.0)[:, None, None] * lips_open(motion)[:, None, None] * aaa
    return replace(motion, expression=displaced(motion.expression, offset))


def lips_open(motion: Motion) -> Tensor:
    """How far the lips are parted in every frame beyond closed, (T,) float64 in canonical units."""
    apart = (motion.expression[:, LOWER_LIP, Y] - motion.expression[:, UPPER_LIP, Y]).double()
    return (apart - torch.quantile(apart, _CLOSED_QUANTILE)).clamp(min=0.0)


def with_blinks(motion: Motion, blinks: Blinks) -> Motion:
    """``motion`` with blinks kept, added, replaced or removed."""
    if blinks.mode in ("none", "replace"):
        motion = without_blinks(motion)
    if blinks.mode in ("add", "replace"):
        motion = _blinked(motion, blink_profile(len(motion), motion.fps, blinks))
    return motion


def without_blinks(motion: Motion) -> Motion:
    """Remove blinks by interpolating the lids linearly over them, gaze included; other frames are bit-identical. Eyes
    closed for more than a second are not treated as blinks."""
    expression = motion.expression.clone()
    closure = _closure(motion, directions(motion.keypoint_space))
    for eye, lids in enumerate(LIDS):
        for first, last in _blink_frames(closure[:, eye], motion.fps):
            # At either end of the clip the value of the other side is held.
            start = max(first - 1, 0) if first > 0 else min(last + 1, len(motion) - 1)
            end = min(last + 1, len(motion) - 1) if last < len(motion) - 1 else start
            share = torch.arange(1, last - first + 2, dtype=torch.float64) / (last - first + 2)
            before, after = (motion.expression[at, list(lids)].expand(len(share), 2, 3) for at in (start, end))
            expression[first : last + 1, list(lids)] = lerp(before, after, share[:, None, None])
    return replace(motion, expression=expression)


def limit_lid_closing(relative: Motion, motion: Motion) -> Motion:
    """``relative``, the change of ``motion`` on top of a face's own expression, with lids that close no further than
    those of ``motion`` do from as open as they usually are: a face whose eyes are read as narrow has less to close.
    In a keypoint space whose directions nobody measured, ``relative`` itself."""
    if not len(motion) or not has_directions(motion.keypoint_space):
        return relative
    ways = directions(motion.keypoint_space)
    full = ways.offset(slider_values({"blink": SLIDERS["blink"].low}))
    usual, own = open_lids(motion), open_lids(relative)
    shut = torch.minimum(lid_apertures(motion).amin(0), usual - ways.lid_travel)
    share = ((own - shut) / (usual - shut)).clamp(0.0, 1.0)  # of a blink of ``motion``, that is left to this face
    closing = ((own - lid_apertures(relative)) / ways.lid_travel).clamp(min=0.0)
    offset = torch.zeros(len(relative), *full.shape, dtype=torch.float64)
    for eye, lids in enumerate(LIDS):
        opened = (1.0 - share[eye]) * closing[:, eye]
        offset[:, list(lids)] = -opened[:, None, None] * full[list(lids)]
    return replace(relative, expression=displaced(relative.expression, offset))


def blink_profile(frames: int, fps: float, blinks: Blinks) -> Tensor:
    """Eye closure, (T,) in 0..1, of blinks at random times at least half a second apart."""
    shut = torch.zeros(frames, dtype=torch.float64)
    if blinks.per_minute == 0:
        return shut
    time = torch.arange(frames, dtype=torch.float64) / fps
    generator = torch.Generator().manual_seed(blinks.seed)
    mean = 60.0 / blinks.per_minute - _REFRACTORY
    at = float(torch.empty(1).exponential_(generator=generator)) * mean
    while at < frames / fps:
        since = time - at
        falling, rising = since / _DOWN, 1.0 - (since - _DOWN - _SHUT) / _UP
        shut = torch.maximum(shut, torch.minimum(falling, rising).clamp(0.0, 1.0))
        at += _REFRACTORY + float(torch.empty(1).exponential_(generator=generator)) * mean
    return shut


def _blinked(motion: Motion, shut: Tensor) -> Motion:
    """Close the eyes by the share ``shut`` (T,) of their remaining opening."""
    ways = directions(motion.keypoint_space)
    full = ways.offset(slider_values({"blink": SLIDERS["blink"].low}))
    offset = torch.zeros(len(motion), *full.shape, dtype=torch.float64)
    for eye, lids in enumerate(LIDS):
        left_to_close = shut * (1.0 - _closure(motion, ways)[:, eye])
        offset[:, list(lids)] = left_to_close[:, None, None] * full[list(lids)]
    return replace(motion, expression=displaced(motion.expression, offset))


def _closure(motion: Motion, ways: Directions) -> Tensor:
    """Closure of either eye, (T, 2): 0 as open as usual in this clip, 1 closed."""
    return ((open_lids(motion) - lid_apertures(motion)) / ways.lid_travel).clamp(max=1.0)


def blinks(motion: Motion) -> list[tuple[int, int]]:
    """First and last frame of every blink of the left eye, the right one where the left has none."""
    closure = _closure(motion, directions(motion.keypoint_space))
    return _blink_frames(closure[:, 0], motion.fps) or _blink_frames(closure[:, 1], motion.fps)


def _blink_frames(closure: Tensor, fps: float) -> list[tuple[int, int]]:
    """First and last frame of every blink in ``closure`` (T,)."""
    narrow = (closure > _DRIFTS).tolist()
    found, first = [], None
    for frame, is_narrow in enumerate([*narrow, False]):
        if is_narrow and first is None:
            first = frame
        elif not is_narrow and first is not None:
            deep = float(closure[first:frame].max()) > _BLINKS
            if deep and frame - first <= _LONGEST * fps:
                found.append((first, frame - 1))
            first = None
    return found
