"""A face crop as the motion extractor reads it: cut with twice its pixels in bytes, then halved by area averaging."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..face.config import FaceConfig
from ..media.images import Bytes, from_bytes, to_bytes
from .crop import Square, crop_to_image, cut, shrink, whole_to_image


@dataclass(frozen=True)
class ReadingCrop:
    """Where a crop lies in pictures of one size: ``crop_to_image`` (2, 3) for ``size`` pixels, of which the motion
    extractor reads ``reading_size``.

    LivePortrait cuts 512 pixels with pixel centres at integers and halves them (docs/liveportrait.md 6.4, 6.5). A cut
    straight at 256 with the same matrix would lie a quarter of a pixel beside it.
    """

    crop_to_image: Tensor
    size: int
    reading_size: int

    @classmethod
    def of(cls, square: Square | None, height: int, width: int, config: FaceConfig) -> ReadingCrop:
        """The crop of a square in pictures of ``height`` x ``width``, as large as a portrait's is for these networks.

        None takes the largest centred square of the picture, resized once: one of the right size stays as it is.
        """
        if square is not None:
            return cls.of_square(square, config)
        size = config.reading_size
        return cls(whole_to_image(height, width, size), size, size)

    @classmethod
    def of_square(cls, square: Square, config: FaceConfig) -> ReadingCrop:
        """The crop of a square, in pictures of any size."""
        size = 2 * config.image_size
        return cls(crop_to_image(square, size), size, config.reading_size)

    def read(self, picture: Bytes | Tensor) -> Tensor:
        """The crop (S, S, 3), float32 in [0, 1], of a picture (H, W, 3), uint8 or float in [0, 1]."""
        return from_bytes(shrink(cut_bytes(picture, self.crop_to_image, self.size), self.reading_size))


def cut_bytes(picture: Bytes | Tensor, crop_to_image: Tensor, size: int) -> Tensor:
    """The crop (size, size, 3) of a picture (H, W, 3), uint8 or float in [0, 1], as the reference cuts: in uint8."""
    return cut(to_bytes(torch.as_tensor(picture)), crop_to_image, size, "edge")
