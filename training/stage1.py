"""Stage 1: motion from speech (docs/method.md 1.4 to 1.10). Only the denoiser is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser
from playmate_core.diffusion.normalisation import EXPRESSION_CHANNELS, MotionStatistics
from playmate_core.diffusion.samplers import Schedule, predicted_x0
from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from training.clip_store import ClipStore, open_clips
from training.clip_windows import Windows, WindowSampler
from training.config import parse
from training.data_card import DataCard
from training.facts import training_facts
from training.loop import train
from training.objective import (
    MotionRecipe,
    Noised,
    channel_mean,
    diffuse,
    expression_weight,
    masked_mean,
    snr_weight,
)
from training.processes import processes
from training.stage import Scores
from training.standin import heard_through
from training.validation import HeldOut, held_out

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stage1Config(MotionRecipe):
    """The recipe of the shipped denoiser: some 20 minutes on one CPU core. docs/method.md 1.9 has the paper's."""

    out: str = "runs/stage1"
    # Saying epsilon or "v" a small network has to hand 46 channels of noise through itself: after 2000 steps lip
    # correlation is 0.77 with epsilon and 0.91 with "x0". Dropout's masks cost a fifth of the time on a CPU.
    model: MotionConfig = field(default_factory=lambda: replace(MotionConfig.tiny(), target="x0", dropout=0.0))
    snr_limit: float = 5.0
    lip_weight: float = 2.0
    steps: int = 5000
    warmup: int = 200
    batch: int = 16
    drop_audio: float = 0.10
    drop_identity: float = 0.05
    pose_weight: float = 1.0  # lambda_rho
    velocity_weight: float = 0.0  # frame-to-frame change of the implied clean motion, weighted by alpha_bar


class Stage1:
    """Trains the denoiser; the loss is Eq. 7."""

    name = "stage1"

    def __init__(
        self, config: Stage1Config, denoiser: MotionDenoiser, sampler: WindowSampler, seen: DataCard | None = None
    ) -> None:
        self.config, self.denoiser, self.sampler = config, denoiser, sampler
        self.seen = seen or DataCard()
        self.schedule = Schedule.linear()
        self.held_out: HeldOut | None = None

    def modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser}

    def parameters(self) -> list[nn.Parameter]:
        return list(self.denoiser.parameters())

    def batch(self, generator: torch.Generator) -> Windows:
        c = self.config
        return self.sampler.draw(c.batch, c.at_start, c.start, c.repeat, generator)

    def loss(self, batch: Windows, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Two masked means, live expression channels and pose, so that 6 are not drowned by 46 (docs/method.md 1.9)."""
        c, target = self.config, self.config.model.target
        u = torch.rand(2, len(batch.motion), generator=generator)
        noised = diffuse(
            batch,
            self.sampler.previous,
            target,
            self.schedule,
            c.prev_noise_max,
            drop_audio=u[0] < c.drop_audio,
            drop_identity=u[1] < c.drop_identity,
            generator=generator,
        )
        prediction = self.denoiser(noised.noisy, noised.t, noised.context).float()
        weight = batch.valid * snr_weight(self.schedule, target, c.snr_limit, noised.t)[:, None]  # (B, W)
        values = self._two_means((prediction - noised.target).square(), weight, batch)
        if c.velocity_weight:
            values["velocity"] = self._velocity(prediction, noised, batch)
            values["loss"] = values["loss"] + c.velocity_weight * values["velocity"]
        return values

    def validate(self, device: torch.device) -> Scores:
        """See Validated: the better state is the one whose lips follow the speech more closely."""
        held = self.held_out or held_out_clips(self.config, self.config.model)
        figures = held.figures(self.denoiser, None, device)
        return Scores(figures["lip_correlation"], figures)

    def save(self, run_dir: Path, step: int) -> None:
        weights.save(
            self.denoiser,
            run_dir / "motion.safetensors",
            license=self.seen.license,
            data=self.seen.data,
            training=training_facts(self.config, self.config.corpus, self.name, run_dir, step, self.seen),
            audio=self.config.model.audio_encoder,
        )

    def _two_means(self, square: Tensor, weight: Tensor, batch: Windows) -> dict[str, Tensor]:
        """``square`` (B, W, 69) errors. A head that keeps still has a pose divided by a floor: it is no target."""
        per_channel = expression_weight(self.denoiser.statistics.live, self.config.lip_weight)
        valid = batch.valid[:, -weight.shape[1] :]
        moving = ~batch.pose_static[:, None] & valid
        expression = masked_mean(channel_mean(square[..., :EXPRESSION_CHANNELS], per_channel), weight, valid)
        pose = masked_mean(square[..., EXPRESSION_CHANNELS:].mean(-1), weight * moving, moving)
        return {"loss": expression + self.config.pose_weight * pose, "expression": expression, "pose": pose}

    def _velocity(self, prediction: Tensor, noised: Noised, batch: Windows) -> Tensor:
        implied = predicted_x0(self.schedule, self.config.model.target, prediction, noised.noisy, noised.t)
        sure = self.schedule.alpha_bar.float().to(prediction.device)[noised.t][:, None]
        square = (implied - noised.clean).diff(dim=1).square()
        return self._two_means(square, sure * batch.valid[:, 1:], batch)["loss"]


def read_clips(config: MotionRecipe, model: MotionConfig) -> ClipStore:
    """The training clips the recipe asks for, as ``model`` hears them. Raises UserError where there are fewer."""
    clips = open_clips(config.corpus, "train", model.audio_encoder, config.audio_weights, config.features)
    if len(clips) < config.clips:
        raise UserError(
            f"{config.corpus} has {len(clips)} training clips and --clips asks for {config.clips}; make more."
        )
    return clips.first(config.clips)


def held_out_clips(config: MotionRecipe, model: MotionConfig, labelled: bool = False) -> HeldOut:
    """The clips to validate on."""
    return held_out(config.corpus, model.audio_encoder, config.audio_weights, config.validate_clips, labelled)


def make_sampler(clips: ClipStore, statistics: MotionStatistics, model: MotionConfig) -> WindowSampler:
    """Windows of ``clips`` in the model space of ``statistics``."""
    frames = clips.frames(statistics, model.pose_normalisation)
    sampler = WindowSampler(frames, statistics.silence.cpu().clone(), model.window, model.previous)
    if processes().is_main:
        static = int(frames.labels.pose_static.sum())
        logger.info("%d clips, %d frames; %d with a still head.", len(clips), sampler.frames, static)
    return sampler


def build(config: Stage1Config, clips: ClipStore) -> Stage1:
    """A fresh denoiser that carries the statistics of ``clips``, and the windows to train it on."""
    torch.manual_seed(config.seed)
    denoiser = MotionDenoiser(config.model)
    denoiser.statistics.load_state_dict(clips.statistics.state_dict())
    seen = heard_through(config.audio_weights, clips.card)
    return Stage1(config, denoiser, make_sampler(clips, denoiser.statistics, config.model), seen)


def main(argv: Sequence[str]) -> None:
    """Measure the statistics of the training clips, then train the denoiser on them."""
    config = parse(Stage1Config, argv, "Train the motion denoiser on a corpus.", section=Stage1.name)
    stage = build(config, read_clips(config, config.model))
    if config.validate_every:
        stage.held_out = held_out_clips(config, config.model)
    train(stage, config, config.out)
