"""JoyVASA's and Ditto's files at their published size, filled with random numbers."""

from __future__ import annotations

from pathlib import Path

import torch
from generator_models import write_ditto, write_ditto_encoder, write_joyvasa
from torch import Tensor

from benchmarks.generator_steps import randomised
from playmate_core.diffusion.ditto.config import DittoConfig
from playmate_core.diffusion.ditto.network import DittoNetwork
from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
from playmate_core.diffusion.joyvasa.network import JoyVasaNetwork


def joyvasa_tensors() -> dict[str, Tensor]:
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(1)
    encoder = {f"audio_encoder.{key}": value for key, value in HubertModel(HubertConfig()).state_dict().items()}
    return {**randomised(JoyVasaNetwork(JoyVasaConfig())).state_dict(), **encoder}


def write_models(name: str, models: Path, runtime: Path) -> None:
    if name == "joyvasa":
        write_joyvasa(models / "joyvasa", joyvasa_tensors())
    else:
        config = DittoConfig()
        write_ditto(models / "ditto", randomised(DittoNetwork(config)).state_dict())
        write_ditto_encoder(models / "ditto", runtime, config.condition - 79)
