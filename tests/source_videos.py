"""Draws a source video under other keypoints, as the tests look at it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from playmate_core.face import FaceModel
from playmate_core.rendering.fallback import FallbackRenderer
from playmate_core.rendering.source_frames import DrivenFace, SourceVideoRenderer
from playmate_core.rendering.source_video import SourceVideo


def draw_source_video(
    face: FaceModel, source: SourceVideo, x_s: Tensor, x_d: Tensor, batch: int = 8, profile: str = "auto"
) -> Iterator[Tensor]:
    """All frames, in batches."""
    return SourceVideoRenderer([DrivenFace(source, x_s, x_d)]).show(FallbackRenderer(face, batch, profile), 0, len(x_d))
