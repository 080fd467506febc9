"""Load LivePortrait's public checkpoints, official ``.pth`` or Kijai's safetensors, human or animal, as a FaceModel.

Layouts and names: docs/liveportrait.md 2. The networks keep the published names, so a file needs little more than
its prefixes stripped; spectral norm is divided out once, here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..errors import UserError
from ..face import FaceConfig, FaceModel
from ..keypoint_space import LIVEPORTRAIT
from .tensor_file import differences, open_tensors, refuse_nonfinite, restored, seems_to_be, some
from .torch_file import PICKLES, read_torch_file, stripped, tensors_of

STITCHING = "stitching_retargeting_module"
#: The public files: name without suffix, the network of FaceModel it holds, and what :func:`seems_to_be` calls it.
PARTS = {
    "appearance_feature_extractor": ("appearance", "LivePortrait's appearance feature extractor"),
    "motion_extractor": ("motion", "LivePortrait's motion extractor"),
    "warping_module": ("warping", "LivePortrait's warping module"),
    "spade_generator": ("generator", "LivePortrait's generator"),
    STITCHING: ("stitching", "LivePortrait's stitching module"),
}
#: Groups of the stitching file, nested ("a: {module.mlp.0.weight}") or flattened ("a_module.mlp.0.weight").
GROUPS = {"retarget_shoulder": "stitching", "retarget_mouth": "lip", "retarget_eye": "eye"}
_GROUPED = re.compile(rf"(?:^|\.)({'|'.join(GROUPS)})[._](?:module\.)*(mlp\.\d+\.(?:weight|bias))$")
SUFFIXES = (".safetensors", ".pth")
#: Paths of the base networks below a folder given by the user: Kijai's layout, the official one, a whole checkout.
_UNDER = (
    ".",
    "base_models_v1.1",
    "base_models",
    "liveportrait",
    "liveportrait/base_models",
    "pretrained_weights/liveportrait/base_models",
)
#: Paths of the stitching file relative to them; animal models use the human one.
_BESIDE = (
    ".",
    "../retargeting_models",
    "..",
    "../../retargeting_models",
    "../../liveportrait/retargeting_models",
    "../..",
)
log = logging.getLogger(__name__)


def is_published(path: Path) -> bool:
    """Whether a path can only mean LivePortrait's layout: a folder, one of its file names, or a pickle."""
    return path.is_dir() or path.stem in PARTS or path.suffix.lower() in PICKLES


def find_parts(path: Path) -> dict[str, Path]:
    """The public files in a folder, or beside any one of the files: part name -> file.

    Raises UserError naming missing files. Only the stitching file is optional.
    """
    if not path.exists():
        raise UserError(f"There is no model file or folder {path}; please check the path.")
    folder, first = (path, "") if path.is_dir() else (path.parent, path.suffix)
    suffixes = sorted(SUFFIXES, key=lambda suffix: suffix != first)
    if folder.name == "retargeting_models":
        folder = folder.parent
    base = [name for name in PARTS if name != STITCHING]
    for place in _UNDER:
        home = (folder / place).resolve()
        found = {name: file for name in base if (file := _one_of(home, name, suffixes))}
        if found:
            break
    else:
        raise UserError(
            f"There is no model file of LivePortrait in {folder}; it needs {', '.join(base)}, each as"
            f" {' or '.join(SUFFIXES)} (`playmate weights list` says from where)."
        )
    missing = [name for name in base if name not in found]
    if missing:
        raise UserError(
            f"LivePortrait's files in {home} are not complete: {some(missing, 4)} is not there; please add it"
            " (`playmate weights list` says from where)."
        )
    for place in _BESIDE:
        if stitching := _one_of((home / place).resolve(), STITCHING, suffixes):
            return found | {STITCHING: stitching}
    return found


