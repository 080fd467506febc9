"""Frames of a video that is read several times and in any order: of a file, or of pictures held in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ..errors import UserError
from ..media.images import Bytes, to_bytes
from ..media.video_reader import Frame, VideoFacts, read_frames, video_facts
from ..values import expect, expect_rate
from ..weights.folders import file_hash
from .video_order import pictures_in_order


class Footage(Protocol):
    """A video that :func:`source_video.read_source_video` reads and that its frames are pasted back into."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def facts(self) -> VideoFacts:
        """Its size, rate and length."""

    def frames(self, warn: bool = True) -> Iterator[Frame]:
        """All frames in order, with their timestamps."""

    def in_order(self, order: Sequence[int]) -> Iterator[Bytes]:
        """The pictures (H, W, 3) uint8 of the frames ``order``."""

    def digest(self) -> str:
        """A hash of its content."""


@dataclass(frozen=True)
class VideoFile:
    """A file, decoded again for every pass, so that memory does not grow with its length."""

    path: Path

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def facts(self) -> VideoFacts:
        """As :func:`video_facts`."""
        return video_facts(self.path)

    def frames(self, warn: bool = True) -> Iterator[Frame]:
        """As :func:`read_frames`."""
        return read_frames(self.path, warn=warn)

    def in_order(self, order: Sequence[int]) -> Iterator[Bytes]:
        """As :func:`pictures_in_order`."""
        return pictures_in_order(self.path, order)

    def digest(self) -> str:
        """SHA-256 of the file, read piece by piece."""
        return file_hash(self.path)


@dataclass(frozen=True)
class HeldPictures:
    """Pictures (n, H, W, 3) uint8 at ``fps``."""

    pictures: Tensor
    fps: float

    def __post_init__(self) -> None:
        expect("HeldPictures.pictures", self.pictures, "n", "H", "W", 3)
        expect_rate("HeldPictures.fps", self.fps)
        if not len(self.pictures):
            raise UserError("The video has no frame; please give a video of a face.")

    @staticmethod
    def of(images: Tensor, fps: float) -> HeldPictures:
        """Of pictures (n, H, W, 3) in [0, 1]."""
        return HeldPictures(to_bytes(images), fps)

    @property
    def name(self) -> str:
        """What a message calls them."""
        return f"of {len(self.pictures)} pictures"

    def facts(self) -> VideoFacts:
        """Size, rate and length."""
        count, height, width = self.pictures.shape[:3]
        return VideoFacts(width, height, self.fps, count)

    def frames(self, warn: bool = True) -> Iterator[Frame]:
        """The pictures, ``fps`` a second."""
        return (Frame(picture.numpy(), i / self.fps) for i, picture in enumerate(self.pictures))

    def in_order(self, order: Sequence[int]) -> Iterator[Bytes]:
        """The pictures of these numbers; one after the last ends them, as in a file."""
        for number in order:
            if number >= len(self.pictures):
                return
            yield self.pictures[number].numpy()

    def digest(self) -> str:
        """SHA-256 of the pixels."""
        return hashlib.sha256(self.pictures.contiguous().numpy().data).hexdigest()
