"""What is measured: a face model with weights, a portrait and a motion for it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.images import read_picture
from playmate_core.rendering.portrait import read_portrait
from playmate_core.values import Motion, Portrait, Pose
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled

#: Our parts and the published files they come in.
FILES = {
    "appearance": "appearance_feature_extractor",
    "motion": "motion_extractor",
    "warping": "warping_module",
    "generator": "spade_generator",
}
SEED = 2502
#: Names for weights that are no files.
SEEDED, BUNDLED = "seeded", "bundled"


@dataclass(frozen=True)
class BenchmarkCase:
    """``face`` with its weights' ``name``, the ``portrait`` it read, and a ``motion`` away from its rest."""

    face: FaceModel
    name: str
    portrait: Portrait
    motion: Motion


def make_case(weights: str, frames: int, device: str = "cpu") -> BenchmarkCase:
    """``weights``: SEEDED, BUNDLED, a folder of published files, or a recipe (.py with ``filled_state_dict``)."""
    if weights == BUNDLED:
        face, name = load_face(bundled("face.safetensors")), "bundled (FaceConfig.small)"
    elif weights == SEEDED:
        face, name = _seeded(), f"published sizes, random with seed {SEED}"
    else:
        face, name = _published(Path(weights)), f"published sizes, from {Path(weights).name}"
    face = face.eval().requires_grad_(False).to(device)
    portrait = read_portrait(face, read_picture(bundled("portrait.png")), "whole")
    return BenchmarkCase(face, name, portrait, _motion(portrait, frames))


def _published(weights: Path) -> FaceModel:
    with torch.device("meta"):
        face = FaceModel(FaceConfig())
    for part, stem in FILES.items():
        module = face.get_submodule(part)
        shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        values = _filled(weights, shapes) if weights.suffix == ".py" else _read(weights, stem)
        module.load_state_dict(values, strict=True, assign=True)
    face.stitching = None  # no part of W and G
    return face


def _seeded() -> FaceModel:
    """Kernels that neither fade nor blow up, statistics and biases that matter, and each spectral norm its kernel's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        face = FaceModel(replace(FaceConfig(), with_stitching=False))
        state = face.state_dict()
        for name, value in state.items():
            if name.endswith(("running_var", "norm.weight")) and value.ndim == 1:
                value.uniform_(0.6, 1.4)
            elif name.endswith(("bias", "running_mean")):
                value.normal_(0, 0.1)
            elif value.ndim > 3:
                torch.nn.init.kaiming_normal_(value, nonlinearity="linear")
        state["motion.detector.fc_scale.bias"].fill_(1.4)  # as people are
        state["warping.dense_motion_network.mask.weight"].mul_(6)  # or all places would move alike
        for name, value in state.items():
            if name.endswith("weight_orig"):
                matrix, u, v = value.flatten(1), (stem := name.removesuffix("orig")) + "u", stem + "v"
                for _ in range(20):
                    state[v].copy_(F.normalize(matrix.T @ state[u], dim=0))
                    state[u].copy_(F.normalize(matrix @ state[v], dim=0))
    return face


def _motion(portrait: Portrait, frames: int) -> Motion:
    """Turning and speaking about as much as people do: degrees, and hundredths in the expression."""
    random, rest = torch.Generator().manual_seed(SEED), portrait.rest
    pose = Pose(
        rest.pose.rotation + 5 * torch.randn(frames, 3, generator=random),
        rest.pose.translation + 0.02 * torch.randn(frames, 3, generator=random),
        rest.pose.scale.expand(frames, 1).clone(),
    )
    return Motion(pose, rest.expression + 0.005 * torch.randn(frames, 21, 3, generator=random))


def _filled(recipe: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    spec = importlib.util.spec_from_file_location("weights_recipe", recipe)
    if spec is None or spec.loader is None or not recipe.is_file():
        raise UserError(f"There is no recipe for weights at {recipe}; please check the path.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.filled_state_dict(shapes, SEED)


def _read(folder: Path, stem: str) -> dict[str, Tensor]:
    if (path := folder / f"{stem}.safetensors").is_file():
        return load_file(path)
    if (path := folder / f"{stem}.pth").is_file():
        return torch.load(path, map_location="cpu", weights_only=True)
    raise UserError(f"{folder} holds neither {stem}.safetensors nor {stem}.pth; please name LivePortrait's folder.")
