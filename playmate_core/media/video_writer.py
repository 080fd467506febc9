"""Write videos, encoded on a thread behind a bounded queue, renamed when complete."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise, takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor

from ..atomic_file import AtomicFile, NotReplaced
from ..errors import UserError
from ..host import HOST
from ..values import FPS
from .audio_track import AnySound, Soundtrack
from .container import ffmpeg_name
from .frame_colours import FromRgb
from .images import Bytes, to_bytes
from .prefetch import Outcome
from .video_formats import MUXERS, check_video_output
from .video_options import VideoOptions, finish_file, muxer_options

#: Polling interval in seconds while waiting for the encoder.
SLICE = 0.1


class VideoWriter:
    """Write batches of frames, with sound, as a video that gets its name only when it is complete.

    ``with VideoWriter("out.mp4", sound="speech.wav") as video: video.write(frames)``. The size is that of the first
    batch, without an odd last row or column where the format halves colour. The sound keeps its rate (48 kHz if its
    encoder does not support it) and channels, cut or padded with silence to the length of the pictures. Leaving the
    block by an exception, Ctrl-C included, removes the temporary file. ``waiting`` is called repeatedly while waiting
    for the encoder; raising in it cancels. Raises UserError where the disk or the sound fails.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float = FPS,
        sound: AnySound = None,
        options: VideoOptions | None = None,
        waiting: Callable[[], None] = HOST.check_interrupted,
    ) -> None:
        self._options = options or VideoOptions()
        self.path = Path(path)
        self._format = check_video_output(self.path, self._options.codec)
        if self._format.assembled:
            raise ValueError(f"{self._format.name} is not written frame by frame, see rendering/assembly.py.")
        self._format.check_rate(fps)
        self._waiting = waiting
        self.frames = 0
        self._fps = Fraction(fps).limit_denominator(1001)
        self._sound = sound
        self._file = AtomicFile(self.path)
        self._outcome = Outcome()
        self._abandoned = threading.Event()
        self._queue: queue.Queue[Bytes | None] = queue.Queue(self._options.queued_batches)
        self._thread = threading.Thread(target=self._encode, name="video encoder", daemon=True)
        self._thread.start()

    def write(self, frames: Tensor) -> None:
        """Queue a batch (n, H, W, 3), uint8 or float in [0, 1], or (n, H, W, 4) with straight alpha where the format
        holds it; blocks while the queue is full."""
        pictures = np.ascontiguousarray(to_bytes(frames.detach().cpu()).numpy())
        channels = (3, 4) if self._format.alpha else (3,)
        if pictures.ndim != 4 or pictures.shape[-1] not in channels or min(pictures.shape[1:3]) < 2:
            raise ValueError(f"Frames must have shape (n, H, W, {max(channels)}), got {tuple(frames.shape)}.")
        self._put(pictures)
        self.frames += len(pictures)

    def close(self) -> Path:
        """Finish the file and rename it to its path."""
        try:
            if not self.frames:
                raise ValueError("No frame was written to the video.")
            self._put(None)
            while self._thread.is_alive():
                self._waiting()
                self._thread.join(SLICE)  # so that Ctrl-C is delivered on every system
            self._raise_failure()
            self._check_written()
            finish_file(self._file.temporary, self.path, self._options)
            self._file.commit_or_keep()
        except NotReplaced:  # complete, and kept under another name
            raise
        except BaseException:
            self.abandon()
            raise
        return self.path

    def abandon(self) -> None:
        """Stop encoding and remove the temporary file."""
        self._abandoned.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()  # free a slot in case a put is blocked
            except queue.Empty:
                pass
            self._thread.join(0.05)
        self._file.discard()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _put(self, item: Bytes | None) -> None:
        while True:
            self._raise_failure()
            try:
                return self._queue.put(item, timeout=SLICE)
            except queue.Full:
                self._waiting()

    def _raise_failure(self) -> None:
        problem = self._outcome.problem
        if problem is None:
            return
        if isinstance(problem, OSError) and not isinstance(problem, UserError):
            full = problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            why = "the disk is full" if full else problem.strerror or str(problem)
            raise UserError(f"{self.path} could not be written: {why}; please make room or choose another folder.")
        raise problem

    def _encode(self) -> None:
        with self._outcome:  # re-raised in the calling thread
            self._encode_all()

    def _encode_all(self) -> None:
        import av

        first = self._next()
        if first is None:
            return
        options, muxer = muxer_options(self.path, self._options), MUXERS[self.path.suffix.lower()]
        with av.open(ffmpeg_name(self._file.temporary), "w", format=muxer, options=options) as container:
            container.metadata.update(self._options.metadata())
            stream = self._video_stream(container, first)
            with Soundtrack.into(
                container, self._sound, self._options.bits_per_channel, self._format.sound
            ) as soundtrack:
                batch: Bytes | None = first
                count, to_frame = 0, FromRgb(stream.pix_fmt)
                while batch is not None:
                    for picture in batch:
                        if self._abandoned.is_set():  # a large batch takes seconds
                            return
                        frame = to_frame(np.ascontiguousarray(picture[: stream.height, : stream.width]))
                        frame.pts, frame.time_base = count, stream.codec_context.time_base
                        container.mux(stream.encode(frame))
                        count += 1
                        soundtrack.write_until(count / self._fps)
                    batch = self._next()
                if self._abandoned.is_set():
                    return
                soundtrack.finish(count / self._fps)
            packets = takewhile(lambda _: not self._abandoned.is_set(), _held_back(stream))
            for packet in packets if count > _LONGEST_REORDERING else with_decoding_times(list(packets)):
                if self._abandoned.is_set():  # takes seconds for large frames
                    return
                container.mux(packet)

    def _next(self) -> Bytes | None:
        while not self._abandoned.is_set():
            try:
                return self._queue.get(timeout=0.2)
            except queue.Empty:
                continue
        return None

    def _video_stream(self, container: Any, batch: Bytes) -> Any:
        written = self._format
        stream = container.add_stream(written.encoder, rate=self._fps)
        step = 2 if written.halves_colour else 1
        stream.height, stream.width = (side - side % step for side in batch.shape[1:3])
        stream.pix_fmt = written.alpha if batch.shape[-1] == 4 else written.pixels
        stream.options = written.options(self._options.crf, self._options.preset)
        context = stream.codec_context
        context.time_base = 1 / self._fps
        if written.tag:
            context.codec_tag = written.tag
        if not stream.pix_fmt.startswith("yuv"):
            return stream
        # Tag the colour space: players guess by size otherwise, and skin changes hue.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        return stream

    def _check_written(self) -> None:
        """Raise UserError unless all frames are in the file: a full disk may not raise while writing."""
        import av

        try:
            with av.open(ffmpeg_name(self._file.temporary)) as container:
                video = container.streams.video[0]
                # Matroska does not state how many there are.
                found = video.frames or sum(packet.size > 0 for packet in container.demux(video))
        except (av.error.FFmpegError, IndexError):
            found = 0
        if found != self.frames:
            raise UserError(
                f"{self.path} could not be written: {found} of {self.frames} frames arrived; is the disk full?"
            )


_BT709 = 1
#: More frames than an encoder reorders.
_LONGEST_REORDERING = 16
_LIMITED = 1


def with_decoding_times(packets: list[Any]) -> list[Any]:
    """All packets of a short video, with the times of decoding that they lack.

    x265 leaves them undefined in a video that is shorter than its reordering of frames.
    """
    stated = [packet.dts for packet in packets]
    sound = None not in stated and all(0 <= packet.pts - packet.dts <= _LONGEST_REORDERING for packet in packets)
    if not sound or any(later <= dts for dts, later in pairwise(stated)):
        delay = max(number - packet.pts for number, packet in enumerate(packets))
        for number, packet in enumerate(packets):
            packet.dts = number - delay
    return packets


def _held_back(stream: Any) -> Iterator[Any]:
    """Flush the encoder packet by packet."""
    for packet in stream.codec_context.encode_lazy(None):
        packet.stream = stream
        yield packet
