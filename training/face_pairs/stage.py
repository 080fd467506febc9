"""Fine-tune F, M, W and G on unlabelled pairs (docs/method.md 1.2): Eq. 4 beside reconstruction, and what keeps both
from collapsing."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from playmate_core.errors import UserError
from playmate_core.face import FaceModel, FaceReading
from playmate_core.values import EYE_KEYPOINTS, LIP_KEYPOINTS
from playmate_core.weights import files as weights
from training.data_card import DataCard
from training.face_losses import DETACH, keypoint_prior
from training.face_pairs import losses
from training.face_pairs.clips import FramePairs, PairSource, sized
from training.face_pairs.config import PairsConfig
from training.face_pairs.discriminator import Judgement, PatchDiscriminator
from training.face_pairs.features import feature_net
from training.face_pairs.losses import Frame
from training.facts import training_facts
from training.perceptual import NORMS, perceptual_distance

#: Keypoints that the landmark guide holds.
GUIDED = (*LIP_KEYPOINTS, *EYE_KEYPOINTS)


class PairsStage:
    """What learns (F, M, W, G and the discriminator), on what (two frames of a clip, no label), and the loss."""

    name = "pairs"

    def __init__(self, config: PairsConfig, model: FaceModel, source: PairSource, seen: DataCard | None = None) -> None:
        """``model`` as given; its M is kept as the anchor. Raises UserError for choices that do not exist."""
        for name, allowed in (("detach", DETACH), ("norm", NORMS)):
            if (got := getattr(config, name)) not in allowed:
                raise UserError(f"--{name} is {got!r}, expected one of {', '.join(allowed)}.")
        self.config, self.model, self.source = config, model, source
        self.seen = seen or DataCard()
        self.given = copy.deepcopy(model.motion).eval().requires_grad_(False)
        self.eye = feature_net(config.perceptual, config.perceptual_weights, model)
        with torch.random.fork_rng(devices=[]):  # the same start in every process, whatever each has drawn before
            torch.manual_seed(config.seed)
            self.judge = PatchDiscriminator()
        for part in (model.appearance, model.motion, model.warping, model.generator):
            part.requires_grad_(True)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"face": self.model, "judge": self.judge}

    def parameters(self) -> list[dict[str, Any]]:
        """M's heads for hundredths, the rest of the four networks, and the discriminator, each at its rate."""
        config, model = self.config, self.model
        heads = getattr(model.motion, "detector", None)
        fine = [p for head in (heads.fine_heads() if heads is not None else ()) for p in head.parameters()]
        known = {id(p) for p in fine}
        nets = (model.appearance, model.motion, model.warping, model.generator)
        rest = [p for net in nets for p in net.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": rest},
            {"params": fine, "lr": config.lr * config.fine_heads},
            {"params": list(self.judge.parameters()), "lr": config.judge_lr},
        ]
        return [group for group in groups if group["params"]]

    def batch(self, generator: torch.Generator) -> FramePairs:
        return self.source.draw(self.config.batch, self.config.min_gap, generator)

    def loss(self, batch: FramePairs, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Draw frame j from frame i, recombine the two for Eq. 4, judge, and hold on to the given M."""
        config = self.config
        self.settle(batch.source.device)
        learns_f = step >= config.appearance_from * config.steps
        i, j = self.frame(batch.source, learns_f), self.frame(batch.driving, learns_f)
        drawn = self.model.draw(i.volume, i.placed(), losses.moved(i.reading, j.reading, j.reading)).float()
        target = sized(batch.driving, drawn.shape[-1])
        warm = min(1.0, (step + 1) / max(1.0, config.warmup_share * config.steps))
        terms = {
            "l1": config.l1 * (drawn - target).abs().mean(),
            "features": config.features * self.look_apart(drawn, target),
            **self._guides(batch, i, j, generator),
        }
        if config.transfer > 0:
            apart = losses.transfer_loss(self.model.draw, self.look_apart, i, j, config.detach)
            terms["transfer"] = config.transfer * warm * apart
        if config.gan > 0:
            terms |= self._adversarial(drawn, target, warm)
        psnr = -10.0 * (drawn.detach() - target).square().mean((1, 2, 3)).clamp(min=1e-10).log10().mean()
        gap = batch.gap.float().mean()
        return {"loss": torch.stack(list(terms.values())).sum(), "psnr": psnr, "gap": gap, **terms}

    def settle(self, device: torch.device) -> None:
        """Frozen companions follow the device; running statistics of the given networks stay as they are."""
        self.given.to(device)
        if isinstance(self.eye, nn.Module):
            self.eye.to(device)
        for module in self.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()

    def frame(self, image: Tensor, learns_f: bool) -> Frame:
        """Pictures (B, 3, S, S) as F and M see them; ``learns_f``: the volume carries gradient."""
        volume = self.model.appearance(sized(image, self.config.draw_size or self.model.config.image_size))
        return Frame(volume if learns_f else volume.detach(), self._read(image))

    def _read(self, image: Tensor) -> FaceReading:
        with torch.autocast(image.device.type, enabled=False):  # half precision cannot tell a tenth of a degree
            reading: FaceReading = self.model.motion(sized(image, self.model.config.reading_size))
        return reading

    def _guides(self, batch: FramePairs, i: Frame, j: Frame, generator: torch.Generator) -> dict[str, Tensor]:
        """Equivariance on the driving frame; prior, landmarks and anchor on both."""
        config = self.config
        affine = losses.random_affine(len(batch.driving), generator).to(batch.driving.device)
        turned = self._read(losses.warped(batch.driving, affine))
        with torch.no_grad():
            before = [self.given(sized(x, self.model.config.reading_size)) for x in (batch.source, batch.driving)]
        held: dict[str, list[Tensor]] = {"prior": [], "landmarks": [], "anchor": []}
        for frame, old in zip((i, j), before, strict=True):
            placed = frame.placed()
            places = losses.moved(old, old, old)[:, GUIDED, :2]
            held["prior"].append(config.prior * keypoint_prior(placed))
            held["landmarks"].append(config.landmarks * losses.landmark_guide(placed[:, GUIDED], places))
            held["anchor"].append(config.anchor * losses.anchor(frame.reading, old))
        there = losses.moved(turned, turned, turned)
        equivariance = config.equivariance * losses.equivariance(j.placed(), there, affine)
        return {"equivariance": equivariance, **{name: torch.stack(two).mean() for name, two in held.items()}}

    def _adversarial(self, drawn: Tensor, target: Tensor, warm: float) -> dict[str, Tensor]:
        """The generator's part with the discriminator held still, and the discriminator's with the picture held."""
        config = self.config
        self.judge.requires_grad_(False)
        fake: Judgement = self.judge(drawn)
        self.judge.requires_grad_(True)
        real: Judgement = self.judge(target)
        held: Judgement = self.judge(drawn.detach())
        return {
            "gan": config.gan * warm * losses.hinge_generator(fake.scores),
            "matching": config.matching * warm * losses.feature_matching(real.features, fake.features),
            "judge": losses.hinge_discriminator(real.scores, held.scores),
        }

    def look_apart(self, first: Tensor, second: Tensor) -> Tensor:
        """How unlike two batches of pictures look to V."""
        side = min(self.config.look_size, first.shape[-1])
        return perceptual_distance(
            self.eye, sized(first, side), sized(second, side), self.config.norm, self.config.scales
        )

    def save(self, run_dir: Path, step: int) -> None:
        save_tuned(self.model, self.config, self.seen, self.name, run_dir, step)


def save_tuned(model: FaceModel, config: PairsConfig, seen: DataCard, stage: str, run_dir: Path, step: int) -> None:
    """Write ``face.safetensors`` with the licences of the videos and of the weights it began from."""
    weights.save(
        model,
        run_dir / "face.safetensors",
        license=seen.license,
        data=seen.data,
        training=training_facts(config, config.pairs, stage, run_dir, step, seen),
    )
