"""Before stage 0: teach M alone to read faces, which needs no drawing and so sees many more pictures a minute.

Supervised by the corpus: pose, keypoints and expression, as face-vid2vid supervises by a pose network
(docs/method.md 1.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.motion import CoarseToFineMotionExtractor
from playmate_core.face.warping import blend_to_origin
from playmate_core.weights import files as weights
from training import face_losses as losses
from training.config import LoopConfig, parse
from training.data import Sessions, corpus_hash
from training.facts import training_facts
from training.loop import train
from training.pairs import Blur, Truth, about, every_expression, images, resized, truth
from training.probe_stage import half_detail


@dataclass(frozen=True)
class ReadingConfig(LoopConfig):
    """Options of M's pre-training.

    ``init``: weights to go on from, with ``grow`` a smaller model's, which fill what they fit. ``first``: weight of all
    that the first look says; 0 leaves it as it is. ``fine_heads``: rate of its heads for hundredths, relative to lr.
    ``blur``: how wrong the pose is that the second look is told. ``softened``: share of batches at half the detail.
    """

    corpus: str = "data/corpus"
    out: str = "runs/reading"
    init: str = ""
    grow: bool = False
    model: FaceConfig = field(default_factory=FaceConfig.small)
    steps: int = 2500
    lr: float = 2e-3
    grad_clip: float = 50.0
    batch: int = 32
    fine_heads: float = 0.05
    first: float = 2.0
    pose: float = 1.0
    keypoints: float = 0.3
    expression: float = 1.0
    blur: Blur = field(default_factory=Blur)
    softened: float = 0.25
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class ReadingBatch:
    """B pictures (B, 3, S, S) and what is true of them."""

    image: Tensor
    truth: Truth


class ReadingStage:
    """What is trained (an M that looks twice), on what (single frames), and the loss (look by look)."""

    name = "reading"

    def __init__(self, config: ReadingConfig, model: FaceModel, sessions: Sessions) -> None:
        """Raises UserError for a model whose M looks once."""
        if not isinstance(model.motion.detector, CoarseToFineMotionExtractor):
            raise UserError(
                f"--model-motion-backbone is {model.config.motion_backbone!r}, expected 'two-looks'; "
                "an M that looks once learns with the rest: `python -m training face`."
            )
        self.config, self.model, self.sessions, self.detector = config, model, sessions, model.motion.detector
        if config.first == 0.0:
            for part in self.detector.first_parts():
                part.requires_grad_(False)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"motion": self.model.motion}

    def parameters(self) -> list[dict[str, Any]]:
        return two_rates(self.model.motion, self.model, self.config.lr * self.config.fine_heads)

    def batch(self, generator: torch.Generator) -> ReadingBatch:
        people = torch.randint(len(self.sessions), (self.config.batch,), generator=generator).tolist()
        frames = [
            (self.sessions[p], int(torch.randint(len(self.sessions[p]), (1,), generator=generator))) for p in people
        ]
        return ReadingBatch(resized(images(frames), self.model.config.reading_size), truth(frames))

    def loss(self, batch: ReadingBatch, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Each look by itself: the second is told a pose as wrong as a first look's, so neither waits for the other."""
        config, detector, true = self.config, self.detector, batch.truth
        soft = float(torch.rand(1, generator=generator)) < config.softened
        image = half_detail(batch.image) if soft else batch.image
        pose, keypoints, expression = detector.fine(image, about(true, config.blur, generator))
        terms = {
            "pose": config.pose * losses.pose_distance(pose, true, config.blur),
            "keypoints": config.keypoints
            * losses.standard_distance(keypoints, true.keypoints, detector.keypoint_spread),
            "expression": config.expression
            * losses.standard_distance(expression, true.expression, detector.expression_spread),
        }
        if config.first > 0.0:
            terms["first"] = config.first * losses.pose_supervision(*detector.coarse(image), true)
        degrees = (pose.rotation.detach() - true.rotation).abs().mean()
        return {"loss": torch.stack(list(terms.values())).sum(), "degrees": degrees, **terms}

    def save(self, run_dir: Path, step: int) -> None:
        save_face(self.model, self.config, self.config.corpus, self.config.licence, self.name, run_dir, step)


def save_face(
    model: FaceModel, config: LoopConfig, corpus: str, licence: str, stage: str, run_dir: Path, step: int
) -> None:
    """Write ``face.safetensors`` with everything it must say of how it was trained."""
    weights.save(
        model,
        run_dir / "face.safetensors",
        license=licence,
        data=f"synthetic corpus {corpus_hash(Path(corpus))}",
        training=training_facts(config, corpus, stage, run_dir, step),
    )


def two_rates(learning: nn.Module, model: FaceModel, fine_rate: float) -> list[dict[str, Any]]:
    """``learning``'s parameters at the config's rate, but M's heads that speak in hundredths at ``fine_rate``."""
    fine = [p for head in model.motion.detector.fine_heads() for p in head.parameters()]
    known = {id(p) for p in fine}
    rest = [p for p in learning.parameters() if id(p) not in known]
    return [{"params": rest}, {"params": fine, "lr": fine_rate}]


def start_at_mean_face(model: FaceModel, sessions: Sessions) -> None:
    """Let M begin at the mean face of the corpus: what differs between people and frames is left to learn. W is told
    where such a face turns."""
    people = torch.stack([sessions[index].keypoints for index in range(len(sessions))])
    model.motion.detector.start_from(people, every_expression(sessions))
    with torch.no_grad():
        tell_origin(model, people.mean(0))


def tell_origin(model: FaceModel, mean_face: Tensor) -> None:
    """Tell W, where it has a candidate for the body, which blend of the keypoints is the head's origin."""
    if model.config.body_candidate:
        model.warping.dense_motion_network.origin.copy_(blend_to_origin(mean_face))


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m training reading``: M from scratch, or from ``--init``."""
    config = parse(ReadingConfig, argv, __doc__ or "")
    sessions = Sessions(Path(config.corpus), "train")
    model = begin(config.model, config.init, config.grow, config.seed, sessions)
    train(ReadingStage(config, model, sessions), config, Path(config.out))


def begin(sizes: FaceConfig, init: str, grow: bool, seed: int, sessions: Sessions) -> FaceModel:
    """The model a run begins with: new, the file ``init``, or a new one of which the file's smaller one fills what
    it fits."""
    if init and not grow:
        return weights.load_face(Path(init)).train().requires_grad_(True)
    torch.manual_seed(seed)
    model = FaceModel(sizes)
    start_at_mean_face(model, sessions)
    if grow:
        take_what_fits(model, weights.load_face(Path(init)))
    return model


def take_what_fits(model: FaceModel, smaller: FaceModel) -> None:
    """Fill the leading part of every tensor with the smaller model's of that name: what a layer has more of, inputs or
    outputs, stands at the end. Inputs it did not have begin at zero; tensors of other depth stay as they were made."""
    given = smaller.state_dict()
    with torch.no_grad():
        for name, mine in model.state_dict().items():
            old = given.get(name)
            if old is None or old.ndim != mine.ndim or any(a > b for a, b in zip(old.shape, mine.shape, strict=True)):
                continue
            if mine.ndim > 1:
                mine[:, old.shape[1] :] = 0.0
            mine[tuple(slice(n) for n in old.shape)] = old