def load_published(path: Path, config: FaceConfig | None = None) -> FaceModel:
    """The public networks in eval mode, without gradients, float32 on the CPU; spectral norm is folded away.

    ``path``: a folder or any one of its files (see :func:`find_parts`). Files are loaded one at a time, so peak memory
    is little more than the model itself. Raises UserError for wrong or damaged files.
    """
    if path.is_file() and path.stem not in PARTS:
        raise UserError(
            f"{path.name} is none of LivePortrait's files by its name{_seems(read_tensors(path))}; give a folder that"
            f" holds {', '.join(PARTS)}, or a Playmate .safetensors file."
        )
    files = find_parts(path)
    if STITCHING not in files:
        log.warning("LivePortrait's %s is not there, so shoulders, eyes and lips cannot be corrected.", STITCHING)
    whole = config or FaceConfig()
    with torch.device("meta"):
        sizes = replace(whole, spectral_norm=False, with_stitching=STITCHING in files, keypoint_space=LIVEPORTRAIT)
        model = FaceModel(sizes)
    for name, file in sorted(files.items(), key=lambda item: -item[1].stat().st_size):
        network = model.get_submodule(PARTS[name][0])
        network.load_state_dict(_tensors_for(name, file, network), strict=True, assign=True)
    return model.train(False).requires_grad_(False)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors or ``.pth`` file as float32 on the CPU, nested names joined, wrappers stripped.

    Pickles are read as plain tensors only, without running code. Raises UserError for any other content.
    """
    if path.suffix.lower() in PICKLES:
        return tensors_of(read_torch_file(path))
    with open_tensors(path) as file:
        return {stripped(key): restored(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118


def fold_spectral_norm(tensors: dict[str, Tensor]) -> None:
    """Replace published triples by plain kernels, weight_orig / u . (A v) with the stored u and v (docs/liveportrait.md
    3.6).

    In place, kernel by kernel, as the generator is the largest file and a second copy would double peak memory.
    """
    for stem in [key.removesuffix("_orig") for key in tensors if key.endswith("weight_orig")]:
        kernel, u, v = (tensors.pop(f"{stem}_{name}") for name in ("orig", "u", "v"))
        # In double: this sum of thousands of products scales a whole layer.
        tensors[stem] = kernel.div_(torch.dot(u.double(), kernel.flatten(1).double() @ v.double()))


def _tensors_for(name: str, file: Path, network: torch.nn.Module) -> dict[str, Tensor]:
    """The tensors of ``file`` for ``network``, renamed and checked."""
    tensors = read_tensors(file)
    seems = _seems(tensors)
    if name == STITCHING:
        tensors = grouped(tensors)
    wanted = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key in wanted:
        if key.endswith("num_batches_tracked"):  # unused in eval mode, and absent from conversions
            tensors.setdefault(key, torch.zeros((), dtype=torch.int64))
    try:
        fold_spectral_norm(tensors)
        wrong = differences({key: tuple(value.shape) for key, value in tensors.items()}, wanted)
    except (KeyError, RuntimeError) as problem:
        wrong = f"its spectral norm is not whole ({problem})"
    if wrong:
        label = PARTS[name][1]
        if seems and label not in seems:
            raise UserError(f"{file.name} in {file.parent} is not {label}{seems}; please put the right file there.")
        raise UserError(f"{file.name} in {file.parent} is not {label} as published: {wrong}; please download it again.")
    refuse_nonfinite(file, tensors)
    return tensors


def grouped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The stitching file's three groups under our names; other entries are dropped."""
    found = {key: _GROUPED.search(key) for key in tensors}
    return {f"{GROUPS[match[1]]}.{match[2]}": tensors[key] for key, match in found.items() if match}


def _one_of(folder: Path, name: str, suffixes: list[str]) -> Path | None:
    return next((file for suffix in suffixes if (file := folder / f"{name}{suffix}").is_file()), None)


def _seems(tensors: Mapping[str, Tensor]) -> str:
    seems = seems_to_be(tensors)
    return f"; it seems to be {seems}" if seems else ""
