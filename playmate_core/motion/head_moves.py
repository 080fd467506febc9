"""Head movement without a video and without a model: idle, nod, shake, look around, breathe, nod on the stresses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import UserError
from ..ranges import check_ranges, ranged
from ..values import FPS, Pose
from .pose import compose, neutral_pose, still

#: Seconds of a nod on a stressed syllable: down, and up again.
_DOWN, _UP = 0.12, 0.30
#: Degrees of a nod on the loudest syllable.
_DEEP = 4.0
#: Stresses are at least this far apart, in seconds, and at least this loud (0..1).
_APART, _LOUD = 0.35, 0.2


@dataclass(frozen=True)
class HeadMove:
    """``move`` one of HEAD_MOVES, ``amount`` times its usual size, ``speed`` times its usual pace, by ``seed``."""

    move: str = "idle"
    amount: float = ranged(1.0, 0.0, 5.0)
    speed: float = ranged(1.0, 0.1, 5.0)
    seed: int = ranged(0, 0, 2**63 - 1)

    def __post_init__(self) -> None:
        if self.move not in HEAD_MOVES:
            raise UserError(f"Unknown head move {self.move!r}; please choose one of {', '.join(HEAD_MOVES)}.")
        check_ranges(self)


def head_move(move: HeadMove, frames: int, fps: float = FPS, energy: Tensor | None = None) -> Pose:
    """The move as an offset from facing the camera, which it is at its first frame.

    ``energy`` (T,) in 0..1 is the loudness at ``fps`` that "nod_on_stresses" needs; silence follows its end. Raises
    UserError where it is missing.
    """
    if move.move == STRESSES:
        if energy is None:
            raise UserError("Nodding on stresses needs speech; please connect the speech, or choose another move.")
        angles = _stress_nods(energy, frames, fps)
    else:
        angles = HEAD_MOVES[move.move](torch.arange(frames, dtype=torch.float64) / fps * move.speed, move.seed)
    # Every move begins at rest, so that a pose laid under it does not jump.
    ramp = (torch.arange(frames, dtype=torch.float64) / (0.4 * fps)).clamp(max=1.0)
    return replace(neutral_pose(frames, fps), rotation=(move.amount * (ramp * angles.T).T).float())


def on_top_of(move: Pose, below: Pose) -> Pose:
    """``move`` put in front of ``below``, a pose of as many frames or a still of one."""
    below = still(below, len(move), move.fps) if len(below) == 1 else below
    if len(below) != len(move):
        raise UserError(
            f"The head move lasts {len(move)} frames and the pose below it {len(below)}; please give both one length."
        )
    return compose(move, below)


def stresses(energy: Tensor, fps: float) -> list[int]:
    """The frames of the stressed syllables: peaks of the smoothed loudness (T,), at least 0.35 s apart."""
    if not len(energy):
        return []
    loud = _smoothed(energy.double(), round(0.12 * fps))
    reach = max(1, round(_APART * fps))
    padded = torch.nn.functional.pad(loud[None], (reach, reach), mode="replicate")[0]
    around = padded.unfold(0, 2 * reach + 1, 1)  # (T, 2 reach + 1)
    peak = (loud >= around.max(-1).values) & (loud > _LOUD) & (loud > 1.15 * around.mean(-1))
    found: list[int] = []
    for frame in torch.nonzero(peak)[:, 0].tolist():
        if not found or frame - found[-1] >= reach:
            found.append(frame)
    return found


def _smoothed(track: Tensor, width: int) -> Tensor:
    width = max(1, width | 1)
    padded = torch.nn.functional.pad(track[None, None], (width // 2, width // 2), mode="replicate")
    return torch.nn.functional.avg_pool1d(padded, width, 1)[0, 0]


def nods_at(stressed: Sequence[int], frames: int, fps: float, depth: Sequence[float] = ()) -> Tensor:
    """Pitch in degrees (T,) float64 of nods that are lowest in the frames ``stressed``: 4 degrees times ``depth``."""
    time = torch.arange(frames, dtype=torch.float64) / fps
    pitch = torch.zeros(frames, dtype=torch.float64)
    for frame, deep in zip(stressed, depth or [1.0] * len(stressed), strict=True):
        since = time - frame / fps
        falling = ((since + _DOWN) / _DOWN).clamp(0.0, 1.0)
        rising = (1.0 - since / _UP).clamp(0.0, 1.0)
        dip = torch.minimum(falling, rising)
        pitch = torch.maximum(pitch, _DEEP * deep * dip * dip * (3.0 - 2.0 * dip))
    return pitch


def _stress_nods(energy: Tensor, frames: int, fps: float) -> Tensor:
    stressed = stresses(energy[:frames], fps)
    loud = [float(energy[max(0, frame - 2) : frame + 3].max()) for frame in stressed]
    pitch = nods_at(stressed, frames, fps, loud)
    return torch.stack([pitch, torch.zeros_like(pitch), torch.zeros_like(pitch)], -1)


def _waves(seconds: Tensor, seed: int, size: tuple[float, float, float], slow: float, fast: float) -> Tensor:
    """Three smooth, unrelated wanderings, (T, 3): five sines each between ``slow`` and ``fast`` Hz."""
    draw = torch.Generator().manual_seed(seed)
    hertz = slow * (fast / slow) ** torch.rand(3, 5, generator=draw, dtype=torch.float64)
    phase = 2 * math.pi * torch.rand(3, 5, generator=draw, dtype=torch.float64)
    waves = torch.sin(2 * math.pi * hertz * seconds[:, None, None] + phase).sum(-1) / 5**0.5
    return waves * torch.tensor(size, dtype=torch.float64)


def _idle(seconds: Tensor, seed: int) -> Tensor:
    return _waves(seconds, seed, (1.2, 1.8, 0.8), 0.08, 0.5)


def _look_around(seconds: Tensor, seed: int) -> Tensor:
    return _waves(seconds, seed, (4.0, 12.0, 2.0), 0.05, 0.2)


def _swing(seconds: Tensor, axis: int, degrees: float, hertz: float) -> Tensor:
    angles = torch.zeros(len(seconds), 3, dtype=torch.float64)
    angles[:, axis] = degrees * torch.sin(2 * math.pi * hertz * seconds)
    return angles


def _nod(seconds: Tensor, seed: int) -> Tensor:
    return _swing(seconds, 0, 6.0, 1.0)


def _shake(seconds: Tensor, seed: int) -> Tensor:
    return _swing(seconds, 1, 10.0, 0.9)


def _breathe(seconds: Tensor, seed: int) -> Tensor:
    return _swing(seconds, 0, 0.8, 0.25)


def _no_angles(seconds: Tensor, seed: int) -> Tensor:
    return torch.zeros(len(seconds), 3, dtype=torch.float64)


STRESSES = "nod_on_stresses"
#: Pitch, yaw and roll in degrees (T, 3) at seconds (T,), by name.
HEAD_MOVES: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "idle": _idle,
    "nod": _nod,
    "shake": _shake,
    "look_around": _look_around,
    "breathe": _breathe,
    STRESSES: _no_angles,
}
