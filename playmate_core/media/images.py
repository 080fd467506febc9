"""Read still pictures of common formats as upright float sRGB."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UserError, with_article
from ..values import Transparency
from .colour_profiles import decode_cmyk, embedded_profile, to_srgb
from .heif import decode_heif, is_heif, read_heif
from .input_files import Bytes, Floats, check_file
from .png_colours import png_colours
from .transparency import WHITE, Colour, lay_on

#: LivePortrait limits the source picture to this first.
LONGEST_SIDE = 1280
SHORTEST_SIDE = 32
#: About 23 000 x 23 000: 1.6 GB decoded. More is a decompression bomb or a mistake.
MOST_PIXELS = 1 << 29
MOST_BYTES = 1 << 30

PNG = b"\x89PNG\r\n\x1a\n"

log = logging.getLogger(__name__)
P = TypeVar("P", np.uint8, np.float32)


def read_picture(path: str | Path, longest: int = LONGEST_SIDE) -> Tensor:
    """:func:`read_transparent_picture` without its transparency, which is laid on white."""
    return read_transparent_picture(path, longest)[0]


def read_transparent_picture(
    path: str | Path, longest: int = LONGEST_SIDE, background: Colour = WHITE
) -> tuple[Tensor, Transparency | None]:
    """Read a picture as (H, W, 3) float32 sRGB in [0, 1], upright, its longest side at most ``longest``, sides even.

    Grey becomes RGB, 16 bits become 8, transparency is composited on ``background`` and returned too (None where all
    is opaque), the EXIF orientation and the colour profile are applied. Raises UserError when the file is missing,
    empty, damaged, not a picture, smaller than 32 pixels on a side or larger than 2^29 pixels.
    """
    path = Path(path)
    content = read_bytes(path, "picture")
    heif = read_heif(content) if is_heif(content[:64]) else None
    declared = heif.shown_size if heif else declared_size(content[: 1 << 20])
    if declared and declared[0] * declared[1] > MOST_PIXELS:
        raise UserError(f"{path} is {declared[0]} x {declared[1]} pixels, too large to decode; please shrink it first.")
    if declared and all(declared):
        _check_sides(path, *declared)
    picture, alpha = decode_heif(path, heif) if heif else None, None
    if picture is None:
        picture, alpha = _decode_bytes(content, declared, longest)
    if picture is None:
        raise UserError(_undecodable(path, content))
    if not declared:
        _check_sides(path, *picture.shape[1::-1])
    if alpha is not None:
        picture = lay_on(picture, alpha, background)
    picture = limit_side(picture, longest)
    profile = heif.profile if heif else embedded_profile(content)
    said = png_colours(content)
    image = from_bytes(to_srgb(picture, profile, path) if profile and said.cicp is None else said.to_srgb(picture))
    if alpha is None or bool((alpha > 254.5 / 255).all()):
        return image, None
    return image, Transparency(torch.from_numpy(limit_side(alpha, longest)), background)


def read_shown_picture(
    path: str | Path, longest: int, background: Colour = WHITE
) -> tuple[Tensor, Transparency | None]:
    """:func:`read_transparent_picture` for a picture that appears in the output: logs a warning if it is downscaled."""
    picture, transparency = read_transparent_picture(path, longest, background)
    with Path(path).open("rb") as file:
        declared = declared_size(file.read(1 << 20))
    if declared and max(declared) > longest:
        (height, width), (own_width, own_height) = picture.shape[:2], sorted(declared, reverse=True)
        own = (own_width, own_height) if width >= height else (own_height, own_width)
        log.warning(
            "%s is %d x %d pixels and is shrunk to %d x %d; --longest-side says how large it may be.",
            path,
            *own,
            width,
            height,
        )
    return picture, transparency


def _decode_bytes(content: bytes, declared: tuple[int, int] | None, longest: int) -> tuple[Bytes | None, Floats | None]:
    """Pixels of formats OpenCV supports, upright, possibly at reduced size, and their alpha; None for anything else."""
    if content.startswith(PNG) and b"IEND" not in content:  # truncated: libpng would print to stderr
        return None, None
    printed = decode_cmyk(content) if content.startswith(b"\xff\xd8") else None
    if printed is not None:
        return printed, None
    with _quiet_decoder():
        return _decode(np.frombuffer(content, np.uint8), _reduction(declared, longest))


def _check_sides(path: Path, width: int, height: int) -> None:
    if min(width, height) < SHORTEST_SIDE:
        raise UserError(f"{path} is {width} x {height} pixels; a portrait needs at least {SHORTEST_SIDE} on each side.")


def _undecodable(path: Path, content: bytes) -> str:
    if is_heif(content[:64]):
        return (
            f"{path} is a HEIC or AVIF picture that cannot be decoded here; please save it as JPEG or PNG first (phones"
            " and picture viewers can)."
        )
    return f"{path} is not a picture that can be read: it is damaged, cut short or of another type."


def read_bytes(path: Path, what: str) -> bytes:
    """The content of a small file. Raises UserError when it is missing, a folder, unreadable, empty or over 1 GiB."""
    check_file(path, what)
    if path.stat().st_size > MOST_BYTES:
        raise UserError(f"{path} holds more than 1 GiB, too much for {with_article(what)}; please give a smaller file.")
    return path.read_bytes()


def to_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] -> uint8, truncated as in LivePortrait; bytes divided by 255 come back unchanged."""
    if images.dtype == torch.uint8:
        return images
    return (images.float().clamp(0, 1) * 255 + 1e-3).to(torch.uint8)  # the margin absorbs k / 255 * 255 < k


