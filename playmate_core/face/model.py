"""The five face networks as one module."""

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
    """F, M, W, G and, if configured, S. Pictures are RGB in [0, 1], keypoints are in image space (after Eq. 1)."""

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

        M, S and all coordinates stay float32: half precision rounds keypoints to steps of 1/2000, which causes jitter,
        and M is only 1 % of the work.
        """
        dense = self.warping.dense_motion_network
        origin = dense.origin if dense.has_body else None
        for module in (self.appearance, self.warping, self.generator):
            module.to(dtype)
        if origin is not None:
            dense.origin = origin
        return self

    def read(self, image: Tensor) -> FaceReading:
        """Keypoints, pose and expression of pictures (B, 3, S, S)."""
        return self.motion(image)

    def draw(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        """One picture per driving keypoint set: volume (B or 1, C, D, h, w), x_s (B or 1, K, 3), x_d (B, K, 3) ->
        (B, 3, 2S, 2S) in [0, 1]. Coordinates are computed in the precision of the keypoints, not of the volume."""
        warped = self.warping(volume, x_s, x_d)
        return self.generator(warped.features, warped.canvas)
