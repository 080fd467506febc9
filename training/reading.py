"""Before stage 0: teach M alone to read faces, which needs no drawing and so sees many more pictures a minute.

Supervised by the corpus: pose, keypoints and expression, as face-vid2vid supervises by a pose network (METHOD 1.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from playmate_core import weights
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.warping import blend_to_origin
from training import face_losses as losses
from training.config import LoopConfig, parse
from training.data import Sessions, corpus_hash
from training.facts import training_facts
from training.loop import train
from training.pairs import Truth, images, resized, truth


@dataclass(frozen=True)
class ReadingConfig(LoopConfig):
    """How M learns to read. ``fine_heads``: rate of its heads for hundredths, relative to lr."""

    corpus: str = "data/corpus"
    out: str = "runs/reading"
    init: str = ""
    model: FaceConfig = field(default_factory=FaceConfig.small)
    steps: int = 2500
    lr: float = 2e-3
    grad_clip: float = 50.0
    batch: int = 32
    fine_heads: float = 0.05
    pose: float = 2.0
    keypoints: float = 1.0
    expression: float = 2.0
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class ReadingBatch:
    """B pictures (B, 3, S, S) and what is true of them."""

    image: Tensor
    truth: Truth


class ReadingStage:
    """What is trained (M), on what (single frames), and the loss (the guides of stage 0)."""

    name = "reading"

    def __init__(self, config: ReadingConfig, model: FaceModel, sessions: Sessions) -> None:
        self.config, self.model, self.sessions = config, model, sessions

    def modules(self) -> Mapping[str, nn.Module]:
        return {"motion": self.model.motion}

    def parameters(self) -> list[dict[str, Any]]:
        return two_rates(self.model.motion, self.model, self.config.lr * self.config.fine_heads)

    def batch(self, generator: torch.Generator) -> ReadingBatch:
        people = torch.randint(len(self.sessions), (self.config.batch,), generator=generator).tolist()
        frames = [
            (self.sessions[p], int(torch.randint(len(self.sessions[p]), (1,), generator=generator))) for p in people
        ]
        return ReadingBatch(resized(images(frames), self.model.config.image_size), truth(frames))

    def loss(self, batch: ReadingBatch, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        seen = self.model.read(batch.image)
        terms = {
            "pose": self.config.pose * losses.pose_supervision(seen, batch.truth),
            "keypoints": self.config.keypoints * losses.keypoint_guide(seen, batch.truth),
            "expression": self.config.expression * losses.expression_guide(seen, batch.truth),
        }
        degrees = (seen.rotation.detach() - batch.truth.rotation).abs().mean()
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
    """Let M's keypoint head begin at the mean face of the corpus: what differs between people is left to learn. W is
    told where such a face turns."""
    mean = torch.stack([sessions[index].keypoints for index in range(len(sessions))]).mean(0)
    with torch.no_grad():
        model.motion.detector.fc_kp.bias.copy_(mean.flatten())
        tell_origin(model, mean)


def tell_origin(model: FaceModel, mean_face: Tensor) -> None:
    """Tell W, where it has a candidate for the body, which blend of the keypoints is the head's origin."""
    if model.config.body_candidate:
        model.warping.dense_motion_network.origin.copy_(blend_to_origin(mean_face))


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m training reading``: M from scratch, or from ``--init``."""
    config = parse(ReadingConfig, argv, __doc__ or "")
    sessions = Sessions(Path(config.corpus), "train")
    if config.init:
        model = weights.load_face(Path(config.init)).train().requires_grad_(True)
    else:
        torch.manual_seed(config.seed)
        model = FaceModel(config.model)
        start_at_mean_face(model, sessions)
    train(ReadingStage(config, model, sessions), config, Path(config.out))
