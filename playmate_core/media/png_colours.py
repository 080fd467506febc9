"""Colours of PNG pictures that say them in chunks of their own instead of a profile.

Source: the PNG specification, third edition: cICP goes before iCCP and sRGB, these before gAMA and cHRM.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .input_files import Bytes
from .wide_colour import srgb_from_linear, wide_colour

_PNG = b"\x89PNG\r\n\x1a\n"
#: gAMA and cHRM of sRGB, and how far from them a picture still counts as sRGB.
_GAMMA, _CHROMATICITIES = 0.45455, (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
_ALIKE_GAMMA, _ALIKE_POINT = 0.02, 0.01


@dataclass(frozen=True)
class PngColours:
    """What a PNG says of its colours: code points ``cicp`` (primaries, transfer), or ``gamma`` and ``points`` (white,
    red, green, blue as x, y). None where it does not, and where a profile or sRGB are said, which go before."""

    cicp: tuple[int, int] | None = None
    gamma: float | None = None
    points: tuple[float, ...] | None = None

    def to_srgb(self, picture: Bytes) -> Bytes:
        """(H, W, 3) uint8 with these colours -> sRGB."""
        if self.cicp is not None:
            wide = wide_colour(*self.cicp)
            return picture if wide is None else wide.to_srgb(picture.astype(np.uint16) * 257)
        gamma, points = self.gamma or _GAMMA, self.points or _CHROMATICITIES
        same_points = np.allclose(points, _CHROMATICITIES, atol=_ALIKE_POINT)
        same_curve = abs(gamma - _GAMMA) < _ALIKE_GAMMA
        if same_points and same_curve:
            return picture
        code = np.arange(256) / 255
        curve = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
        light = (curve if same_curve else code ** (1 / gamma)).astype(np.float32)[picture]
        if not same_points:
            change = np.linalg.inv(_to_xyz(_CHROMATICITIES)) @ _to_xyz(points)
            light = light @ (change / change.sum(1, keepdims=True)).astype(np.float32).T  # white stays white
        return srgb_from_linear(light)


def png_colours(content: bytes) -> PngColours:
    """The colours that a PNG says; those of any other file say nothing."""
    found = dict(_chunks(content))
    if len(cicp := found.get(b"cICP", b"")) >= 2:
        return PngColours(cicp=(cicp[0], cicp[1]))
    if b"iCCP" in found or b"sRGB" in found:
        return PngColours()
    gamma = struct.unpack(">I", found[b"gAMA"][:4])[0] / 100_000 if len(found.get(b"gAMA", b"")) >= 4 else None
    points = None
    if len(stated := found.get(b"cHRM", b"")) >= 32:
        points = tuple(value / 100_000 for value in struct.unpack(">8I", stated[:32]))
    believed = points is not None and min(points[1::2]) > 0.01 and abs(np.linalg.det(_columns(points))) > 0.1
    return PngColours(None, gamma if gamma and 0.1 <= gamma <= 10 else None, points if believed else None)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the chunks before the pixels of a PNG; none for other files."""
    at, found = len(_PNG), []
    while content.startswith(_PNG) and at + 8 <= len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        if name == b"IDAT":
            break
        found.append((name, content[at + 8 : at + 8 + min(size, 64)]))
        at += 12 + size
    return found


def _to_xyz(points: tuple[float, ...]) -> NDArray[np.float64]:
    """The matrix from linear RGB to XYZ for chromaticities (white, red, green, blue; x and y of each)."""
    x, y = points[:2]
    columns = _columns(points)
    return columns * np.linalg.solve(columns, np.array([x / y, 1.0, (1 - x - y) / y]))


def _columns(points: tuple[float, ...]) -> NDArray[np.float64]:
    """XYZ of red, green and blue, each of luminance 1, side by side."""
    colours = zip(points[2::2], points[3::2], strict=True)
    return np.stack([np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in colours], 1)
