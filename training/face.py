"""Stage 0: train F, M, W and G from scratch on rendered sessions, or fine-tune them from given weights.

See docs/method.md 1.2.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel, FaceReading, Warped
from playmate_core.face.motion import std_of
from playmate_core.ranges import check_ranges, ranged
from playmate_core.values import BROWS, EYE_KEYPOINTS, LIP_KEYPOINTS
from playmate_core.weights import files as weights
from training import face_losses as losses
from training.config import parse
from training.data import Sessions
from training.face_pairs import main as fine_tune
from training.face_pairs.config import PairsConfig
from training.loop import LoopConfig, train
from training.pairs import Pairs, Truth, draw_pairs, every_expression, resized
from training.perceptual import NORMS, load_feature_net, perceptual_distance
from training.probe_stage import ProbeStageConfig, train_probe
from training.reading import begin, save_face, two_rates

SPEAKING = (*LIP_KEYPOINTS, *EYE_KEYPOINTS, *BROWS)


@dataclass(frozen=True)
class FaceStageConfig(LoopConfig):
    """Training data of the face networks and the weights of the loss terms.

    ``init``: weights to go on from, with ``grow`` a smaller model's, which fill what they fit; ``reader``: weights
    whose M replaces theirs (`python -m training reading`).
    ``draw_size``: side of the picture given to F; the drawn picture is twice it. ``teacher``: share of the run (0 to 1)
    in which W and G are driven by true keypoints, so that they need not wait for M. ``fine_heads``: rate, relative to
    lr, of M's heads for keypoints, expression, translation and scale. ``detach``: which branch of Eq. 4 carries no
    gradient. ``frozen``: networks that stay as they are, by name ("motion" once M reads well).
    ``same_pose``: share of pairs whose frames differ in the face alone. ``lids``: share of pairs whose driving frame
    has its lids partly or wholly closed (of all frames a seventh has). ``mouth_and_eyes``: how much more than 1 a
    pixel at lips, eyes and brows counts, within about ``emphasis_radius`` picture halves; ``fine_edges``: how much
    more than 1 the edges there count. ``copied``: cost of a pixel at the eyes that G generates, which is softer,
    rather than copies from the source, and ``mixed`` of one that is half of each. ``smooth_look``: cost of differences
    between the places, in pixels, from which G copies neighbours. ``fresh_look``: begin without G's own correction of
    W's flow. ``read_back``: weight of the expression that a frozen M reads in what was drawn, against what it reads in
    the true picture. ``look_size``: side of what the feature network compares.
    ``perceptual_weights``: its file; empty trains the probe first, for ``probe_steps``.
    """

    steps: int = 3000
    lr: float = 2e-3
    final_lr: float = 0.05
    grad_clip: float = 50.0
    corpus: str = "data/corpus"
    out: str = "runs/face"
    init: str = ""
    grow: bool = False
    reader: str = ""
    model: FaceConfig = field(default_factory=FaceConfig.small)
    batch: int = 8
    draw_size: int = 128
    min_gap: float = 5.0
    same_pose: float = 0.35
    lids: float = ranged(0.0, 0.0, 1.0)
    fine_heads: float = 0.05
    teacher: float = 0.75
    frozen: str = ""
    perceptual: str = "probe"
    perceptual_weights: str = ""
    probe_steps: int = ProbeStageConfig.steps
    norm: str = "l2"
    l1: float = 10.0
    l2: float = 20.0
    mouth_and_eyes: float = 12.0
    fine_edges: float = ranged(0.0, 0.0, 100.0)
    emphasis_radius: float = ranged(0.06, 0.01, 1.0, "picture halves")
    copied: float = ranged(0.0, 0.0, 100.0)
    mixed: float = ranged(0.0, 0.0, 100.0)
    smooth_look: float = ranged(0.0, 0.0, 100.0)
    fresh_look: bool = False
    edges: float = 5.0
    features: float = 1.0
    read_back: float = 0.0
    look_size: int = 128
    transfer: float = 0.5
    transfer_every: int = 10
    detach: str = "none"
    pose: float = 2.0
    keypoints: float = 1.0
    expression: float = 2.0
    prior: float = 1.0
    surface: float = 4.0
    rigid: float = 2.0
    rigid_floor: float = 0.1
    licence: str = "Apache-2.0"

    def __post_init__(self) -> None:
        check_ranges(self)


class FaceStage:
    """What is trained (F, M, W, G), on what (pairs of one session), and the loss."""

    name = "face"

    def __init__(self, config: FaceStageConfig, model: FaceModel, sessions: Sessions) -> None:
        """Raises UserError for choices that do not exist, and where the perceptual network has no file."""
        for name, allowed in (("detach", losses.DETACH), ("norm", NORMS)):
            if (got := getattr(config, name)) not in allowed:
                raise UserError(f"--{name} is {got!r}, expected one of {', '.join(allowed)}.")
        self.config, self.model, self.sessions, self.steps = config, model, sessions, config.steps
        self.eye = load_feature_net(config.perceptual, config.perceptual_weights)
        self.frozen = [model.get_submodule(name).requires_grad_(False) for name in config.frozen.split()]
        self.reader_learns = "motion" not in config.frozen.split()
        if config.read_back > 0.0 and self.reader_learns:
            raise UserError("--read-back is over 0 while M learns, expected --frozen motion beside it.")
        self.spread = std_of(every_expression(sessions))

    def modules(self) -> Mapping[str, nn.Module]:
        return {"face": self.model}

    def parameters(self) -> list[dict[str, Any]]:
        """Everything at the config's rate, but the heads of M that speak in hundredths at a twentieth of it."""
        groups = two_rates(self.model, self.model, self.config.lr * self.config.fine_heads)
        for group in groups:
            group["params"] = [p for p in group["params"] if p.requires_grad]
        return [group for group in groups if group["params"]]

    def batch(self, generator: torch.Generator) -> Pairs:
        config = self.config
        return draw_pairs(self.sessions, config.batch, config.min_gap, generator, config.same_pose, config.lids)

    def loss(self, batch: Pairs, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Reconstruction i -> j, the guides, and every few steps Eq. 4: two ways to (pose j, expression i)."""
        config = self.config
        self.eye.to(batch.source.device)  # not among the modules that the loop places
        for module in self.frozen:
            module.eval()  # its batch statistics stay as well
        taught = step < config.teacher * self.steps
        reads = not taught or self.reader_learns
        seen = [self._read(batch.source), self._read(batch.driving)] if reads else []
        given_i, given_j = (batch.source_truth, batch.driving_truth) if taught else map(_as_truth, seen)
        volume_i = self.model.appearance(resized(batch.source, config.draw_size))
        warped = self.model.warping(volume_i, given_i.placed(), given_j.placed())
        target = resized(batch.driving, 2 * config.draw_size)
        speaking = self._near(SPEAKING, batch.driving_truth, target)
        drawn, copying = self._drawn(warped, speaking, self._near(EYE_KEYPOINTS, batch.driving_truth, target))
        terms = {
            "l1": config.l1 * ((drawn - target).abs() * (1.0 + config.mouth_and_eyes * speaking)).mean(),
            "l2": config.l2 * (drawn - target).square().mean(),
            "edges": config.edges * losses.gradient_distance(drawn, target, 1.0 + config.fine_edges * speaking),
            "features": config.features * self._look_apart(drawn, target, "l1"),
            "rigid": self._rigid_weight(step) * losses.rigid_guide(warped, batch.source_truth, batch.driving_truth),
        }
        if warped.canvas is not None:
            guide = losses.surface_guide(warped.canvas.flow, batch.source_truth, batch.driving_truth)
            terms["surface"] = config.surface * max(config.rigid_floor, 1.0 - step / self.steps) * guide
        if self.reader_learns:
            guides = [self._guides(r, t) for r, t in zip(seen, (batch.source_truth, batch.driving_truth), strict=True)]
            terms |= {name: (guides[0][name] + guides[1][name]) / 2.0 for name in guides[0]}
        if config.transfer > 0 and step % config.transfer_every == 0:
            warm = min(1.0, step / max(1.0, 0.1 * self.steps))
            terms["transfer"] = config.transfer * warm * self._transfer(batch, volume_i, given_i, given_j)
        if config.read_back > 0.0:
            wanted = (seen[1] if seen else self._read(batch.driving)).expression
            terms["read_back"] = config.read_back * losses.standard_distance(
                self._read(drawn).expression, wanted, self.spread.to(wanted.device)
            )
        terms |= copying
        psnr = -10.0 * (drawn.detach() - target).square().mean((1, 2, 3)).log10().mean()
        return {"loss": torch.stack(list(terms.values())).sum(), "psnr": psnr, **terms}

    def _read(self, image: Tensor) -> FaceReading:
        with torch.autocast(image.device.type, enabled=False):  # half precision cannot tell a tenth of a degree
            return self.model.read(resized(image, self.model.config.reading_size))

    def _near(self, points: Sequence[int], truth: Truth, target: Tensor) -> Tensor:
        """How near each pixel is to some keypoints, 0 to 1: (B, 1, S, S)."""
        return losses.nearness(truth.placed()[:, points, :2], target.shape[-1], self.config.emphasis_radius)

    def _drawn(self, warped: Warped, speaking: Tensor, copied: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The picture, and what it costs that G generates where it could copy, and copies from torn places."""
        config, canvas = self.config, warped.canvas
        if canvas is None:
            return self.model.generator(warped.features, None).float(), {}
        layers = canvas.layers_of(self.model.generator.output(warped.features, canvas))
        generated = layers.shares[:, :1]
        torn = losses.gradient_distance(layers.look, torch.zeros_like(layers.look), 1.0 + config.fine_edges * speaking)
        costs = {
            "copied": config.copied * (generated * copied).mean(),
            "mixed": config.mixed * (generated * (1.0 - generated) * copied).mean(),
            "look": config.smooth_look * 0.5 * layers.look.shape[-1] * torn,
        }
        return canvas.blend(layers), costs

    def _rigid_weight(self, step: int) -> float:
        """The rigid guide leads W to the right warp and then lets go of it."""
        return self.config.rigid * max(self.config.rigid_floor, 1.0 - 2.0 * step / self.steps)

    def _guides(self, reading: FaceReading, truth: Truth) -> dict[str, Tensor]:
        config = self.config
        return {
            "pose": config.pose * losses.pose_supervision(reading, reading.angle_logits, truth),
            "keypoints": config.keypoints * losses.keypoint_guide(reading, truth),
            "expression": config.expression * losses.expression_guide(reading, truth),
            "prior": config.prior * losses.keypoint_prior(_as_truth(reading).placed()),
        }

    def _transfer(self, batch: Pairs, volume_i: Tensor, given_i: Truth, given_j: Truth) -> Tensor:
        """L_p (Eq. 2 to 4): pose j with expression i, once from frame i and once from frame j, must look the same."""
        volume_j = self.model.appearance(resized(batch.driving, self.config.draw_size))
        target_b = replace(given_j, expression=given_i.expression)  # pose j, expression i
        target_a = replace(target_b, keypoints=given_i.keypoints)
        a = self.model.draw(volume_i, given_i.placed(), target_a.placed())
        b = self.model.draw(volume_j, given_j.placed(), target_b.placed())
        a = a.detach() if self.config.detach == "A" else a
        b = b.detach() if self.config.detach == "B" else b
        return self._look_apart(a, b, self.config.norm)

    def _look_apart(self, first: Tensor, second: Tensor, norm: str) -> Tensor:
        """Distance of two pictures in the feature network's space."""
        side = min(self.config.look_size, first.shape[-1])
        return perceptual_distance(self.eye, resized(first, side), resized(second, side), norm)

    def save(self, run_dir: Path, step: int) -> None:
        save_face(self.model, self.config, self.config.corpus, self.config.licence, self.name, run_dir, step)


def _as_truth(reading: FaceReading) -> Truth:
    return Truth(reading.keypoints, reading.rotation, reading.translation, reading.scale, reading.expression)


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m training face``: first the probe, where it is the perceptual network and no file is given.

    With ``--pairs DATA`` the networks are fine-tuned on prepared videos instead (:mod:`training.face_pairs`).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if any(word.split("=")[0] == "--pairs" for word in words):
        fine_tune(words)
        return
    config = parse(FaceStageConfig, words, f"Train the face networks F, M, W and G on rendered sessions. {_of_pairs()}")
    run_dir = Path(config.out)
    if config.perceptual == "probe" and not config.perceptual_weights:
        probe = ProbeStageConfig(
            corpus=config.corpus,
            seed=config.seed,
            mixed_precision=config.mixed_precision,
            steps=config.probe_steps,
        )
        config = replace(config, perceptual_weights=str(train_probe(probe, run_dir / "probe")))
    sessions = Sessions(Path(config.corpus), "train")
    model = begin(config.model, config.init, config.grow, config.seed, sessions)
    if config.reader:
        _take_reader(model, Path(config.reader))
    if config.fresh_look and model.config.carry_picture:
        model.generator.forget_look()
    train(FaceStage(config, model, sessions), config, run_dir)


def _of_pairs() -> str:
    """What the help adds, since the flags of fine-tuning have a parser of their own."""
    flags = ", ".join("--" + one.name.replace("_", "-") for one in fields(PairsConfig))
    return f"With --pairs DATA they are fine-tuned on prepared videos instead; the flags then are {flags}."


def _take_reader(model: FaceModel, path: Path) -> None:
    """Put another file's M in place. Raises UserError where its sizes are others."""
    try:
        model.motion.load_state_dict(weights.load_face(path).motion.state_dict())
    except RuntimeError:
        raise UserError(
            f"--reader {path} holds an M of other sizes than the model's; train it with the same --model-... flags."
        ) from None