def from_bytes(images: Bytes | Tensor) -> Tensor:
    """uint8 images -> float32 in [0, 1]."""
    return torch.as_tensor(np.ascontiguousarray(images)).float() / 255


def limit_side(picture: NDArray[P], longest: int) -> NDArray[P]:
    """Downscale (H, W, 3) or (H, W) to a longest side of ``longest`` (never upscale), then drop the last row or column
    if odd."""
    import cv2

    height, width = picture.shape[:2]
    share = longest / max(height, width)
    if share < 1:
        smaller = (max(2, int(width * share)), max(2, int(height * share)))
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA), picture.dtype)
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])


def declared_size(head: bytes) -> tuple[int, int] | None:
    """Width and height stated in a PNG or JPEG header, without decoding; None for other types."""
    if head.startswith(PNG) and len(head) >= 24:
        return struct.unpack(">II", head[16:24])
    if not head.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], struct.unpack(">H", head[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None


def _reduction(declared: tuple[int, int] | None, longest: int) -> int:
    """The OpenCV flag that decodes at 1/8, 1/4 or 1/2 where that still leaves more than ``longest`` pixels."""
    import cv2

    reductions = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
    for factor, flag in reductions:
        if declared and max(declared) >= factor * longest:
            return flag
    return cv2.IMREAD_COLOR


def _decode(data: Bytes, flag: int) -> tuple[Bytes | None, Floats | None]:
    """Upright RGB and alpha, or None."""
    import cv2

    try:
        colours = cv2.imdecode(data, flag)  # applies EXIF, turns grey and 16 bits into 8-bit BGR, drops alpha
        if colours is None:
            return None, None
        alpha = None
        if _may_be_transparent(data[: 1 << 20].tobytes()):
            stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
            if stored is not None and stored.ndim == 3 and stored.shape[2] == 4:
                alpha = _upright_alpha(np.asarray(colours), np.asarray(stored))
        return np.asarray(cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), np.uint8), alpha
    except (cv2.error, MemoryError):
        return None, None


def _may_be_transparent(head: bytes) -> bool:
    """Whether to decode again with alpha: 20 000 x 20 000 pixels take ten seconds and a gigabyte."""
    if head.startswith(PNG):
        return head[25:26] in (b"\x04", b"\x06") or b"tRNS" in head  # the colour types with alpha
    return not head.startswith(b"\xff\xd8")


def _upright_alpha(colours: Bytes, stored: NDArray[Any]) -> Floats:
    """The alpha of ``stored`` (in the file's orientation), as large and oriented as ``colours``."""
    import cv2

    share = max(colours.shape) / max(stored.shape)
    if share < 1:  # before conversion to floats, which are four times as large
        stored = cv2.resize(stored, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return _turned_alike(_unit(stored[..., 3]), _unit(stored[..., :3]), _unit(colours))


def _turned_alike(alpha: Floats, stored: Floats, upright: Floats) -> Floats:
    """Orient ``alpha`` as OpenCV oriented the colours; it does not report how, so all eight orientations are
    compared."""
    import cv2

    height, width = upright.shape[:2]
    thumbnail = (min(width, 256), min(height, 256))

    def small(picture: Floats) -> Floats:
        return np.asarray(cv2.resize(picture, thumbnail, interpolation=cv2.INTER_AREA), np.float32)

    def turn(picture: Floats, way: int) -> Floats:
        return np.ascontiguousarray(np.rot90(picture[:, ::-1] if way >= 4 else picture, way % 4))

    target = small(upright)
    turned = turn(alpha, min(range(8), key=lambda way: float(np.abs(small(turn(stored, way)) - target).mean())))
    if turned.shape != (height, width):  # the colours were decoded smaller
        turned = np.asarray(cv2.resize(turned, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    return turned


def _unit(values: NDArray[Any]) -> Floats:
    """Integers of any depth -> 0 ... 1; floats as they are."""
    full = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return values.astype(np.float32) / np.float32(full)


@contextmanager
def _quiet_decoder() -> Iterator[None]:
    """Silence OpenCV's own log messages: the user gets a UserError instead."""
    import cv2

    logger: Any = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # it moved in OpenCV 5
    level = logger.getLogLevel()
    logger.setLogLevel(0)
    try:
        yield
    finally:
        logger.setLogLevel(level)
