"""Write videos: H.264 and AAC in an mp4, encoded on a thread behind a bounded queue, renamed when complete."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor

from ..atomic_file import AtomicFile, NotReplaced
from ..errors import UserError
from ..host import HOST
from ..ranges import check_ranges, ranged
from ..values import FPS
from .audio_track import AnySound, Soundtrack
from .container import ffmpeg_name
from .credentials import Signing
from .frame_colours import FromRgb
from .images import Bytes, to_bytes
from .output_file import check_output
from .prefetch import Outcome
from .provenance import Mark

#: Polling interval in seconds while waiting for the encoder.
SLICE = 0.1


@dataclass(frozen=True)
class VideoOptions:
    """Encoder settings: x264's constant rate factor and preset; AAC bits a second for each channel."""

    crf: int = ranged(18, 0, 51)
    preset: str = "faster"
    bits_per_channel: int = ranged(96_000, 8_000, 512_000, "bits a second")
    #: Capacity of the queue before the encoder: enough to overlap with rendering, little memory.
    queued_batches: int = ranged(4, 1, 1024, "batches")
    #: Further (key, text) tags to store in the file.
    tags: tuple[tuple[str, str], ...] = ()
    #: Provenance metadata; None stores none.
    mark: Mark | None = field(default_factory=Mark)
    #: Who signs what the mark says; None is nobody.
    signing: Signing | None = None

    def unmarked(self) -> VideoOptions:
        """The same pictures without anything that is said of them."""
        return replace(self, tags=(), mark=None, signing=None)

    def metadata(self) -> dict[str, str]:
        """All tags of the container."""
        return {**dict(self.tags), **(self.mark.tags() if self.mark else {})}

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.signing and not self.mark:
            raise ValueError("What is signed is the mark of a synthetic video, which is off.")


def movflags(options: VideoOptions) -> str:
    """FFmpeg's movflags: the index first, and custom metadata tags if there are any."""
    return "+faststart+use_metadata_tags" if options.metadata() else "+faststart"


def finish_file(path: Path, options: VideoOptions, title: str) -> None:
    """Append to a complete file what FFmpeg does not write: the XMP packet, and a signature of the whole file."""
    if options.mark:
        options.mark.append_to(path)
        if options.signing:
            options.signing.sign(path, options.mark.kind, title)


class VideoWriter:
    """Write batches of frames, with sound, as an mp4 that gets its name only when it is complete.

    ``with VideoWriter("out.mp4", sound="speech.wav") as video: video.write(frames)``. The size is that of the first
    batch, without an odd last row or column. The sound keeps its rate (48 kHz if AAC does not support it) and channels,
    cut or padded with silence to the length of the pictures. Leaving the block by an exception, Ctrl-C included,
    removes the temporary file. ``waiting`` is called repeatedly while waiting for the encoder; raising in it cancels.
    Raises UserError where the disk or the sound fails.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float = FPS,
        sound: AnySound = None,
        options: VideoOptions | None = None,
        waiting: Callable[[], None] = HOST.check_interrupted,
    ) -> None:
        self.path = check_output(path)
        self._waiting = waiting
        self.frames = 0
        self._fps = Fraction(fps).limit_denominator(1001)
        self._options = options or VideoOptions()
        self._sound = sound
        self._file = AtomicFile(self.path)
        self._outcome = Outcome()
        self._abandoned = threading.Event()
        self._queue: queue.Queue[Bytes | None] = queue.Queue(self._options.queued_batches)
        self._thread = threading.Thread(target=self._encode, name="video encoder", daemon=True)
        self._thread.start()

    def write(self, frames: Tensor) -> None:
        """Queue a batch (n, H, W, 3), uint8 or float in [0, 1]; blocks while the queue is full."""
        pictures = np.ascontiguousarray(to_bytes(frames.detach().cpu()).numpy())
        if pictures.ndim != 4 or pictures.shape[-1] != 3 or min(pictures.shape[1:3]) < 2:
            raise ValueError(f"Frames must have shape (n, H, W, 3), got {tuple(frames.shape)}.")
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
            finish_file(self._file.temporary, self._options, self.path.name)
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
        options = {"movflags": movflags(self._options)}
        with av.open(ffmpeg_name(self._file.temporary), "w", format="mp4", options=options) as container:
            container.metadata.update(self._options.metadata())
            stream = self._video_stream(container, first)
            with Soundtrack.into(container, self._sound, self._options.bits_per_channel) as soundtrack:
                batch: Bytes | None = first
                count, to_frame = 0, FromRgb()
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
            for packet in _held_back(stream):  # takes seconds for large frames
                if self._abandoned.is_set():
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
        stream = container.add_stream("libx264", rate=self._fps)
        stream.height, stream.width = (side - side % 2 for side in batch.shape[1:3])
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(self._options.crf), "preset": self._options.preset}
        context = stream.codec_context
        context.time_base = 1 / self._fps
        # Tag the colour space: players guess by size otherwise, and skin changes hue.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        return stream

    def _check_written(self) -> None:
        """Raise UserError unless all frames are in the file: a full disk may not raise while writing."""
        import av

        try:
            with av.open(ffmpeg_name(self._file.temporary)) as container:
                found = container.streams.video[0].frames
        except (av.error.FFmpegError, IndexError):
            found = 0
        if found != self.frames:
            raise UserError(
                f"{self.path} could not be written: {found} of {self.frames} frames arrived; is the disk full?"
            )


_BT709 = 1
_LIMITED = 1


def _held_back(stream: Any) -> Iterator[Any]:
    """Flush the encoder packet by packet."""
    for packet in stream.codec_context.encode_lazy(None):
        packet.stream = stream
        yield packet
