"""Frames of a source video with one face or several of them driven, pasted back into its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from ..detection.crop import shrink
from ..detection.plate_masks import PlateMasks
from ..detection.reading_crop import cut_bytes
from ..detection.video_paste import VideoPaster
from ..face import FaceModel
from ..geometry import place_motion
from ..media.images import Bytes, from_bytes
from ..motion.driving import DrivingOptions
from ..progress import Progress
from ..values import Motion
from .fallback import FallbackRenderer
from .portrait import exact_to, to_network, to_shown
from .retarget import guide_keypoints
from .source_video import SourceVideo, shown_pictures


@dataclass(frozen=True)
class DrivenFace:
    """A face of a source video: its own image keypoints ``x_s`` and the driven ones ``x_d`` (T, K, 3); T may be less
    than the video has."""

    source: SourceVideo
    x_s: Tensor
    x_d: Tensor


def driven(face: FaceModel, source: SourceVideo, motion: Motion, stitching: bool = True) -> DrivenFace:
    """The face of ``source`` with ``motion``, as long as it and at its rate, in place of its own."""
    x_s, x_d = (place_motion(source.keypoints, one) for one in (source.motion, motion))
    return DrivenFace(source, x_s, guide_keypoints(face, x_s, x_d, DrivingOptions("absolute", stitching=stitching)))


class SourceVideoRenderer:
    """Renders driven faces of one video, in consecutive parts; the video is decoded once for all of them."""

    def __init__(self, faces: Sequence[DrivenFace], pasted: bool = True) -> None:
        """``faces``: of one video, all as long; ``pasted`` False gives the crops of the only face as they are drawn."""
        self._faces, self._pasting = faces, pasted
        self._pictures: Iterator[Bytes] = iter(())
        self._next = -1
        size = faces[0].source.crop_size
        self._pasters, self._masks = [VideoPaster(size) for _ in faces], PlateMasks(size)

    def show(
        self, renderer: FallbackRenderer, start: int, stop: int, progress: Progress | None = None
    ) -> Iterator[Tensor]:
        """Yield frames ``start`` up to ``stop``: uint8 (n, H, W, 3), n at most ``renderer.batch``."""
        if start != self._next:
            self._pictures = shown_pictures(self._faces[0].source, start, len(self._faces[0].x_d))
        self._next = start
        waiting: list[Bytes] = []  # a batch that did not fit in memory is kept and rendered in two
        while self._next < stop:
            count = min(renderer.batch, stop - self._next)
            waiting += islice(self._pictures, max(0, count - len(waiting)))
            group = waiting[:count]
            reach = slice(self._next, self._next + len(group))
            shown = self._shown(renderer, group, reach)
            if shown is None:
                continue
            yield shown
            self._next, waiting = reach.stop, waiting[len(group) :]
            if progress:
                progress(reach.stop - start, stop - start)

    def _shown(self, renderer: FallbackRenderer, group: list[Bytes], reach: slice) -> Tensor | None:
        drawn = list[Tensor]()
        for face in self._faces:
            crops = _crops(renderer, face, group, reach)
            if crops is None:
                return None
            drawn.append(crops)
        return self._pasted(group, drawn, reach) if self._pasting else drawn[0]

    def _pasted(self, group: list[Bytes], drawn: list[Tensor], reach: slice) -> Tensor:
        """The pictures with the drawn crops (n, S, S, 3) of every face in them."""
        places = torch.stack([face.source.crops[reach] for face in self._faces], 1)  # (n, F, 2, 3)
        masks = [self._masks.at(one) if len(self._faces) > 1 else [None] for one in places]
        pictures = list(group)
        for number, crops in enumerate(drawn):
            own = [one[number] for one in masks]
            pictures = self._pasters[number].paste(pictures, crops.numpy(), places[:, number], own)
        return torch.stack([torch.from_numpy(picture) for picture in pictures])


def _crops(renderer: FallbackRenderer, face: DrivenFace, group: list[Bytes], reach: slice) -> Tensor | None:
    """The driven crops (n, S, S, 3) uint8 of one face, None where memory ran out."""
    size, places = face.source.crop_size, face.source.crops[reach]
    wide = [cut_bytes(picture, affine, size) for picture, affine in zip(group, places, strict=True)]

    def draw(model: FaceModel) -> Tensor:
        crops = torch.stack([from_bytes(shrink(crop, model.config.image_size)) for crop in wide])
        volume = model.appearance(to_network(model, crops))
        return model.draw(volume, exact_to(model, face.x_s[reach]), exact_to(model, face.x_d[reach]))

    drawn = renderer.draw(draw, len(group))
    return None if drawn is None else to_shown(drawn)
