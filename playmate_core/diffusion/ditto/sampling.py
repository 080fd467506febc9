"""Sample Ditto's numbers window by window and stitch them (docs/motion_models.md 5.5 and 5.6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..noise import ClipNoise
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


@torch.no_grad()
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
    config = network.config
    like = network.null_cond_hidden
    stitcher = Stitcher(config.window, options.overlap, clip.smoothing)
    pose_mean = PoseMean(1 if clip.frames is None else clip.smoothing)
    left = clip.windows * config.window if clip.frames is None else clip.frames
    frame = clip.source
    for index in range(clip.windows):
        begin = clip.begin + index * stitcher.new
        if on_condition is not None:
            on_condition(frame)
        rows = clip.rows(torch.arange(begin, begin + config.window)).to(like)
        window_noise = noise.window(index)
        made = sample(
            guided(network, rows, frame.to(like), clip.scale(begin)),
            schedule,
            window_noise.start((1, config.window, config.motion)).to(like.device),
            steps=options.steps,
            sampler=options.sampler,
            spacing=options.spacing,
            eta=options.eta,
            generator=window_noise.draw,
            limit=math.inf,
            progress=counted(progress, index, clip.windows),
        )[0].cpu()
        stitcher.add(made)
        frame = clip.continuation.frame(stitcher.before_next, clip.source, index + 1)
        piece = stitcher.final()[:left]
        left -= len(piece)
        yield pose_mean(piece)
    yield pose_mean(stitcher.rest()[:left], last=True)  # frames beyond the end must not enter the average
