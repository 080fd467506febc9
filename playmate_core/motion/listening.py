"""One who listens: the mouth stays closed while the own voice is silent, and the head nods at what the other says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..interpolation import lerp
from ..ranges import check_ranges, ranged
from ..values import Motion
from .head_moves import nods_at, stresses
from .lips_and_lids import SILENT, closed_lips, silence
from .pose import compose, neutral_pose

#: Seconds between two nods, at least and on average, and until the other has spoken for that long there is none.
_APART, _USUAL, _AFTER = 1.2, 2.5, 0.6


@dataclass(frozen=True)
class Listening:
    """``nods``: times the usual depth, 0 for none, at times that ``seed`` decides; ``threshold``: a voice is silent
    below this loudness."""

    nods: float = ranged(1.0, 0.0, 5.0)
    threshold: float = ranged(SILENT, 0.0, 1.0)
    seed: int = ranged(0, 0, 2**63 - 1)

    def __post_init__(self) -> None:
        check_ranges(self)


def listening(motion: Motion, own: Tensor, other: Tensor, how: Listening | None = None) -> Motion:
    """``motion`` of one who speaks with the loudness ``own`` (T,) and hears ``other`` (T,), both in 0..1 at its rate.

    In the pauses of the own voice (:func:`lips_and_lids.silence`) the lips are closed; where the other speaks
    meanwhile, the head nods on some of the stresses. Elsewhere every bit stays.
    """
    how = how or Listening()
    frames, fps = len(motion), motion.fps
    quiet = silence(own, frames, fps, how.threshold)
    moved = closed_lips(motion, quiet)
    chosen = _nods(other[:frames], quiet, fps, how)
    if not chosen or how.nods == 0:
        return moved
    pitch = how.nods * nods_at(chosen, frames, fps) * quiet
    offset = replace(neutral_pose(frames, fps), rotation=torch.stack([pitch, 0 * pitch, 0 * pitch], -1).float())
    nodded, still = compose(offset, motion.pose), pitch == 0
    turned = lerp(nodded.rotation, motion.pose.rotation, still.double()[:, None])
    return moved.with_pose(replace(motion.pose, rotation=turned))


def _nods(other: Tensor, quiet: Tensor, fps: float, how: Listening) -> list[int]:
    """Frames in which the listener nods: stresses of the other voice in the own silence, some seconds apart."""
    draw = torch.Generator().manual_seed(how.seed)
    found, due = list[int](), 0.0
    for frame in stresses(other, fps):
        heard = other[max(0, frame - round(_AFTER * fps)) : frame]
        attentive = float(quiet[frame]) == 1.0 and bool((heard >= how.threshold).any())
        if attentive and frame / fps >= due:
            found.append(frame)
            wait = (_USUAL - _APART) * float(torch.empty(1).exponential_(generator=draw))
            due = frame / fps + _APART + wait
    return found
