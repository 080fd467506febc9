"""Stage 2: emotion control of a frozen stage 1 (docs/method.md 1.10, 1.11). Only the controller is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playmate_core.diffusion.denoiser import MotionDenoiser
from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.diffusion.normalisation import EXPRESSION_CHANNELS
from playmate_core.diffusion.samplers import Schedule
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from playmate_core.weights import files as weights
from training.clip_store import ClipStore
from training.clip_windows import Windows, WindowSampler
from training.config import parse
from training.data_card import DataCard
from training.facts import training_facts
from training.loop import train
from training.objective import (
    MotionRecipe,
    channel_mean,
    diffuse,
    expression_weight,
    masked_mean,
    snr_weight,
)
from training.stage import Scores
from training.stage1 import held_out_clips, make_sampler, read_clips
from training.standin import heard_through
from training.synthetic.clips import INTENSITIES
from training.validation import HeldOut


@dataclass(frozen=True)
class Stage2Config(MotionRecipe):
    """The recipe of the shipped emotion controller."""

    out: str = "runs/stage2"
    base: str = "runs/stage1/motion.safetensors"
    model: EmotionConfig = field(default_factory=lambda: replace(EmotionConfig.tiny(), dropout=0.0))
    snr_limit: float = 5.0
    steps: int = 1500
    batch: int = 24
    drop_both: float = 0.07  # neither voice nor emotion
    drop_emotion: float = 0.10  # the voice alone; the voice is never dropped alone (Eq. 8)
    drop_identity: float = 0.05  # independently of the other two, as in stage 1


class Stage2:
    """Trains the controller; the loss is Eq. 7's expression half: emotion does not affect pose."""

    name = "stage2"

    def __init__(
        self,
        config: Stage2Config,
        base: MotionDenoiser,
        controller: EmotionController,
        sampler: WindowSampler,
        seen: DataCard | None = None,
    ) -> None:
        self.config, self.controller, self.sampler = config, controller, sampler
        self.seen = seen or DataCard()
        self.base = base.eval().requires_grad_(False)
        self.base_hash = weights.tensor_hash(base)
        self.schedule = Schedule.linear()
        self.held_out: HeldOut | None = None

    def modules(self) -> Mapping[str, nn.Module]:
        return {"controller": self.controller}

    def parameters(self) -> list[nn.Parameter]:
        return list(self.controller.parameters())

    def batch(self, generator: torch.Generator) -> Windows:
        c = self.config
        return self.sampler.draw(c.batch, c.at_start, c.start, c.repeat, generator)

    def loss(self, batch: Windows, step: int, generator: torch.Generator) -> dict[str, Tensor]:
        c, target = self.config, self.base.config.target
        self.base.to(batch.motion.device)
        u = torch.rand(2, len(batch.motion), generator=generator)
        both, null = u[0] < c.drop_both, u[0] < c.drop_both + c.drop_emotion
        noised = diffuse(
            batch,
            self.sampler.previous,
            target,
            self.schedule,
            c.prev_noise_max,
            drop_audio=both,
            drop_identity=u[1] < c.drop_identity,
            generator=generator,
        )
        frames = batch.valid.shape[1]
        one_hot = F.one_hot(batch.emotion, len(EMOTIONS)).float()[:, None].expand(-1, frames, -1)  # (B, W, E)
        intensity = drawn_where_unknown(batch.intensity, generator)[:, None].expand(-1, frames)
        with torch.no_grad():
            hidden = self.base.hidden_frames(noised.noisy, noised.t, noised.context)
        felt = self.controller(hidden, noised.t, one_hot, intensity, null.to(hidden.device), batch.valid)
        prediction = self.base.expression_head(felt).float()
        square = (prediction - noised.target[..., :EXPRESSION_CHANNELS]).square()
        weight = batch.valid * snr_weight(self.schedule, target, c.snr_limit, noised.t)[:, None]
        per_channel = expression_weight(self.base.statistics.live, c.lip_weight)
        return {"loss": masked_mean(channel_mean(square, per_channel), weight, batch.valid)}

    def validate(self, device: torch.device) -> Scores:
        """See Validated: the better state is the one whose mean expression is nearer to that of the emotion."""
        held = self.held_out or held_out_clips(self.config, self.base.config, labelled=True)
        figures = held.figures(self.base, self.controller, device)
        return Scores(-figures["expression_offset"], figures)

    def save(self, run_dir: Path, step: int) -> None:
        """Write the controller and the hash of its base. Raises RuntimeError if the base did not stay as it was."""
        now = weights.tensor_hash(self.base)
        if now != self.base_hash:
            raise RuntimeError(f"The frozen base changed in training: {self.base_hash[:12]} became {now[:12]}.")
        weights.save(
            self.controller,
            run_dir / "emotion.safetensors",
            license=self.seen.license,
            data=self.seen.data,
            training=training_facts(self.config, self.config.corpus, self.name, run_dir, step, self.seen),
            base=self.base,
        )


def drawn_where_unknown(intensity: Tensor, generator: torch.Generator) -> Tensor:
    """Intensities (B,), one of the three levels drawn where it is NaN (docs/method.md 1.11)."""
    unknown = intensity.isnan()
    if not bool(unknown.any()):
        return intensity
    levels = (torch.randint(len(INTENSITIES), intensity.shape, generator=generator) + 1).to(intensity) / len(
        INTENSITIES
    )
    return torch.where(unknown, levels, intensity)


def build(
    config: Stage2Config, base: MotionDenoiser, clips: ClipStore, facts: weights.Description | None = None
) -> Stage2:
    """A fresh controller for ``base``, and windows of the labelled ``clips`` in the base's own model space.

    ``facts`` is what the base's file says of itself. Raises UserError where no clip is labelled.
    """
    labelled = clips.labelled()
    if not len(labelled):
        raise UserError(
            f"None of the {len(clips)} training clips of {config.corpus} has an emotion's name, expected some; give"
            " labels when you prepare the corpus (--labels), or another --corpus."
        )
    torch.manual_seed(config.seed)
    if config.model.width != base.config.width:
        raise UserError(
            f"--model-width is {config.model.width}, but the base {config.base} has {base.config.width}; give the same."
        )
    controller = EmotionController(config.model)
    sampler = make_sampler(labelled, base.statistics, base.config)
    seen = heard_through(config.audio_weights, labelled.card)
    return Stage2(config, base, controller, sampler, seen.on_top_of(facts) if facts else seen)


def main(argv: Sequence[str]) -> None:
    """Load the base, then train the controller on clips that carry an emotion's name."""
    config = parse(Stage2Config, argv, "Train the emotion controller on a frozen stage 1.", section=Stage2.name)
    base = weights.load_motion(config.base)
    stage = build(config, base, read_clips(config, base.config), weights.describe(config.base))
    if config.validate_every:
        stage.held_out = held_out_clips(config, base.config, labelled=True)
    train(stage, config, config.out)
