"""HEIC and AVIF pictures: the boxes of ISO/IEC 23008-12 are parsed here, the pixels decoded by FFmpeg.

A phone's picture is a grid of tiles, each a separate item, which FFmpeg exposes as streams whose id is the item number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .container import Damage, decoded, ffmpeg_name
from .frame_colours import ToRgb
from .input_files import Bytes

_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"miaf")
_CODED = (b"hvc1", b"av01", b"avc1")
#: Upper bound of tiles; cameras produce far fewer.
_MOST_TILES = 4096


@dataclass
class HeifPicture:
    """The primary picture of a file: the item numbers of its ``tiles``, row by row, ``columns`` of them in a row, the
    ``size`` (width, height) they are cropped to, ``quarters`` of counter-clockwise rotation, and its colour profile."""

    tiles: list[int] = field(default_factory=list)
    columns: int = 1
    size: tuple[int, int] = (0, 0)
    quarters: int = 0
    mirror: int | None = None
    profile: bytes | None = None

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height, upright."""
        return self.size[::-1] if self.quarters % 2 else self.size


def is_heif(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is of this family."""
    return head[4:8] == b"ftyp" and (head[8:12] in _BRANDS or any(head[i : i + 4] in _BRANDS for i in range(16, 64, 4)))


def read_heif(content: bytes) -> HeifPicture | None:
    """Parse the boxes of the primary picture; None for a file without a supported one."""
    try:
        meta = next(body for name, body in _boxes(content) if name == b"meta")
        return _Meta(meta[4:], content).picture()
    except (StopIteration, struct.error, IndexError, KeyError, ValueError):
        return None


def decode_heif(path: Path, heif: HeifPicture) -> Bytes | None:
    """The pixels of the primary picture, upright, (H, W, 3) uint8; None where FFmpeg cannot decode them."""
    import av

    tiles = []
    try:
        for number in heif.tiles:  # reopened for each: a still picture's demuxer yields one stream after another
            with av.open(ffmpeg_name(path)) as container:
                stream = next(s for s in container.streams.video if s.id == number)
                frame = next(decoded(container, stream, Damage()))
                tiles.append(ToRgb(stream, path, still=True)(frame))
        rows = [np.concatenate(tiles[i : i + heif.columns], 1) for i in range(0, len(tiles), heif.columns)]
        whole = np.concatenate(rows, 0)
    except (av.error.FFmpegError, StopIteration, ValueError):
        return None
    picture = whole[: heif.size[1] or None, : heif.size[0] or None]
    picture = np.rot90(picture, heif.quarters)
    if heif.mirror is not None:
        picture = picture[:, ::-1] if heif.mirror else picture[::-1]
    return np.ascontiguousarray(picture)


class _Meta:
    """The boxes inside a file's meta box."""

    def __init__(self, meta: bytes, content: bytes) -> None:
        self._content = content
        self._boxes = dict(_boxes(meta))
        self._kinds = dict(self._items())

    def picture(self) -> HeifPicture | None:
        primary = self._boxes[b"pitm"]
        number = struct.unpack(">H" if primary[0] == 0 else ">I", primary[4 : 6 if primary[0] == 0 else 8])[0]
        found = HeifPicture()
        for name, body in self._properties(number):
            if name == b"ispe":
                found.size = struct.unpack(">II", body[4:12])
            elif name == b"irot":
                found.quarters = body[0] & 3
            elif name == b"imir":
                found.mirror = body[0] & 1
            elif name == b"colr" and body[:4] in (b"prof", b"rICC"):
                found.profile = body[4:]
        if self._kinds[number] in _CODED:
            found.tiles = [number]
        elif self._kinds[number] == b"grid":
            found.tiles = self._derived_from(number)
            rows, found.columns, found.size = _grid(self._data(number))
            if not 0 < len(found.tiles) == rows * found.columns <= _MOST_TILES:
                return None
            if found.profile is None:
                found.profile = next((b[4:] for n, b in self._properties(found.tiles[0]) if n == b"colr"), None)
        return found if found.tiles else None

    def _items(self) -> Iterator[tuple[int, bytes]]:
        """Number and kind of each item."""
        table = self._boxes[b"iinf"]
        for name, body in _boxes(table[6 if table[0] == 0 else 8 :]):
            if name == b"infe" and body[0] >= 2:
                width = 2 if body[0] == 2 else 4
                yield int.from_bytes(body[4 : 4 + width], "big"), body[6 + width : 10 + width]

    def _properties(self, number: int) -> list[tuple[bytes, bytes]]:
        """The property boxes of an item."""
        inner = dict(_boxes(self._boxes[b"iprp"]))
        known, table = list(_boxes(inner[b"ipco"])), inner[b"ipma"]
        wide, at = table[3] & 1, 8
        for _ in range(struct.unpack(">I", table[4:8])[0]):
            width = 2 if table[0] < 1 else 4
            item, count = int.from_bytes(table[at : at + width], "big"), table[at + width]
            at += width + 1
            step = 2 if wide else 1
            if item == number:
                places = (int.from_bytes(table[at + i * step : at + (i + 1) * step], "big") for i in range(count))
                return [known[(place & (0x7FFF if wide else 0x7F)) - 1] for place in places]
            at += count * step
        return []

    def _derived_from(self, number: int) -> list[int]:
        """The items that a grid consists of, in order."""
        table = self._boxes[b"iref"]
        width = 2 if table[0] == 0 else 4
        for name, body in _boxes(table[4:]):
            if name == b"dimg" and int.from_bytes(body[:width], "big") == number:
                numbers = body[width + 2 :]
                return [int.from_bytes(numbers[i : i + width], "big") for i in range(0, len(numbers), width)]
        return []

    def _data(self, number: int) -> bytes:
        """The content of an item that is not a coded picture."""
        table = self._boxes[b"iloc"]
        version, (offset, length), (base, index) = table[0], _nibbles(table[4]), _nibbles(table[5])
        at, wide = 6, 4 if version == 2 else 2

        def take(size: int) -> int:
            nonlocal at
            at += size
            return int.from_bytes(table[at - size : at], "big")

        for _ in range(take(wide)):
            item = take(wide)
            method = take(2) & 15 if version else 0
            take(2)
            start = take(base)
            parts = []
            for _ in range(take(2)):
                if version:
                    take(index)
                parts.append((start + take(offset), take(length)))
            if item == number:
                source = self._boxes[b"idat"] if method == 1 else self._content
                return b"".join(source[begin : begin + size] for begin, size in parts)
        return b""


def _grid(data: bytes) -> tuple[int, int, tuple[int, int]]:
    """Rows, columns and the size (width, height) of a grid item."""
    size = struct.unpack(">II", data[4:12]) if data[1] & 1 else struct.unpack(">HH", data[4:8])
    return data[2] + 1, data[3] + 1, (size[0], size[1])


def _nibbles(byte: int) -> tuple[int, int]:
    return byte >> 4, byte & 15


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of consecutive boxes."""
    at = 0
    while at + 8 <= len(data):
        size, head = struct.unpack(">I", data[at : at + 4])[0], 8
        if size == 1:
            size, head = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
        size = size or len(data) - at
        if size < head:
            return
        yield data[at + 4 : at + 8], data[at + head : at + size]
        at += size
