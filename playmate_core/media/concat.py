"""Concatenate video segments into one file: video packets are copied, the sound is encoded along them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..atomic_file import AtomicFile
from .audio_track import AnySound, Soundtrack
from .container import ffmpeg_name
from .video_formats import MUXERS, check_video_output, format_of
from .video_options import VideoOptions, finish_file, muxer_options


def join(
    parts: Sequence[Path],
    path: Path,
    fps: float,
    sound: AnySound = None,
    options: VideoOptions | None = None,
) -> Path:
    """Concatenate ``parts``, all encoded with the same ``options``, into ``path``, which is written atomically.

    Raises UserError if writing or decoding the sound fails.
    """
    file, options = AtomicFile(path), options or VideoOptions()
    check_video_output(path, options.codec)
    try:
        _concatenate(parts, file, Fraction(fps).limit_denominator(1001), sound, options)
        finish_file(file.temporary, file.path, options)
    except BaseException:
        file.discard()
        raise
    file.commit_or_keep()
    return path


def _concatenate(
    parts: Sequence[Path], file: AtomicFile, rate: Fraction, sound: AnySound, options: VideoOptions
) -> None:
    import av

    muxer, written = MUXERS[file.path.suffix.lower()], format_of(file.path, options.codec)
    flags = muxer_options(file.path, options)
    with av.open(ffmpeg_name(file.temporary), "w", format=muxer, options=flags) as container:
        container.metadata.update(options.metadata())
        with av.open(ffmpeg_name(parts[0])) as first:
            # Opaque: otherwise PyAV 14 opens an encoder, whose header replaces the copied one.
            source: Any = first.streams.video[0]
            stream = container.add_stream_from_template(source, opaque=True)
            stream.codec_context.codec_tag = source.codec_context.codec_tag
            if mode := source.metadata.get("alpha_mode"):  # Matroska's note that packets hold a second picture
                stream.metadata["alpha_mode"] = mode
        with Soundtrack.into(container, sound, options.bits_per_channel, written.sound) as soundtrack:
            count = 0
            for part in parts:
                count += _copy(part, container, stream, count / rate)
                soundtrack.write_until(count / rate)
            soundtrack.finish(count / rate)


def _copy(part: Path, container: Any, stream: Any, start: Fraction) -> int:
    """Append the packets of a part, offset by ``start`` seconds; returns their number, one per frame."""
    import av

    count = 0
    with av.open(ffmpeg_name(part)) as source:
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
