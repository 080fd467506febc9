"""A second look of the judge: the head turned to the front by what the first look tells, read at full detail.

Brows are two pixels thick where `probe` reads pose and identity. Both together are the judge of `evaluate`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from playmate_core.face.front import HeadPlacement, frontal_view
from playmate_core.values import EMOTIONS
from training.probe import Probe, ProbeReading, halving_stage, read_judge_file, write_judge_file
from training.synthetic.rig import RIG

#: The reach of translation and log scale, and the mean of the latter, by which both are learned.
MAX_SHIFT, LOG_SCALE, MEAN_LOG_SCALE = 0.12, 0.2, 0.26
#: The corrections of an angle are learned in units of this many degrees.
CORRECTION = 4.0
#: What its file says it is.
PROBE_KIND = "close probe"


@dataclass(frozen=True)
class CloseProbeConfig:
    """Side of the turned face, one width per stride-2 stage, and the sizes of the two hidden layers."""

    size: int = 96
    widths: tuple[int, ...] = (16, 32, 64, 80)
    hidden: int = 48
    where: int = 48


class CloseProbe(nn.Module):
    """The judge: a probe's pose and identity, and what a close look reads of rig, emotion and the pose's error.

    Under half a million parameters beside the probe's, which do not learn.
    """

    spread: Tensor

    def __init__(self, config: CloseProbeConfig, probe: Probe) -> None:
        super().__init__()
        self.config = config
        self.probe = probe.eval().requires_grad_(False)
        coarse = probe.config.widths[-1] * 16
        self.where = nn.Sequential(nn.Linear(coarse, config.where), nn.ReLU(), nn.Linear(config.where, 3))
        self.stages = nn.Sequential(*(halving_stage(a, b, nn.SiLU) for a, b in pairwise((3, *config.widths))))
        cells = (config.size // 2 ** len(config.widths)) ** 2
        # Without this normalisation most hidden units die, and with them all that moves less than a lid.
        squeeze = nn.Linear(config.widths[-1] * cells, config.hidden)
        self.trunk = nn.Sequential(nn.Flatten(), squeeze, nn.BatchNorm1d(config.hidden), nn.SiLU())
        self.register_buffer("spread", torch.ones(len(RIG)))
        self.rig = nn.Linear(config.hidden, len(RIG))
        self.emotion = nn.Linear(config.hidden, len(EMOTIONS))
        self.correction = nn.Linear(config.hidden, 3)

    def train(self, mode: bool = True) -> CloseProbe:
        """As any module, but the first look's statistics stay."""
        super().train(mode)
        self.probe.eval()
        return self

    def coarse(self, image: Tensor) -> tuple[HeadPlacement, Tensor]:
        """Where the head is in pictures (B, 3, S, S), and their identity (B, D)."""
        with torch.no_grad():
            seen = self.probe.coarse(image)
            reading = self.probe.read(seen)
        across, down, size = self.where(seen).split(1, -1)
        shift = torch.cat([across, down, torch.zeros_like(down)], -1) * MAX_SHIFT
        return HeadPlacement(reading.rotation, shift, (size * LOG_SCALE + MEAN_LOG_SCALE).exp()), reading.identity

    def close_look(self, image: Tensor, where: HeadPlacement) -> tuple[Tensor, Tensor, Tensor]:
        """Rig (B, 16), emotion logits (B, 8), and the rotation (B, 3) in degrees as corrected."""
        hidden = self.trunk(self.stages(frontal_view(image, where, self.config.size) * 2.0 - 1.0))
        return (
            self.rig(hidden) * self.spread,
            self.emotion(hidden),
            where.rotation + self.correction(hidden) * CORRECTION,
        )

    def forward(self, image: Tensor) -> ProbeReading:
        where, identity = self.coarse(image)
        rig, emotion, rotation = self.close_look(image, where)
        return ProbeReading(rotation, rig, emotion, identity)


def load_close_probe(path: Path, probe: Probe) -> CloseProbe:
    """Read the second look saved by its stage. Raises UserError when the file is something else."""
    fields, state = read_judge_file(path, PROBE_KIND)
    close = CloseProbe(CloseProbeConfig(**{**fields, "widths": tuple(fields["widths"])}), probe)
    close.load_state_dict(state)
    return close.eval().requires_grad_(False)


def save_close_probe(close: CloseProbe, path: Path) -> None:
    """Write both looks with the second one's config, under a temporary name first."""
    write_judge_file(close, asdict(close.config), path, PROBE_KIND)
