"""HEIC pictures, made box by box."""

from __future__ import annotations

import struct
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def box(name: bytes, *content: bytes, full: int | None = None) -> bytes:
    head = b"" if full is None else struct.pack(">I", full)
    body = head + b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name + body


def hevc(picture: NDArray[np.uint8]) -> tuple[bytes, bytes]:
    """The configuration record and the one picture of a lossless HEVC stream, as an MP4 would store them."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "a.mp4")
        with av.open(path, "w") as container:
            stream: Any = container.add_stream("libx265", rate=Fraction(25))
            stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuv420p"
            stream.options = {"x265-params": "log-level=none:lossless=1:range=full:colormatrix=smpte170m"}
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            graph = av.filter.Graph()
            chain = [
                graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
                ),
                graph.add("scale", "out_color_matrix=smpte170m:out_range=pc:flags=accurate_rnd+full_chroma_inp"),
                graph.add("format", "pix_fmts=yuv420p"),
                graph.add("buffersink"),
            ]
            for first, second in zip(chain, chain[1:], strict=False):
                first.link_to(second)
            graph.configure()
            frame.pts = 0
            graph.push(frame)
            for packet in [*stream.encode(graph.pull()), *stream.encode(None)]:
                packet.pts = packet.dts = 0  # x265 makes up the second of a single picture
                container.mux(packet)
        with av.open(path) as container:
            video: Any = container.streams.video[0]
            return bytes(video.codec_context.extradata), bytes(next(container.demux(video)))


def save_heic(
    path: Path, tiles: list[NDArray[np.uint8]], columns: int, size: tuple[int, int], quarters: int = 0, icc: bytes = b""
) -> Path:
    """A HEIC file: one coded picture, or a grid of tiles cut to ``size`` (width, height) as phones write it."""
    coded = [hevc(tile) for tile in tiles]
    grid = len(tiles) > 1
    main = len(tiles) + 1 if grid else 1
    infos = [box(b"infe", struct.pack(">HH", i + 1, 0), b"hvc1\0", full=2 << 24) for i in range(len(tiles))]
    height, width = tiles[0].shape[:2]
    properties = [box(b"hvcC", coded[0][0]), box(b"ispe", struct.pack(">II", width, height), full=0)]
    properties += [box(b"ispe", struct.pack(">II", *size), full=0), box(b"irot", bytes([quarters]))]
    extra = [4] if quarters else []
    if icc:
        properties.append(box(b"colr", b"prof", icc))
        extra.append(5)
    uses = {i + 1: [1, 2] for i in range(len(tiles))}
    idat = b""
    refs = b""
    if grid:
        infos.append(box(b"infe", struct.pack(">HH", main, 0), b"grid\0", full=2 << 24))
        uses[main] = [3, *extra]
        idat = box(b"idat", bytes([0, 0, len(tiles) // columns - 1, columns - 1]), struct.pack(">HH", *size))
        refs = box(
            b"iref",
            box(b"dimg", struct.pack(f">HH{len(tiles)}H", main, len(tiles), *range(1, len(tiles) + 1))),
            full=0,
        )
    else:
        uses[1] += extra
    ipma = struct.pack(">I", len(uses)) + b"".join(
        struct.pack(">HB", item, len(which)) + bytes(0x80 | number for number in which) for item, which in uses.items()
    )

    def meta(start: int) -> bytes:
        entries, at = [], start
        for i, (_, data) in enumerate(coded):
            entries.append(struct.pack(">HHHHII", i + 1, 0, 0, 1, at, len(data)))
            at += len(data)
        if grid:
            entries.append(struct.pack(">HHHHII", main, 1, 0, 1, 0, 8))
        iloc = box(b"iloc", b"\x44\x00", struct.pack(">H", len(entries)), *entries, full=1 << 24)
        return box(
            b"meta",
            box(b"hdlr", struct.pack(">I4s12sB", 0, b"pict", bytes(12), 0), full=0),
            box(b"pitm", struct.pack(">H", main), full=0),
            iloc,
            box(b"iinf", struct.pack(">H", len(infos)), *infos, full=0),
            refs,
            box(b"iprp", box(b"ipco", *properties), box(b"ipma", ipma, full=0)),
            idat,
            full=0,
        )

    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(head) + len(meta(0)) + 8
    path.write_bytes(head + meta(start) + box(b"mdat", *(data for _, data in coded)))
    return path


def quarters_of_colour(height: int, width: int) -> NDArray[np.uint8]:
    picture = np.zeros((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    picture[:h, :w], picture[:h, w:], picture[h:, :w] = (225, 173, 148), (40, 160, 60), (30, 60, 190)
    return picture


def corners(picture: NDArray[np.uint8]) -> NDArray[np.int_]:
    return np.array([picture[y, x] for y in (8, -9) for x in (8, -9)], int)
