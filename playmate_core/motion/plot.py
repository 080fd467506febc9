"""Plot a motion: head pose, lips, eyes and brows over time, with the loudness of the speech behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..geometry import place_motion
from ..keypoint_space import adapt_motion
from ..media.images import Bytes
from ..values import BROWS, EYE_KEYPOINTS, KEYPOINTS, LIDS, LIP_KEYPOINTS, LOWER_LIP, UPPER_LIP, Motion, Portrait
from .lips_and_lids import SILENT, silence
from .plot_marks import jumps

Numbers = NDArray[np.float64]

#: Okabe and Ito's colours, which colour-blind people can distinguish, RGB.
BLUE, ORANGE, GREEN, GREY, INK = (0, 114, 178), (213, 94, 0), (0, 158, 115), (222, 222, 222), (60, 60, 60)
PALE, PURPLE, SKY = (255, 246, 205), (204, 121, 167), (86, 180, 233)
MARGIN_LEFT, MARGIN_RIGHT, MARGIN, GAP = 86, 14, 26, 18
#: Seconds between two times written under the panels.
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800)
FONT = 0  # cv2.FONT_HERSHEY_SIMPLEX; OpenCV is imported where it draws


@dataclass(frozen=True)
class PlotLine:
    """One line of a panel: its ``name``, ``values`` (T,) and colour."""

    name: str
    values: Numbers
    colour: tuple[int, int, int] = BLUE


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis whose range is at least ``least``, so that noise does not look like movement."""

    title: str
    curves: tuple[PlotLine, ...]
    least: float


def motion_panels(motion: Motion) -> tuple[Panel, ...]:
    """Pose in degrees; lips, eyes and brows as openings in canonical units, against the neutral face."""
    pitch, yaw, roll = (motion.pose.rotation[:, axis].double().numpy() for axis in range(3))
    height = motion.expression[..., 1].double().numpy()  # (T, K), down is positive
    lips = height[:, LOWER_LIP] - height[:, UPPER_LIP]
    upper, lower = (list(lids) for lids in zip(*LIDS, strict=True))
    eyes = height[:, lower].mean(1) - height[:, upper].mean(1)
    return (
        Panel(
            "head, deg", (PlotLine("pitch", pitch), PlotLine("yaw", yaw, ORANGE), PlotLine("roll", roll, GREEN)), 10.0
        ),
        Panel("lips", (PlotLine("open", lips),), 0.05),
        Panel("eyes", (PlotLine("open", eyes),), 0.05),
        Panel("brows", (PlotLine("raised", -height[:, list(BROWS)].mean(1)),), 0.03),
    )


def plot_motion(
    motion: Motion,
    energy: Tensor | None = None,
    width: int = 1200,
    height: int = 720,
    marks: Sequence[float] = (),
) -> Bytes:
    """Draw a motion -> (height, width, 3) RGB.

    The loudness ``energy`` (T,) in 0..1 is shaded grey behind every panel, its silences yellow. Purple lines mark
    frames
    where the motion jumps, as at a bad joint, light blue ones the seconds of ``marks``, such as keys.
    """
    import cv2

    panels = motion_panels(motion)
    canvas: Bytes = np.full((height, width, 3), 255, np.uint8)
    lines = [(at / motion.fps, PURPLE) for at in jumps(motion)]
    lines += [(at, SKY) for at in marks if at < len(motion) / motion.fps]
    tall = (height - 2 * MARGIN - GAP * (len(panels) - 1)) // len(panels)
    for row, panel in enumerate(panels):
        top = MARGIN + row * (tall + GAP)
        frame = canvas[top : top + tall, MARGIN_LEFT : width - MARGIN_RIGHT]
        if energy is not None:
            _shade_columns(frame, silence(energy, len(motion), motion.fps, SILENT).numpy() > 0.5, PALE)
            _shade(frame, energy.double().numpy())
        for time, colour in lines:
            x = int(time * motion.fps / max(1, len(motion)) * frame.shape[1])
            frame[:, x : x + 1] = colour
        low, high = _bounds(panel)
        for curve in panel.curves:
            _draw(frame, (curve.values - low) / (high - low), curve.colour)
        cv2.rectangle(canvas, (MARGIN_LEFT, top), (width - MARGIN_RIGHT - 1, top + tall - 1), INK, 1)
        _label(canvas, panel, top, tall, (low, high))
    _ticks(canvas, len(motion) / motion.fps)
    return canvas


def _bounds(panel: Panel) -> tuple[float, float]:
    values = np.concatenate([curve.values for curve in panel.curves])
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if not np.isfinite(low + high):
        low = high = 0.0
    spare = max(0.0, panel.least - (high - low)) / 2 + 0.06 * max(high - low, panel.least)
    return low - spare, high + spare


