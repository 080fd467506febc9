"""Self-describing safetensors model files: save, load strictly, describe.

Metadata, all strings: ``playmate.kind`` face, motion or emotion; ``playmate.version``; ``playmate.config``, JSON of the
frozen config; ``playmate.tensors``, the :func:`tensor_hash` a load must reproduce; ``playmate.base`` (emotion) the hash
of the motion model it was trained on; ``playmate.audio`` (motion) the audio encoder; ``playmate.training``, JSON of the
resolved training config and its cost; ``license`` and ``data``.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import save as serialize
from torch import Tensor, nn

from ..atomic_file import write_atomically
from ..errors import UserError, with_article
from .tensor_file import (
    FORMAT_VERSION,
    differences,
    open_tensors,
    refuse_nonfinite,
    refuse_other_format,
    restored,
    seems_to_be,
    some,
)

if TYPE_CHECKING:
    from ..diffusion.denoiser import MotionDenoiser
    from ..diffusion.emotion import EmotionController, IntensityCalibration
    from ..face import FaceModel

KINDS = {"FaceModel": "face", "MotionDenoiser": "motion", "EmotionController": "emotion"}
#: Metadata key of an emotion model's :class:`IntensityCalibration`.
CALIBRATION = "playmate.calibration"


@dataclass(frozen=True)
class Description:
    """A file's metadata, read without loading its tensors. ``str()`` formats it for users."""

    path: Path
    kind: str
    version: str
    config: Mapping[str, Any]
    training: Mapping[str, Any]
    license: str
    data: str
    tensors: str
    base: str
    audio: str
    numbers: int
    megabytes: float

    def __str__(self) -> str:
        rows = [
            f"{self.path.name}: {self.kind} model, {self.numbers:,} numbers, {self.megabytes:.1f} MB",
            f"license: {self.license}",
            f"data: {self.data}",
            f"tensors: {self.tensors}",
        ]
        rows += [f"{name}: {value}" for name, value in (("base", self.base), ("audio", self.audio)) if value]
        rows += [f"config.{name}: {value}" for name, value in self.config.items()]
        rows += [f"training.{name}: {value}" for name, value in self.training.items()]
        return "\n".join(rows)


def tensor_hash(module: nn.Module) -> str:
    """SHA-256 over the state dict in key order: key, dtype, shape, bytes. The same on every device."""
    return _hash(module.state_dict())


