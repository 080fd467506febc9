"""Files of weights of others: found below the models folders, read without running code, loaded strictly."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from playmate_core.errors import UserError, with_article
from playmate_core.weights.catalogue import JUDGES, ModelFile
from playmate_core.weights.folders import SearchPaths, file_hash, mismatch
from playmate_core.weights.tensor_file import content_seems_to_be, differences, refuse_nonfinite

Network = TypeVar("Network", bound=nn.Module)
#: Counters that batch norm keeps while training; files written before PyTorch 0.4.1 have none.
_COUNTER = "num_batches_tracked"


class Skipped(Exception):
    """A figure cannot be measured here; the message is what is missing, and nothing else takes its place."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that was found, and its whole ``sha256``."""

    path: Path
    sha256: str


def find_weights(name: str) -> WeightsFile:
    """Where a file of the catalogue's judges lies. Raises Skipped when it lies nowhere, and UserError when it is
    another file under that name: a figure by other weights is not the published one."""
    file = next(file for file in JUDGES.files if Path(file.name).name == name)
    path = SearchPaths.standard().find(file)
    if path is None:
        raise Skipped(file.below_models)
    _require_published(file, path)
    return WeightsFile(path, file_hash(path))


def _require_published(file: ModelFile, path: Path) -> None:
    if wrong := mismatch(file, path):
        raise UserError(
            f"{path} is not the published {path.name}: {wrong}; a score by other weights must not bear the paper's"
            f" name. Fetch it again from {file.url}, or remove it to leave its figures out."
        )


def require_package(package: str) -> None:
    """Raise Skipped when a Python package is absent."""
    if find_spec(package) is None:
        raise Skipped(f"the package {package} (pip install 'playmate-portrait[judges]')")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth``, on the CPU; code in the file is refused, never run. Raises UserError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's doubts about a pickle before it refuses it
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path.name} is no plain file of tensors ({type(error).__name__}){content_seems_to_be(path)}: it is"
            " damaged, or it holds code, which is never run; please fetch it again."
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(
            f"{path.name} holds no table of tensors but {with_article(type(content).__name__)}; fetch it again."
        )
    refuse_nonfinite(path, content)
    return dict(content)


def load_strictly(net: Network, path: Path) -> Network:
    """Fill ``net`` from a ``.pth`` with exactly its keys and shapes, in eval mode and without gradients.

    Only batch norm's counters, which take no part in evaluation, may be absent. Raises UserError.
    """
    tensors = read_checkpoint(path)
    require_layout(path, tensors, {key: tuple(value.shape) for key, value in net.state_dict().items()})
    left = net.load_state_dict({key: value.float() for key, value in tensors.items()}, strict=False)
    if left.unexpected_keys or any(not key.endswith(_COUNTER) for key in left.missing_keys):
        raise RuntimeError(f"{path.name} passed the check of its keys and was not loaded whole: {left}.")
    return net.eval().requires_grad_(False)


def require_layout(path: Path, tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise UserError unless the tensors have exactly the ``wanted`` keys and shapes, counters left out."""
    got = {key: tuple(value.shape) for key, value in tensors.items() if not key.endswith(_COUNTER)}
    wrong = differences(got, {key: shape for key, shape in wanted.items() if not key.endswith(_COUNTER)})
    if wrong:
        raise UserError(f"{path.name} has not the published layout: {wrong}; fetch it again.")
