"""Detect truncated files from their structure: a box, chunk or segment that extends beyond the end of the file.

Stated durations prove nothing: the tracks of a video end at different times, and a last picture may be held. Sources:
the RIFF and AIFF specifications, EBU Tech 3306 (RF64), ISO/IEC 14496-12 (boxes), RFC 8794 (EBML).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ..errors import UserError

#: Missing share and bytes that are tolerated: recorders miscount by a few bytes.
_TOLERATED_SHARE, _TOLERATED_BYTES = 0.005, 64
#: Upper bound of top-level boxes or chunks; valid files have far fewer.
_MOST_CHUNKS = 100_000
_MEDIA_BOXES = (b"mdat", b"moov", b"moof")
_FIRST_BOXES = (b"ftyp", b"styp", b"wide", b"free", b"skip", b"pnot", *_MEDIA_BOXES)
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def check_complete(path: Path) -> None:
    """Raise UserError when the structure of a file states more bytes than there are."""
    size = path.stat().st_size
    announced = announced_bytes(path)
    if announced is None or announced - size <= max(_TOLERATED_BYTES, _TOLERATED_SHARE * announced):
        return
    raise UserError(
        f"{path} is cut short: {size:,} of {announced:,} bytes are there ({size / announced:.0%}); please give the"
        " whole file."
    )


def announced_bytes(path: Path) -> int | None:
    """The stated end of the last media chunk, in bytes; None where it is unknown or implausible."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:] in (b"WAVE", b"AVI "):
            return _riff(file)
        if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
            return _aiff(file)
        if head[4:8] in _FIRST_BOXES:
            return _boxes(file)
        if head[:4] == _EBML.to_bytes(4, "big"):
            return _ebml(file)
    return None


def _riff(file: BinaryIO) -> int | None:
    """The end of the data of a WAV (RF64 has its size in a separate chunk), or of the last movie list of an AVI."""
    at, long_size, end = 12, None, None
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(36)
        if len(head) < 8:
            break
        name, size = head[:4], struct.unpack("<I", head[4:8])[0]
        if name == b"ds64" and len(head) >= 24:
            long_size = struct.unpack("<Q", head[16:24])[0]
        elif name == b"data":
            if size == 0xFFFFFFFF and long_size:
                return at + 8 + long_size
            return None if _unknown(size) else at + 8 + size
        elif name == b"LIST" and head[8:12] == b"movi":
            end = None if _unknown(size) else at + 8 + size
        elif name == b"RIFF":  # further segments of a large AVI
            at += 12
            continue
        at += 8 + size + size % 2
    return end


def _unknown(size: int) -> bool:
    """Whether ``size`` is a placeholder of a recorder that could not seek back to its header or was killed."""
    return size == 0 or 0x7FFFF000 <= size <= 0x80001000 or size >= 0xFFFF0000


def _aiff(file: BinaryIO) -> int | None:
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        size = struct.unpack(">I", head[4:])[0]
        if head[:4] == b"SSND":
            return None if _unknown(size) else at + 8 + size
        at += 8 + size + size % 2
    return None


def _boxes(file: BinaryIO) -> int | None:
    """The end of the last media box; size 0 means up to the end of the file, size 1 a following 64-bit size."""
    at, end = 0, None
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            break
        size, name, least = struct.unpack(">I", head[:4])[0], head[4:8], 8
        if size == 1 and len(head) == 16:
            size, least = struct.unpack(">Q", head[8:])[0], 16
        if size < least:
            break
        at += size
        if name in _MEDIA_BOXES:
            end = at
    return end


def _ebml(file: BinaryIO) -> int | None:
    """The end of a Matroska file's segment; None for live recordings, whose size is unknown."""
    at = 0
    for _ in range(16):  # the header, perhaps padding, the segment
        file.seek(at)
        name, name_length = _number(file.read(4), keep_marker=True)
        file.seek(at + name_length)
        size, size_length = _number(file.read(8))
        if not name_length or not size_length:
            return None
        at += name_length + size_length
        unknown = size == (1 << 7 * size_length) - 1
        if name == _SEGMENT:
            return None if unknown or not size else at + size
        if unknown:
            return None
        at += size
    return None


def _number(data: bytes, keep_marker: bool = False) -> tuple[int, int]:
    """A variable-length integer of EBML and its length in bytes; length 0 where there is none."""
    length = 9 - data[0].bit_length() if data and data[0] else 0
    if not length or length > len(data):
        return 0, 0
    value = int.from_bytes(data[:length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), length
