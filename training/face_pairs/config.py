"""What fine-tuning on unlabelled pairs is told."""

from __future__ import annotations

from dataclasses import dataclass

from training.config import LoopConfig


@dataclass(frozen=True)
class PairsConfig(LoopConfig):
    """``pairs``: the folder that `prepare --pixels` made. ``init``: the weights to go on from, a file or LivePortrait's
    folder ("": the bundled ones).

    ``min_gap``: degrees between the frames of a pair where the clip has such. ``appearance_from``: share of the run
    before which F stays as it is. ``fine_heads``: rate of M's heads for hundredths, relative to lr; ``judge_lr`` that
    of the discriminator. ``perceptual``: vgg19 or probe, whose file is ``perceptual_weights``, or given, the backbone
    of the given M. ``scales``: halvings of the perceptual pyramid. The other fields are weights of the terms;
    ``transfer`` 0 is the control without Eq. 4, ``gan`` 0 leaves out the discriminator. ``landmarks``: lips and eyes,
    at the places where the given M sees them. ``warmup_share``: of the run, in which transfer and gan rise.
    ``stitching_steps``: of the stitching network, afterwards, where the model has one; ``outside_offset`` the weight of
    its offset.
    """

    steps: int = 20000
    lr: float = 1e-4
    final_lr: float = 0.1
    betas: tuple[float, float] = (0.5, 0.999)
    grad_clip: float = 10.0
    save_every: int = 500
    pairs: str = ""
    out: str = "runs/pairs"
    init: str = ""
    batch: int = 4
    min_gap: float = 5.0
    appearance_from: float = 0.3
    fine_heads: float = 1.0
    judge_lr: float = 2e-4
    perceptual: str = "vgg19"
    perceptual_weights: str = ""
    norm: str = "l2"
    scales: int = 3
    look_size: int = 256
    draw_size: int = 0
    l1: float = 10.0
    features: float = 10.0
    transfer: float = 1.0
    detach: str = "none"
    gan: float = 1.0
    matching: float = 10.0
    equivariance: float = 20.0
    prior: float = 10.0
    landmarks: float = 5.0
    anchor: float = 0.5
    warmup_share: float = 0.1
    stitching_steps: int = 2000
    outside_offset: float = 1.0
