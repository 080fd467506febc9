"""What is wrong with a motion, in numbers and one sentence each, before a picture is drawn of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion.pose_prior import ANGLE_LIMITS
from ..values import Motion
from .lips_and_lids import SILENT, blinks, lips_open, silence
from .region_mix import FACE_REGIONS

#: How far lips may lead or lag the voice for the measure to look, in seconds.
_REACH = 0.4
#: Lips move that are faster than this share of their usual speed.
_MOVING = 0.5
#: Movement faster than this, in Hz, is jitter: speech moves lips at up to about 7 Hz.
_JITTER_HZ = 8.0
#: What is said to be fine: lag in seconds, correlation, jitter, blinks a minute, seconds of moving in silence.
_LAG, _CORRELATION, _JITTER, _BLINKS, _SILENT = 0.08, 0.3, 0.25, (4.0, 40.0), 0.3
_AXES = ("pitch", "yaw", "roll")


@dataclass(frozen=True)
class LipVoice:
    """How lips follow the voice: the best ``correlation`` (-1..1) and at which ``lag`` in seconds (positive: late)."""

    correlation: float
    lag: float


@dataclass(frozen=True)
class MotionReport:
    """The health of a motion; see :func:`motion_report`.

    ``lips`` and ``moving_in_silence`` (seconds) are None without a voice. ``jitter`` by region: the share of its
    movement that is faster than any speech. ``blinks`` a minute. ``head``: least and greatest pitch,
    yaw and roll in degrees.
    """

    seconds: float
    fps: float
    lips: LipVoice | None
    jitter: tuple[tuple[str, float], ...]
    blinks: float
    head: tuple[tuple[float, float], ...]
    moving_in_silence: float | None

    def lines(self) -> list[str]:
        """One sentence for each measure; those that ask for a look begin with an exclamation mark."""
        return [*self._voice_lines(), *self._jitter_lines(), self._blink_line(), *self._head_lines()]

    def __str__(self) -> str:
        return "\n".join([f"{self.seconds:.2f} s at {self.fps:g} frames a second", *self.lines()])

    def _voice_lines(self) -> list[str]:
        if self.lips is None or self.moving_in_silence is None:
            return ["  lips and voice: connect the speech to measure them"]
        late = "late" if self.lips.lag >= 0 else "early"
        bad = abs(self.lips.lag) > _LAG or self.lips.correlation < _CORRELATION
        quiet = self.moving_in_silence
        return [
            f"{_mark(bad)} lips follow the voice with a correlation of {self.lips.correlation:.2f},"
            f" {abs(self.lips.lag) * 1000:.0f} ms {late}",
            f"{_mark(quiet > _SILENT)} mouth moves in silence for {quiet:.2f} s",
        ]

    def _jitter_lines(self) -> list[str]:
        said = (f"{region} {share:.0%}" for region, share in self.jitter)
        return [f"{_mark(max(share for _, share in self.jitter) > _JITTER)} jitter: {', '.join(said)} of the movement"]

    def _blink_line(self) -> str:
        low, high = _BLINKS
        bad = self.seconds >= 20 and not low <= self.blinks <= high
        return f"{_mark(bad)} blinks: {self.blinks:.0f} a minute (people: about 17)"

    def _head_lines(self) -> list[str]:
        found = []
        for axis, (least, most), limit in zip(_AXES, self.head, ANGLE_LIMITS, strict=True):
            bad = max(-least, most) > limit
            found.append(f"{_mark(bad)} {axis}: {least:.1f} to {most:.1f} degrees (drawn well up to {limit:g})")
        return found


def motion_report(motion: Motion, energy: Tensor | None = None) -> MotionReport:
    """Measure ``motion`` against its voice, of which ``energy`` (T,) in 0..1 is the loudness of every frame, and alone.

    Raises UserError for a keypoint space without directions.
    """
    frames, fps = len(motion), motion.fps
    jitter = [(name, _fast_share(motion.expression[:, list(points)].flatten(1), fps)) for name, points in _regions()]
    jitter.append(("head", _fast_share(motion.pose.rotation, fps)))
    minutes = frames / fps / 60.0
    turns = motion.pose.rotation
    return MotionReport(
        seconds=frames / fps,
        fps=fps,
        lips=None if energy is None else lips_and_voice(motion, energy),
        jitter=tuple(jitter),
        blinks=len(blinks(motion)) / minutes if frames else 0.0,
        head=tuple(
            (float(turns[:, axis].min()), float(turns[:, axis].max())) if frames else (0.0, 0.0) for axis in range(3)
        ),
        moving_in_silence=None if energy is None else moving_in_silence(motion, energy),
    )


def lips_and_voice(motion: Motion, energy: Tensor) -> LipVoice:
    """The lag, within 0.4 s either way, at which the opening of the lips correlates best with the loudness."""
    frames = min(len(motion), len(energy))
    opening, loud = lips_open(motion)[:frames] if frames else torch.zeros(0), energy[:frames].double()
    reach = min(round(_REACH * motion.fps), frames // 3)
    found = [(_correlation(opening, loud, shift), shift) for shift in range(-reach, reach + 1)]
    best, shift = max(found, key=lambda one: (one[0], -abs(one[1])), default=(0.0, 0))
    return LipVoice(best, shift / motion.fps)


def moving_in_silence(motion: Motion, energy: Tensor) -> float:
    """Seconds in which the lips move at more than half their usual speed and nobody speaks."""
    if len(motion) < 2:
        return 0.0
    speed = lips_open(motion).diff(prepend=lips_open(motion)[:1]).abs()
    talks = silence(energy, len(motion), motion.fps, SILENT) < 0.5
    usual = float(speed[talks].mean()) if bool(talks.any()) else 0.0
    return float(((speed > max(_MOVING * usual, 1e-4)) & ~talks).sum()) / motion.fps


def _correlation(opening: Tensor, loud: Tensor, shift: int) -> float:
    """Of lips that come ``shift`` frames after the voice."""
    one = opening[shift:] if shift >= 0 else opening[:shift]
    other = loud[: len(loud) - shift] if shift >= 0 else loud[-shift:]
    if len(one) < 3:
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    size = float(one.norm() * other.norm())
    return float(one @ other) / size if size > 1e-12 else 0.0


def _fast_share(track: Tensor, fps: float) -> float:
    """The share of the speed of (T, N) that lies above 8 Hz, 0..1: about 0.36 at 25 frames a second for pure noise of
    speed, more for noise of position, 0 for slow movement."""
    if len(track) < 8:
        return 0.0
    power = torch.fft.rfft(track.double().diff(dim=0), dim=0).abs().square().sum(-1)
    hertz = torch.fft.rfftfreq(len(track) - 1, 1.0 / fps)
    whole = float(power[1:].sum())
    return float(power[hertz > _JITTER_HZ].sum()) / whole if whole > 1e-12 else 0.0


def _regions() -> list[tuple[str, tuple[int, ...]]]:
    return list(FACE_REGIONS.items())


def _mark(bad: bool) -> str:
    return "!" if bad else " "
