"""Pictures kept exactly in files, to be read forwards and backwards, as often as needed, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .container import ffmpeg_name
from .input_files import Bytes

#: Decoded pictures that are kept while they are read backwards, in bytes.
BACKWARD_BYTES = 256 << 20


class StoredFrames:
    """The pictures of consecutive ``parts``, files of :data:`video_formats.LOSSLESS` at ``fps``.

    Pictures are (H, W, 3) uint8, or (H, W, 4) with alpha.
    """

    def __init__(self, parts: Sequence[Path], fps: float) -> None:
        self._parts, self._fps = tuple(parts), fps

    def played(self, ping_pong: bool) -> Iterator[Bytes]:
        """All pictures; with ``ping_pong`` n pictures are followed by the pictures n - 1 to 2."""
        count = 0
        for part in self._parts:
            for picture in self._read(part, 0):
                count += 1
                yield picture
        if ping_pong:
            for number, picture in enumerate(self._backwards()):
                if 0 < number < count - 1:
                    yield picture

    def _backwards(self) -> Iterator[Bytes]:
        for part in reversed(self._parts):
            frames, size = _extent(part)
            block = max(1, BACKWARD_BYTES // size)
            for start in reversed(range(0, frames, block)):
                yield from reversed(list(islice(self._read(part, start), min(block, frames - start))))

    def _read(self, part: Path, start: int) -> Iterator[Bytes]:
        """The pictures of a part from number ``start`` on; every one is a key frame."""
        import av

        with av.open(ffmpeg_name(part)) as container:
            stream: Any = container.streams.video[0]
            if start:
                container.seek(int(start / self._fps / stream.time_base), stream=stream)
            frame: Any
            for frame in container.decode(stream):
                if round(float(frame.pts * stream.time_base) * self._fps) >= start:
                    alpha = frame.format.name == "bgra"
                    yield np.asarray(frame.to_ndarray(format="rgba" if alpha else "rgb24"), np.uint8)


def played_count(frames: int, ping_pong: bool) -> int:
    """How many pictures a video of ``frames`` shows."""
    return frames + max(0, frames - 2) if ping_pong else frames


def _extent(part: Path) -> tuple[int, int]:
    """The number of pictures in a part, and the bytes of one."""
    import av

    with av.open(ffmpeg_name(part)) as container:
        stream: Any = container.streams.video[0]
        size = 4 * stream.codec_context.width * stream.codec_context.height
        return sum(packet.size > 0 for packet in container.demux(stream)), size
