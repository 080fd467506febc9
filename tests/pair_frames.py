"""Toy readings and a source of random pairs for the tests of `face --pairs`."""

from __future__ import annotations

import torch
from torch import Tensor

from playmate_core.face import FaceReading
from training.face_pairs.clips import FramePairs
from training.face_pairs.losses import Frame, moved


def reading(keypoints: Tensor, rotation: Tensor, expression: Tensor, shift: float = 0.0) -> FaceReading:
    """A reading of B frames at scale 1."""
    count = len(rotation)
    return FaceReading(
        keypoints=keypoints.expand(count, -1, -1),
        rotation=rotation,
        translation=torch.full((count, 3), shift),
        scale=torch.ones(count, 1),
        expression=expression,
        angle_logits=torch.zeros(count, 3, 66),
    )


class ToyWorld:
    """One person in two frames: true places, and an M that reads expression + ``entangled`` times the pose.

    A frame's "volume" is where its points really are; drawing moves them by what the keypoints say.
    """

    def __init__(self, entangled: float, seed: int = 0) -> None:
        g = torch.Generator().manual_seed(seed)
        face = torch.rand(1, 5, 3, generator=g) - 0.5
        direction = torch.randn(5, 3, generator=g)
        self.frames = []
        for shift in (0.1, -0.2):
            rotation, expression = 20.0 * torch.randn(3, 3, generator=g), 0.05 * torch.randn(3, 5, 3, generator=g)
            true = reading(face, rotation, expression, shift)
            leak = entangled * (rotation[:, 1] / 30.0)[:, None, None] * direction
            self.frames.append(Frame(moved(true, true, true), reading(face, rotation, expression + leak, shift)))

    @staticmethod
    def draw(volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        return volume + x_d - x_s


class RandomPairs:
    """Pairs of noise pictures."""

    def __init__(self, side: int = 64) -> None:
        self.side = side

    def draw(self, count: int, min_gap: float, generator: torch.Generator) -> FramePairs:
        shape = (2, count, 3, self.side, self.side)
        first, second = torch.rand(shape, generator=generator)
        return FramePairs(first, second, torch.full((count,), 10.0))