def _hash(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().cpu().contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save(
    module: FaceModel | MotionDenoiser | EmotionController,
    path: str | Path,
    *,
    license: str,
    data: str,
    training: Mapping[str, Any],
    base: nn.Module | None = None,
    audio: str = "",
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write one model file atomically.

    ``dtype``: storage type of parameters with two or more dimensions (float16 halves the file); buffers, norms and
    biases stay float32, and everything loads as float32. ``base``: the motion model an emotion model was trained on, as
    loaded from its own file. Raises UserError for NaN or Inf, and when the file cannot be written.
    """
    path = Path(path)
    kind = KINDS.get(type(module).__name__)
    if kind is None:
        raise ValueError(f"Only {', '.join(KINDS)} are saved, got {type(module).__name__}.")
    if (kind == "emotion") != (base is not None):
        raise ValueError(f"An emotion model, and no other, is saved with the base it was trained on; this is {kind}.")
    matrices = {key for key, value in module.named_parameters() if value.ndim >= 2}
    stored = {k: _stored(v, dtype if k in matrices else torch.float32) for k, v in module.state_dict().items()}
    refuse_nonfinite(path, stored)
    metadata = {
        "playmate.kind": kind,
        "playmate.version": FORMAT_VERSION,
        "playmate.config": json.dumps(asdict(module.config)),
        "playmate.tensors": _hash({key: restored(value) for key, value in stored.items()}),
        "playmate.training": json.dumps(dict(training), default=str),
        "license": license,
        "data": data,
    }
    if base is not None:
        metadata["playmate.base"] = tensor_hash(base)
    if audio:
        metadata["playmate.audio"] = audio
    write_atomically(path, serialize(stored, metadata))


def load_face(path: str | Path) -> FaceModel:
    """A face model in eval mode, without gradients, float32 on the CPU. Raises UserError for any other file.

    ``path`` is a Playmate file, or LivePortrait's public files: their folder or one of them (:mod:`liveportrait`).
    """
    from ..face import FaceConfig, FaceModel
    from .liveportrait import is_published, load_published

    if is_published(Path(path)):
        return load_published(Path(path))
    return cast("FaceModel", _load(Path(path), "face", FaceConfig, FaceModel))


def load_motion(path: str | Path) -> MotionDenoiser:
    """A motion denoiser in eval mode, without gradients, float32 on the CPU. Raises UserError for any other file."""
    from ..diffusion.denoiser import MotionConfig, MotionDenoiser

    return cast("MotionDenoiser", _load(Path(path), "motion", MotionConfig, MotionDenoiser))


def load_emotion(path: str | Path, base: nn.Module) -> EmotionController:
    """An emotion controller for the motion model ``base``. Raises UserError when it was trained on another one."""
    from ..diffusion.emotion import EmotionConfig, EmotionController

    path = Path(path)
    model = cast("EmotionController", _load(path, "emotion", EmotionConfig, EmotionController))
    wanted, got = describe(path).base, tensor_hash(base)
    if wanted != got:
        raise UserError(
            f"{path.name} was trained on the motion model {wanted[:12]}, but the motion model given is {got[:12]}; "
            "load the motion model that came with it."
        )
    model.calibration = _calibration(path, model)
    return model


def _calibration(path: Path, model: EmotionController) -> IntensityCalibration | None:
    """The calibration of its intensities that an emotion model's file holds, if any."""
    from ..diffusion.emotion import IntensityCalibration

    with open_tensors(path) as file:
        metadata = file.metadata() or {}
    if CALIBRATION not in metadata:
        return None
    values = _json_object(path, CALIBRATION, metadata)
    try:
        found = IntensityCalibration(**{name: _frozen(value) for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path.name}: its calibration is refused ({error}); choose another file.") from error
    if found.emotions != model.config.emotions:
        raise UserError(f"{path.name}: its calibration is of other emotions than its config; choose another file.")
    return found


def describe(path: str | Path) -> Description:
    """Read a file's metadata. Raises UserError for files of other programs, naming their probable type."""
    path = Path(path)
    with open_tensors(path) as file:
        metadata, keys = file.metadata() or {}, list(file.keys())
        numbers = sum(math.prod(file.get_slice(key).get_shape()) for key in keys)
    if "playmate.kind" not in metadata:
        seems = seems_to_be(keys)
        remedy = "choose a file written by `python -m training`"
        if "LivePortrait" in seems:
            remedy = "give the folder of LivePortrait's files, under their own names, where face weights are asked for"
        raise UserError(f"{path.name} is not a Playmate model{seems and f'; it seems to be {seems}'}; {remedy}.")
    refuse_other_format(path, metadata, "train the model again")
    return Description(
        path=path,
        kind=metadata["playmate.kind"],
        version=metadata["playmate.version"],
        config=_json_object(path, "playmate.config", metadata),
        training=_json_object(path, "playmate.training", metadata),
        license=metadata.get("license", ""),
        data=metadata.get("data", ""),
        tensors=metadata.get("playmate.tensors", ""),
        base=metadata.get("playmate.base", ""),
        audio=metadata.get("playmate.audio", ""),
        numbers=numbers,
        megabytes=path.stat().st_size / 1e6,
    )


def _stored(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value.detach().cpu().to(dtype if value.is_floating_point() else value.dtype).contiguous().clone()


def _json_object(path: Path, name: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        value = json.loads(metadata.get(name, "{}"))
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise UserError(f"{path.name}: its {name} is not a JSON object; copy or download the file again.")
    return value


def _load(path: Path, kind: str, config_class: type, module_class: Callable[[Any], nn.Module]) -> nn.Module:
    facts = describe(path)
    if facts.kind != kind:
        wanted = with_article(f"{kind} model")
        raise UserError(f"{path.name} is a model of kind {facts.kind}, but {wanted} belongs here; choose another.")
    config = _config(path, config_class, facts.config)
    with torch.device("meta"):
        module = module_class(config)
    with open_tensors(path) as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        wrong = differences(shapes, {key: tuple(value.shape) for key, value in module.state_dict().items()})
        if wrong:
            raise UserError(f"{path.name} does not fit its config: {wrong}; choose another file.")
        tensors = {key: restored(file.get_tensor(key)) for key in shapes}
    refuse_nonfinite(path, tensors)
    if facts.tensors and _hash(tensors) != facts.tensors:
        raise UserError(f"{path.name} is damaged: its numbers do not match its checksum; copy or download it again.")
    module.load_state_dict(tensors, strict=True, assign=True)
    return module.train(False).requires_grad_(False)


def _config(path: Path, config_class: type, values: Mapping[str, Any]) -> Any:
    unknown = set(values) - {field.name for field in fields(config_class)}
    if unknown:
        raise UserError(
            f"{path.name}: its config has the unknown field {some(unknown)}; update the program, or choose a file "
            "this version wrote."
        )
    try:
        return config_class(**{name: _frozen(value) for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise UserError(f"{path.name}: its config is refused ({error}); choose another file.") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