def _columns(values: Numbers, width: int) -> tuple[Numbers, Numbers]:
    """Minimum and maximum per pixel column, so that long clips show their peaks -> two (columns,)."""
    if len(values) <= width:
        return values, values
    edges = np.linspace(0, len(values), width + 1).astype(int)[:-1]
    return np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)


def _draw(frame: Bytes, shares: Numbers, colour: tuple[int, int, int]) -> None:
    """Draw ``shares`` of the height (0 below, 1 above) into a view of the canvas."""
    import cv2

    tall, wide = frame.shape[:2]
    low, high = _columns(np.nan_to_num(shares), wide)
    x = np.linspace(0, wide - 1, len(low))
    points = np.stack([np.stack([x, x], 1), (1 - np.stack([low, high], 1)) * (tall - 1)], -1).reshape(-1, 2)
    drawn = np.ascontiguousarray(frame)
    cv2.polylines(drawn, [np.round(points).astype(np.int32)], False, colour, 1, cv2.LINE_AA)
    frame[:] = drawn


def _shade(frame: Bytes, energy: Numbers) -> None:
    """Grey columns from below, as high as the voice is loud, into a view of the canvas."""
    tall, wide = frame.shape[:2]
    loud = _columns(np.clip(np.nan_to_num(energy), 0, 1), wide)[1]
    if not len(loud):
        return
    levels = loud[np.minimum((np.arange(wide) * len(loud)) // wide, len(loud) - 1)]
    frame[np.arange(tall)[:, None] >= (1 - levels)[None] * tall] = GREY


def _shade_columns(frame: Bytes, marked: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    """Colour the columns whose frames are ``marked``, in a view of the canvas."""
    wide = frame.shape[1]
    if len(marked):
        frame[:, marked[np.minimum((np.arange(wide) * len(marked)) // wide, len(marked) - 1)]] = colour


def _label(canvas: Bytes, panel: Panel, top: int, tall: int, bounds: tuple[float, float]) -> None:
    import cv2

    cv2.putText(canvas, panel.title, (6, top + tall // 2), FONT, 0.45, INK, 1, cv2.LINE_AA)
    for value, y in ((bounds[1], top + 10), (bounds[0], top + tall - 3)):
        text = f"{value:.3g}"
        size = cv2.getTextSize(text, FONT, 0.4, 1)[0][0]
        cv2.putText(canvas, text, (MARGIN_LEFT - 6 - size, y), FONT, 0.4, INK, 1, cv2.LINE_AA)
    x = MARGIN_LEFT + 8
    for curve in panel.curves:
        cv2.putText(canvas, curve.name, (x, top + 15), FONT, 0.45, curve.colour, 1, cv2.LINE_AA)
        x += cv2.getTextSize(curve.name, FONT, 0.45, 1)[0][0] + 14


def _ticks(canvas: Bytes, seconds: float) -> None:
    """Round times under the panels, at most ten."""
    import cv2

    height, width = canvas.shape[:2]
    step = next((s for s in TICKS if seconds / s <= 10), TICKS[-1])
    for time in np.arange(0, seconds, step) if seconds / step <= 100 else ():
        x = int(MARGIN_LEFT + time / seconds * (width - MARGIN_LEFT - MARGIN_RIGHT))
        cv2.line(canvas, (x, height - MARGIN), (x, height - MARGIN + 4), INK, 1)
        cv2.putText(canvas, f"{time:g} s", (x - 6, height - 6), FONT, 0.4, INK, 1, cv2.LINE_AA)


def draw_keypoints(portrait: Portrait, motion: Motion, size: int = 256) -> Iterator[Bytes]:
    """Draw a portrait's keypoints for each frame of ``motion``, lips and eyes in colour: (size, size, 3) uint8 RGB."""
    import cv2

    motion = adapt_motion(motion, portrait.rest)
    placed = place_motion(portrait.keypoints, motion)[..., :2].double().numpy()  # (T, K, 2), the crop spans -1 to 1
    colours = [ORANGE if k in LIP_KEYPOINTS else BLUE if k in EYE_KEYPOINTS else INK for k in range(KEYPOINTS)]
    radius = max(2, size // 64)
    for points in np.round((placed + 1) * size / 2 - 0.5).astype(int):
        picture: Bytes = np.full((size, size, 3), 255, np.uint8)
        for (x, y), colour in zip(points, colours, strict=True):
            cv2.circle(picture, (int(x), int(y)), radius, colour, -1, cv2.LINE_AA)
        yield picture
