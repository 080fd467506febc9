"""Write GIFs: one palette for all pictures, and their metadata in a comment and an XMP packet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_file import AtomicFile
from ..host import HOST
from .container import ffmpeg_name
from .input_files import Bytes
from .provenance import Mark

#: Error diffusion of Sierra's smaller kernel; only the part that changes is drawn and dithered again.
_DITHERING = "dither=sierra2_4a:diff_mode=rectangle"
#: Bytes before the global palette.
_HEADER = 13
#: Time base inside the filters, where only the order counts.
_TICK = Fraction(1, 1000)
_EXTENSION, _COMMENT, _APPLICATION = b"\x21", b"\xfe", b"\xff"


def write_gif(
    path: Path,
    pictures: Callable[[], Iterator[Bytes]],
    fps: float,
    tags: dict[str, str] | None = None,
    mark: Mark | None = None,
) -> int:
    """Write pictures (H, W, 3) uint8 as a GIF that loops, atomically; returns their number.

    They are read twice, for the palette and for the file. Times are rounded to hundredths of a second, without a drift.
    """
    palette = _palette(pictures())
    with AtomicFile(path) as plain:
        count = _encode(plain, pictures(), palette, Fraction(fps).limit_denominator(1001))
        if not (tags or mark):
            return count
        with AtomicFile(plain) as told, plain.open("rb") as source, told.open("wb") as target:
            head = source.read(_HEADER)
            if head[10] & 0x80:
                head += source.read(3 << ((head[10] & 7) + 1))
            target.write(head + _comment(tags or {}) + (_packet(mark) if mark else b""))
            shutil.copyfileobj(source, target)
    return count


def read_comment(comment: str) -> dict[str, str]:
    """The tags in the comment of a GIF of ours; {"comment": ...} for any other."""
    words, _, rest = comment.partition("\n")
    try:
        return {"comment": words, **json.loads(rest)}
    except (ValueError, TypeError):
        return {"comment": comment}


def _palette(pictures: Iterator[Bytes]) -> Any:
    """The picture of 16 x 16 pixels that holds the 256 colours which suit all pictures best."""
    graph, sources = None, list[Any]()
    for number, picture in enumerate(pictures):
        HOST.check_interrupted()
        frame = _frame(picture, number)
        if graph is None:
            graph, sources = _graph([frame], "palettegen", "reserve_transparent=0:stats_mode=full")
        sources[0].push(frame)
    if graph is None:
        raise ValueError("No picture was given for a GIF.")
    sources[0].push(None)
    return graph.pull()


def _encode(path: Path, pictures: Iterator[Bytes], palette: Any, rate: Fraction) -> int:
    import av

    count, graph, sources = 0, None, list[Any]()
    with av.open(ffmpeg_name(path), "w", format="gif", options={"loop": "0"}) as container:
        stream: Any = container.add_stream("gif", rate=rate)
        stream.pix_fmt, stream.codec_context.time_base = "pal8", 1 / rate
        for picture in pictures:
            HOST.check_interrupted()
            frame = _frame(picture, count)
            if graph is None:
                stream.width, stream.height = frame.width, frame.height
                graph, sources = _graph([frame, palette], "paletteuse", _DITHERING)
                sources[1].push(palette)
                sources[1].push(None)
            sources[0].push(frame)
            drawn = graph.pull()
            drawn.pts, drawn.time_base = count, 1 / rate
            container.mux(stream.encode(drawn))
            count += 1
        container.mux(stream.encode(None))
    return count


def _graph(frames: list[Any], name: str, options: str) -> tuple[Any, list[Any]]:
    """A graph of one filter for inputs like ``frames``, and its sources."""
    import av

    graph = av.filter.Graph()
    used, sink = graph.add(name, options), graph.add("buffersink")
    sources = [
        graph.add_buffer(width=one.width, height=one.height, format=one.format, time_base=_TICK) for one in frames
    ]
    for number, source in enumerate(sources):
        source.link_to(used, 0, number)
    used.link_to(sink)
    graph.configure()
    return graph, sources


def _frame(picture: Bytes, number: int) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="rgb32")
    frame.pts, frame.time_base = number, _TICK
    return frame


def _comment(tags: dict[str, str]) -> bytes:
    rest = {key: text for key, text in tags.items() if key != "comment"}
    text = f"{tags.get('comment', '')}\n{json.dumps(rest)}".encode()
    blocks = (text[at : at + 255] for at in range(0, len(text), 255))
    return _EXTENSION + _COMMENT + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def _packet(mark: Mark) -> bytes:
    """The XMP packet in the application extension that Adobe's XMP specification part 3 defines for GIF."""
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return _EXTENSION + _APPLICATION + b"\x0bXMP DataXMP" + mark.packet() + trailer
