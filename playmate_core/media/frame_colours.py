"""Convert video frames to and from sRGB: matrix, range, pixel aspect ratio, gamut and transfer function.

FFmpeg's scaler assumes BT.601 by default and rounds down by a level on each conversion, unless accurate rounding is
requested. Code points are those of ISO/IEC 23091-2.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from .input_files import Bytes
from .wide_colour import WideColour, wide_colour

_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_FULL_RANGE = 2
#: Untagged video larger than standard definition is assumed to be BT.709, as in players.
_SD_WIDTH, _SD_HEIGHT = 1279, 576
_ACCURATE = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp"
#: 16 bits a channel. Planar: FFmpeg 8's swscale, with these flags, converts 4:2:0 of 10 bits to rgb48 wrongly, where
#: red and green become 0 or saturate.
_DEEP = "gbrp16le"
#: Pixel aspect ratios beyond this (or its inverse) are treated as header errors.
_MOST_STRETCH = 5
log = logging.getLogger(__name__)


class ToRgb:
    """Converts frames of a video stream to sRGB pictures with square pixels."""

    def __init__(self, stream: Any, path: Path, still: bool = False) -> None:
        """``still``: the stream is a picture file, where untagged means BT.601 in full range (ISO/IEC 23000-22)."""
        self._context, self._still = stream.codec_context, still
        self._shape = _pixel_shape(stream, path)
        self._kind: tuple[object, ...] | None = None
        self._graph: Any = None
        self._wide: WideColour | None = None

    def __call__(self, frame: Any) -> Bytes:
        """A decoded frame -> (H, W, 3) uint8."""
        kind = (frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range)
        if kind != self._kind:  # it may change midway
            self._wide = wide_colour(self._context.color_primaries, self._context.color_trc)
            self._kind, self._graph = kind, self._scaler(frame)
        self._graph.push(frame)
        picture = self._graph.pull()
        if self._wide is None:
            return np.asarray(picture.to_ndarray(), np.uint8)
        return self._wide.to_srgb(picture.to_ndarray())

    def _scaler(self, frame: Any) -> Any:
        guess = "smpte170m" if self._still else guessed_matrix(frame.width, frame.height)
        matrix = _MATRICES.get(int(frame.colorspace)) or guess
        said = int(frame.color_range)
        full = said == _FULL_RANGE or frame.format.name.startswith("yuvj") or (self._still and not said)
        width, height = square_size(frame.width, frame.height, self._shape)
        how = f"w={width}:h={height}:in_color_matrix={matrix}:in_range={'pc' if full else 'tv'}"
        return _scale_graph(frame, how, "rgb24" if self._wide is None else _DEEP)


class FromRgb:
    """Converts sRGB pictures to frames for an encoder: BT.709 in limited range where ``pixels`` are not RGB."""

    def __init__(self, pixels: str = "yuv420p") -> None:
        """``pixels``: FFmpeg's name of a pixel format."""
        self._pixels = pixels
        self._graph: Any = None

    def __call__(self, picture: Bytes) -> Any:
        """(H, W, 3) uint8, or (H, W, 4) with straight alpha, all of one size -> a frame."""
        import av

        frame = av.VideoFrame.from_ndarray(picture, format="rgb24" if picture.shape[-1] == 3 else "rgba")
        if self._graph is None:
            range_of_yuv = "out_color_matrix=bt709:out_range=tv" if self._pixels.startswith("yuv") else "out_range=pc"
            self._graph = _scale_graph(frame, range_of_yuv, self._pixels)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        self._graph.push(frame)
        return self._graph.pull()


def guessed_matrix(width: int, height: int) -> str:
    """The matrix assumed for an untagged video, by its stored size."""
    return "bt709" if width > _SD_WIDTH or height > _SD_HEIGHT else "smpte170m"


def square_size(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Width and height after conversion to square pixels from aspect ratio ``shape``; never reduces a side."""
    if shape == 1:
        return width, height
    return (max(2, round(width * shape)), height) if shape > 1 else (width, max(2, round(height / shape)))


def _pixel_shape(stream: Any, path: Path) -> Fraction:
    """Pixel aspect ratio, width over height; 1 where unstated or implausible."""
    shape = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    if not shape:
        return Fraction(1)
    if not Fraction(1, _MOST_STRETCH) <= shape <= _MOST_STRETCH:
        log.warning("%s says that its pixels are %s as wide as high, which is taken for a mistake.", path, shape)
        return Fraction(1)
    return Fraction(shape)


def _scale_graph(frame: Any, how: str, to: str) -> Any:
    """A filter graph that scales frames like ``frame`` and converts them to the pixel format ``to``."""
    import av

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1_000_000)
    )
    nodes = (source, graph.add("scale", f"{how}:flags={_ACCURATE}"), graph.add("format", f"pix_fmts={to}"))
    sink = graph.add("buffersink")
    for first, second in zip(nodes, (*nodes[1:], sink), strict=True):
        first.link_to(second)
    graph.configure()
    return graph
