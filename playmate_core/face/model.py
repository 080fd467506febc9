"""The five face networks as one module: one portrait in, any number of frames out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .appearance import AppearanceExtractor
from .config import FaceConfig
from .generator import Generator
from .motion import FaceReading, MotionExtractor
from .stitching import Stitching
from .warping import WarpingModule


class FaceModel(nn.Module):
    """F, M, W, G and, if the config says so, S. Pictures are RGB in [0, 1], keypoints placed ones (Eq. 1)."""

    def __init__(self, config: FaceConfig) -> None:
        super().__init__()
        self.config = config
        self.appearance = AppearanceExtractor(config)
        self.motion = MotionExtractor(config)
        self.warping = WarpingModule(config)
        self.generator = Generator(config)
        self.stitching = Stitching(config) if config.with_stitching else None

    def set_compute_dtype(self, dtype: torch.dtype) -> FaceModel:
        """Let F, W and G compute in ``dtype`` from now on; returns the model itself.

        M, S and every place stay float32: in half precision a keypoint may only stand on a grid of a two-thousandth,
        which trembles, and M is a hundredth of the work.
        """
        dense = self.warping.dense_motion_network
        origin = dense.origin if dense.has_body else None
        for trunk in (self.appearance, self.warping, self.generator):
            trunk.to(dtype)
        if origin is not None:
            dense.origin = origin
        return self

    def read(self, image: Tensor) -> FaceReading:
        """Keypoints, pose and expression of pictures (B, 3, S, S)."""
        return self.motion(image)

    def draw(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """One picture per driving keypoint set: volume (B or 1, C, D, h, w), x_s (B or 1, K, 3), x_d (B, K, 3)
        -> (B, 3, 2S, 2S) in [0, 1]. Keypoints of more precision than the volume keep it in all that says where."""
        warped = self.warping(volume, x_s, x_d)
        return self.generator(warped.features, warped.canvas)
