"""Blinks and looks up and down that the network leaves out, added to what it sampled (docs/method.md 1.18).

Blinks come at random times and a look up or down shares its keypoints with them, so neither can be told from speech,
and a small network samples too few of the first and hardly any of the second. Both are processes whose rate, size and
duration are known from the training motion. They are added to the expression after sampling: the network's own blinks
stay, its state does not change, and each frame depends on the window it lies in and on earlier ones alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..keypoint_space import PLAYMATE_DEMO
from ..values import FPS, LIDS
from .options import window_noise
from .window_sampling import SamplingPlan
from .windows import WindowPlan

_Y = 1
_UPPER, _LOWER = (list(points) for points in zip(*LIDS, strict=True))
#: Closure of a blink at each of its frames: 80 ms down, 40 ms shut, 160 ms up.
_BLINK = (0.19, 0.69, 1.0, 0.88, 0.62, 0.37, 0.12)
#: Frames from the beginning of a blink to the earliest one of the next: half a second.
_APART = 13
#: Share of a closure above which an eye counts as shut, and below which it has opened again.
_SHUT, _OPEN = 0.5, 0.3
#: Frames to a random stream, and where these streams begin, far from those of the windows.
_BLOCK, _STREAM = 256, 2**40


@dataclass(frozen=True)
class EyeHabits:
    """What eyes do in the training motion of a keypoint space, in canonical units of an eye of usual size.

    ``upper`` and ``lower`` are the shares of the lids' distance that either lid travels to shut, down positive.
    ``look`` (upper, lower lid) is the deviation of the looks down and ``look_seconds`` the constant c of their
    covariance (1 + t / c) exp(-t / c). ``missing``: blinks a second that the network leaves out.
    """

    upper: float
    lower: float
    look: tuple[float, float]
    look_seconds: float
    missing: float


#: Of the bundled motion model; docs/results.md has the figures with and without.
HABITS = {
    PLAYMATE_DEMO: EyeHabits(upper=0.81, lower=-0.19, look=(0.0015, 0.0011), look_seconds=0.233, missing=0.11),
}


class EyeMovement:
    """Adds eye movement to a motion window by window. Without habits, or at a ``share`` of 0, every bit stays.

    ``eye_gap`` (2,) is the distance of each eye's lids in the portrait's canonical keypoints, which a blink closes.
    State: where the gaze is and how it moves, how long ago a blink began, whether the eyes opened since.
    """

    def __init__(self, habits: EyeHabits | None, share: float, seed: int, eye_gap: Tensor, windows: WindowPlan) -> None:
        self.habits, self.share, self.seed = habits, share, seed
        self.eye_gap, self.stride = eye_gap, windows.stride
        self._frame = 0
        self._usual = torch.zeros(2)  # change of the lids' distance at which the eyes usually are in this window
        self._look = torch.zeros(2, dtype=torch.float64)  # height and its change, in deviations
        self._since = _APART  # frames since a blink began
        self._opened = True
        self._begun = False

    @staticmethod
    def of(plan: SamplingPlan) -> EyeMovement:
        """As the options of ``plan`` ask, with the habits of its keypoint space."""
        habits, options = HABITS.get(plan.denoiser.config.keypoint_space), plan.options
        points = plan.keypoints.float().cpu()
        gap = points[_LOWER, _Y] - points[_UPPER, _Y]
        return EyeMovement(habits, options.eye_movement, options.seed, gap, plan.windows)

    def added(self, expression: Tensor, first: int = 0) -> Tensor:
        """``expression`` (n, K, 3), the next frames of the motion, with eye movement; in their window they are the
        frames from ``first`` on. A window's first ``stride`` frames come at once."""
        if self.habits is None or self.share == 0.0 or not len(expression):
            return expression
        looks, dice = self._drawn(len(expression))
        moved = self._blinked(expression, dice, first)
        height = self.share * self._looked(looks)
        moved[:, _UPPER, _Y] += self.habits.look[0] * height[:, None]
        moved[:, _LOWER, _Y] += self.habits.look[1] * height[:, None]
        return moved

    def _drawn(self, count: int) -> tuple[Tensor, Tensor]:
        """Normal (n, 2) and uniform (n,) numbers of the next ``count`` frames, which depend on the frame alone."""
        begin, self._frame = self._frame, self._frame + count
        blocks = range(begin // _BLOCK, (self._frame - 1) // _BLOCK + 1)
        drawn = [window_noise(self.seed, _STREAM + block) for block in blocks]
        normal = torch.cat([torch.randn(_BLOCK, 2, generator=g, dtype=torch.float64) for g in drawn])
        uniform = torch.cat([torch.rand(_BLOCK, generator=g) for g in drawn])
        now = slice(begin - blocks.start * _BLOCK, self._frame - blocks.start * _BLOCK)
        return normal[now], uniform[now]

    def _looked(self, noise: Tensor) -> Tensor:
        """The height of the gaze (n,) in deviations, down positive: a process with covariance
        (1 + t / c) exp(-t / c), exact from frame to frame (Hartikainen & Sarkka 2010)."""
        assert self.habits is not None
        rate = 1.0 / (self.habits.look_seconds * FPS)
        decay = math.exp(-rate)
        step = decay * torch.tensor([[1.0 + rate, 1.0], [-rate * rate, 1.0 - rate]], dtype=torch.float64)
        still = torch.diag(torch.tensor([1.0, rate * rate], dtype=torch.float64))
        root = torch.linalg.cholesky(still - step @ still @ step.T)
        heights = []
        for row in noise:
            if not self._begun:
                self._look, self._begun = still.sqrt() @ row, True
            else:
                self._look = step @ self._look + root @ row
            heights.append(self._look[0])
        return torch.stack(heights).float()

    def _blinked(self, expression: Tensor, dice: Tensor, first: int) -> Tensor:
        """Blinks added where the eyes are open long enough before and after, and none half a second after another."""
        assert self.habits is not None
        moved, apart = expression.clone(), expression[:, _LOWER, _Y] - expression[:, _UPPER, _Y]
        if first == 0:
            self._usual = apart[: self.stride].median(0).values
        travel = (self.eye_gap + self._usual).clamp(min=1e-3)  # from as open as usual to shut
        closure = ((self._usual - apart) / travel).mean(-1)
        limited = closure.tolist()
        begin, end = -1, min(self.stride, len(closure))
        for frame, own in enumerate(closure.tolist()):
            self._since += 1
            added = begin >= 0 and frame - begin < len(_BLINK)
            if not added and first == 0 and self._may_blink(limited, frame, end, float(dice[frame])):
                begin, added, self._since, self._opened = frame, True, 0, False
            if added:
                limited[frame] = max(own, _BLINK[frame - begin] * self.share)
            elif own > _SHUT and self._since >= _APART:
                self._since, self._opened = 0, False
            elif own > _OPEN and self._opened and self._since < _APART:
                limited[frame] = _OPEN
            self._opened = self._opened or limited[frame] < _OPEN
        further = (torch.tensor(limited) - closure)[:, None] * travel
        moved[:, _UPPER, _Y] += self.habits.upper * further
        moved[:, _LOWER, _Y] += self.habits.lower * further
        return moved

    def _may_blink(self, closure: list[float], frame: int, end: int, dice: float) -> bool:
        """Whether a blink begins at ``frame``, never so late that one of the next window might follow at once."""
        assert self.habits is not None
        last = min(self.stride - _APART, end - len(_BLINK))
        if frame > last or self._since < _APART or max(closure[frame : frame + _APART]) > _OPEN:
            return False
        allowed = max(self.stride - _APART, 1) / self.stride  # share of the frames at which one may begin
        return dice < self.share * self.habits.missing / FPS / allowed
