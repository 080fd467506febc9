"""Load JoyVASA's published files, or one converted from them, as a motion generator (docs/motion_models.md 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.joyvasa.config import JoyVasaConfig
from ..diffusion.joyvasa.generator import JoyVasaGenerator
from ..diffusion.joyvasa.network import JoyVasaNetwork
from ..diffusion.joyvasa.schedule import noise_tables
from ..diffusion.joyvasa.settings import JoyVasaSettings
from ..diffusion.joyvasa.template import MotionTemplate
from ..errors import UserError
from ..speech.hubert import make_hubert, respelled
from .catalogue import JOYVASA_MODEL, JOYVASA_TEMPLATE
from .companions import require
from .generator_file import Companions, GeneratorFile, filled, without
from .plain_pickle import PROBLEMS, array, mapping, unpickled

WHAT = "JoyVASA's motion generator"
ENCODER, TEMPLATE_PREFIX = "audio_encoder.", "template."
#: Paths of the template relative to the model: the same folder, or as on the hub.
BESIDE = ("motion_template.pkl", "../motion_template/motion_template.pkl", "motion_template/motion_template.pkl")
SCHEDULE = ("betas", "alphas", "alpha_bars", "sigmas_flex", "sigmas_inflex")
#: Rows of its positional table.
POSITION_ROWS = 600


def load_joyvasa(file: GeneratorFile, companions: Companions) -> JoyVasaGenerator:
    """A generator on the CPU, in eval mode, without gradients. Raises UserError for files that do not fit."""
    try:
        config = JoyVasaConfig.of({key: tuple(value.shape) for key, value in file.tensors.items()})
    except (KeyError, ValueError, IndexError) as problem:
        reason = f"it misses {problem}" if isinstance(problem, KeyError) else str(problem)
        raise UserError(f"{file.path.name} is not {WHAT} as published: {reason}; please download it again.") from None
    with torch.device("meta"):
        network = JoyVasaNetwork(config)
    own = {k: v for k, v in file.tensors.items() if not k.startswith((ENCODER, TEMPLATE_PREFIX))}
    filled(file, WHAT, network, without(own, droppable(config)))
    variant = str(file.config.get("audio_model") or file.options.get("audio_model") or "hubert")
    return JoyVasaGenerator(
        network,
        _template(file, companions.template),
        _encoder(file),
        _settings(file),
        "joyvasa-wav2vec2" if variant.startswith("wav2vec2") else "joyvasa-hubert",
    )


def droppable(config: JoyVasaConfig) -> dict[str, tuple[int | None, ...]]:
    """Keys that a file may contain and the loader ignores, with their shapes."""
    length = config.previous + config.window
    tables = {f"diffusion_sched.{name}": (config.steps + 1,) for name in SCHEDULE}
    return {
        "denoising_net.TE.pe": (1, None, config.width),
        "denoising_net.PE.pe": (1, POSITION_ROWS, config.width),
        "denoising_net.alignment_mask": (length, length),
        **tables,
    }


def read_statistics(path: Path) -> MotionTemplate:
    """The statistics of a published template. Raises UserError for any other file."""
    try:
        entries = mapping(unpickled(path.read_bytes()))
        arrays = {name: torch.from_numpy(array(value).reshape(-1).copy()) for name, value in entries.items()}
        return MotionTemplate.of(arrays)
    except (*PROBLEMS, OSError) as problem:
        raise UserError(
            f"{path.name} is not JoyVASA's motion template ({problem}); please download motion_template.pkl again."
        ) from problem


def to_tensors(generator: JoyVasaGenerator) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The content of a converted file: all tensors, and their configuration."""
    tensors = dict(generator.network.state_dict())
    if generator.audio_encoder is not None:
        tensors |= {ENCODER + key: value for key, value in generator.audio_encoder.state_dict().items()}
    tensors |= {TEMPLATE_PREFIX + key: value for key, value in generator.template.entries.items()}
    steps, window = generator.network.config.steps, generator.network.config.window
    mask = torch.ones(2 * (generator.network.config.previous + window,), dtype=torch.bool).fill_diagonal_(False)
    # These encode the two sizes that cannot be inferred from parameters.
    tensors |= {"denoising_net.alignment_mask": mask, "diffusion_sched.betas": noise_tables(steps).betas}
    audio = generator.encoder_name.removeprefix("joyvasa-")
    return tensors, {"settings": asdict(generator.settings), "audio_model": audio}


def _settings(file: GeneratorFile) -> JoyVasaSettings:
    """Audio settings: from the metadata of a converted file; the first published release is recognised by its size."""
    if file.converted:
        try:
            return JoyVasaSettings(**file.config.get("settings", {}))
        except TypeError as problem:
            raise UserError(f"{file.path.name}: its settings are refused ({problem}); convert it again.") from problem
    first = JOYVASA_MODEL.editions[0].size
    if file.path.stat().st_size == first:
        return JoyVasaSettings(lead_frames=0, waveform="standardised")
    return JoyVasaSettings()


def _template(file: GeneratorFile, named: Path | None) -> MotionTemplate:
    inside: Mapping[str, Tensor] = file.group(TEMPLATE_PREFIX)
    if not inside or named is not None:
        return read_statistics(require(JOYVASA_TEMPLATE, file.path, BESIDE, named))
    try:
        return MotionTemplate.of(inside)
    except ValueError as problem:
        raise UserError(f"{file.path.name}: its template is not whole ({problem}); convert it again.") from problem


def _encoder(file: GeneratorFile) -> nn.Module:
    tensors = file.group(ENCODER)
    try:
        encoder = make_hubert({key: tuple(value.shape) for key, value in tensors.items()})
    except (KeyError, ValueError, StopIteration) as problem:
        raise UserError(
            f"{file.path.name} is not {WHAT} as published: its audio encoder is not whole ({problem!r}); please"
            " download it again."
        ) from problem
    filled(file, WHAT, encoder, respelled(tensors, encoder.state_dict()), ENCODER)
    return encoder
