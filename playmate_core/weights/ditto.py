"""Load Ditto's published files, or one converted from them, as a motion generator (docs/motion_models.md 5.1)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..diffusion.ditto.config import DittoConfig
from ..diffusion.ditto.controls import Drive
from ..diffusion.ditto.generator import DittoGenerator
from ..diffusion.ditto.layout import COLUMNS, BinnedMotion
from ..diffusion.ditto.network import DittoNetwork
from ..diffusion.ditto.settings import DittoData, DittoSettings
from ..diffusion.ditto.source import SourceFace
from ..errors import UserError
from .catalogue import DITTO_CONFIG, DITTO_ENCODER
from .companions import companion, missing, require
from .ditto_config import read_configuration
from .generator_file import Companions, GeneratorFile, filled, without

WHAT = "Ditto's motion generator"
DATA = "data."
#: Paths of the configuration and the audio encoder relative to the model: the same folder, or as on the hub.
CONFIGS = tuple(
    folder + name
    for name in ("v0.4_hubert_cfg_pytorch.pkl", "v0.4_hubert_cfg_trt.pkl", "v0.4_hubert_cfg_trt_online.pkl")
    for folder in ("", "../../ditto_cfg/", "../ditto_cfg/", "ditto_cfg/")
)
ENCODER_FILES = tuple(
    folder + "hubert_streaming_fix_kv.onnx" for folder in ("", "../aux_models/", "ditto_pytorch/aux_models/")
)
_FACE = ("keypoints", "eyes_open", "eye_balls")


def load_ditto(file: GeneratorFile, companions: Companions) -> DittoGenerator:
    """A generator on the CPU, in eval mode, without gradients. Raises UserError for files that do not fit."""
    try:
        config = DittoConfig.of({key: tuple(value.shape) for key, value in file.tensors.items()})
        if config.motion != COLUMNS:
            raise ValueError(f"it makes {config.motion} numbers a frame instead of {COLUMNS}")
    except (KeyError, ValueError, IndexError) as problem:
        reason = f"it misses {problem}" if isinstance(problem, KeyError) else str(problem)
        raise UserError(f"{file.path.name} is not {WHAT} as published: {reason}; please download it again.") from None
    with torch.device("meta"):
        network = DittoNetwork(config)
    own = {k: v for k, v in file.tensors.items() if not k.startswith(DATA)}
    filled(file, WHAT, network, without(own, droppable(config)))
    if file.converted and companions.configuration is None:
        settings, data = _converted(file)
    else:
        named = companions.configuration
        settings, data = read_configuration(require(DITTO_CONFIG, file.path, CONFIGS, named))
    encoder = companion(DITTO_ENCODER, file.path, ENCODER_FILES, companions.encoder)
    lack = (
        "" if encoder else f"Ditto needs another file, its audio encoder, that is not there. {missing(DITTO_ENCODER)}"
    )
    return DittoGenerator(network, data, settings, encoder, lack)


def droppable(config: DittoConfig) -> dict[str, tuple[int | None, ...]]:
    """Keys that a file may contain and the loader ignores, with shapes: copies of one frequency table."""
    places = ["", *(f"cond_encoder.{i}." for i in range(config.encoder_layers))]
    places += [f"seqTransDecoder.stack.{i}." for i in range(config.decoder_layers)]
    return {f"{place}rotary.freqs": (config.width // 2,) for place in places}


def to_tensors(generator: DittoGenerator) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The content of a converted file: all tensors, and their configuration."""
    data, tensors = generator.data, dict(generator.network.state_dict())
    for name in ("emotions", "blink_table", "limits"):
        if (value := getattr(data, name)) is not None:
            tensors[DATA + name] = value
    if data.character is not None:
        tensors |= {f"{DATA}character.{name}": value for name, value in vars(data.character.motion).items()}
        tensors |= {f"{DATA}character.{name}": getattr(data.character, name) for name in _FACE}
    return tensors, {"settings": asdict(generator.settings), "steps": data.steps, "overlap": data.overlap}


def _converted(file: GeneratorFile) -> tuple[DittoSettings, DittoData]:
    stored: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in file.config.get("settings", {}).items()
    }
    tensors, face = file.group(DATA), file.group(DATA + "character.")
    try:
        if "drive" in stored:
            stored["drive"] = Drive(**stored["drive"])
        settings = DittoSettings(**stored)
        character = None
        if face:
            motion = BinnedMotion(**{name: face[name] for name in BinnedMotion.__dataclass_fields__})
            character = SourceFace(motion, face["keypoints"], face["eyes_open"], face["eye_balls"])
        data = DittoData(
            tensors.get("emotions"),
            tensors.get("blink_table"),
            tensors.get("limits"),
            character,
            int(file.config.get("steps", DittoData.steps)),
            int(file.config.get("overlap", DittoData.overlap)),
        )
    except (TypeError, ValueError, KeyError) as problem:
        raise UserError(f"{file.path.name}: its settings are refused ({problem}); convert it again.") from problem
    known = {"emotions", "blink_table", "limits", *(f"character.{name}" for name in face)}
    if unknown := tensors.keys() - known:
        raise UserError(f"{file.path.name} has the unknown {DATA}{min(unknown)}; convert the published file again.")
    return settings, data
