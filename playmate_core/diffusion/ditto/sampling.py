"""Sample Ditto's numbers window by window and stitch them (docs/motion_models.md 5.5 and 5.6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import ClipNoise, together
from ..options import SamplingOptions
from ..samplers import sample
from ..schedule import Schedule
from ..windows import Progress, counted
from .guidance import guided
from .network import DittoNetwork
from .stitcher import Continuation, PoseMean, Stitcher

#: Returns the condition rows (n, D) of frames of the clip, given their indices (n,).
Rows = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class SamplingClip:
    """A clip to sample: condition ``rows`` from frame ``begin`` on in ``windows``, ``source`` (C,) the condition frame
    of the first window, ``scale(frame)`` the guidance of the window that begins there.

    ``frames``: total number of output frames, whose pose is then averaged once more over the whole clip; None returns
    all frames of the windows.
    """

    rows: Rows
    scale: Callable[[int], float | Tensor]
    source: Tensor
    begin: int
    windows: int
    continuation: Continuation
    smoothing: int
    frames: int | None = None


def sampled(
    network: DittoNetwork,
    schedule: Schedule,
    clip: SamplingClip,
    options: SamplingOptions,
    noise: ClipNoise,
    progress: Progress | None = None,
    on_condition: Callable[[Tensor], None] | None = None,
) -> Iterator[Tensor]:
    """Pieces (n, C) of the numbers, from frame ``begin`` on; ``on_condition`` is called with each window's condition
    frame."""
    seen = None if on_condition is None else lambda frames: on_condition(frames[0])
    for (piece,) in sampled_together(network, schedule, [clip], options, [noise], progress, seen):
        yield piece


@torch.no_grad()
def sampled_together(
    network: DittoNetwork,
    schedule: Schedule,
    clips: Sequence[SamplingClip],
    options: SamplingOptions,
    noises: Sequence[ClipNoise],
    progress: Progress | None = None,
    on_condition: Callable[[list[Tensor]], None] | None = None,
) -> Iterator[tuple[Tensor, ...]]:
    """As :func:`sampled`, the pieces of clips with windows of the same frames, sampled as one batch."""
    config, like, first = network.config, network.null_cond_hidden, clips[0]
    stitchers = [Stitcher(config.window, options.overlap, clip.smoothing) for clip in clips]
    pose_means = [PoseMean(1 if clip.frames is None else clip.smoothing) for clip in clips]
    left = first.windows * config.window if first.frames is None else first.frames
    frames = [clip.source for clip in clips]
    for index in range(first.windows):
        begin = first.begin + index * stitchers[0].new
        if on_condition is not None:
            on_condition(frames)
        reach = torch.arange(begin, begin + config.window)
        rows = torch.stack([clip.rows(reach).to(like) for clip in clips])
        window_noise = together([noise.window(index) for noise in noises])
        made = sample(
            guided(network, rows, torch.stack([frame.to(like) for frame in frames]), first.scale(begin)),
            schedule,
            window_noise.start((len(clips), config.window, config.motion)).to(like.device),
            steps=options.steps,
            sampler=options.sampler,
            spacing=options.spacing,
            eta=options.eta,
            generator=window_noise.draw,
            limit=math.inf,
            progress=counted(progress, index, first.windows),
        ).cpu()
        for stitcher, one in zip(stitchers, made, strict=True):
            stitcher.add(one)
        frames = [
            clip.continuation.frame(stitcher.before_next, clip.source, index + 1)
            for clip, stitcher in zip(clips, stitchers, strict=True)
        ]
        pieces = [stitcher.final()[:left] for stitcher in stitchers]
        left -= len(pieces[0])
        yield tuple(mean(piece) for mean, piece in zip(pose_means, pieces, strict=True))
    # Frames beyond the end must not enter the average.
    ends = zip(pose_means, stitchers, strict=True)
    yield tuple(mean(stitcher.rest()[:left], last=True) for mean, stitcher in ends)
