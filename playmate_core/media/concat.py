"""Parts of a film become one file: the pictures' packets are copied as they are, the sound is laid along them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from .audio_files import Recording
from .audio_track import Soundtrack
from .video_writer import PROVENANCE, VideoOptions, check_output


def join(
    parts: Sequence[Path],
    path: Path,
    fps: float,
    sound: Recording | str | Path | None = None,
    options: VideoOptions | None = None,
) -> Path:
    """Write the pictures of ``parts``, all encoded with the same ``options``, one after another as ``path``.

    The file appears under its name only when it is whole. Raises UserError where the disk or the sound fails.
    """
    import av

    rate = Fraction(fps).limit_denominator(1001)
    temporary = check_output(path).with_name(f".{path.stem}.{os.getpid()}.part")
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            container.metadata.update(comment=PROVENANCE, description=PROVENANCE)
            with av.open(str(parts[0])) as first:
                stream = _like(container, first.streams.video[0])
            bits = (options or VideoOptions()).bits_per_channel
            with Soundtrack.into(container, sound, bits) as soundtrack:
                count = 0
                for part in parts:
                    count += _copy(part, container, stream, count / rate)
                    soundtrack.write_until(count / rate)
                soundtrack.finish(count / rate)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _copy(part: Path, container: Any, stream: Any, start: Fraction) -> int:
    """Append the packets of a part, moved to ``start`` seconds; returns their number, one a frame."""
    import av

    count = 0
    with av.open(str(part)) as source:
        video: Any = source.streams.video[0]
        offset = round(start / video.time_base)
        packet: Any
        for packet in source.demux(video):
            if packet.size == 0:  # the flushing packet
                continue
            packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
            packet.stream = stream
            container.mux(packet)
            count += 1
    return count


def _like(container: Any, stream: Any) -> Any:
    """An output stream that takes the packets of ``stream``; PyAV renamed how in its 14th version."""
    if hasattr(container, "add_stream_from_template"):
        return container.add_stream_from_template(stream)
    return container.add_stream(template=stream)
