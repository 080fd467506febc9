"""Small JoyVASA and Ditto files as they are published: pickles with options, arrays, and tables nobody needs."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from playmate_core.diffusion.ditto.config import DittoConfig
from playmate_core.diffusion.ditto.network import DittoNetwork
from playmate_core.diffusion.joyvasa.config import JoyVasaConfig
from playmate_core.diffusion.joyvasa.network import JoyVasaNetwork, sinusoidal_rows
from playmate_core.diffusion.joyvasa.schedule import noise_tables
from playmate_core.diffusion.joyvasa.template import ENTRIES

JOYVASA = JoyVasaConfig(width=32, layers=2, feed_forward=64, audio_width=64)
DITTO = DittoConfig(condition=24 + 79, width=32, feed_forward=64, encoder_layers=1, decoder_layers=2)


def random_state(module: nn.Module, seed: int) -> OrderedDict[str, Tensor]:
    """Small random parameters that are no module's defaults."""
    generator = torch.Generator().manual_seed(seed)
    return OrderedDict(
        (key, 0.2 * torch.randn(value.shape, generator=generator)) for key, value in module.state_dict().items()
    )


def tiny_hubert() -> nn.Module:
    from transformers import HubertConfig, HubertModel

    torch.manual_seed(0)
    return HubertModel(
        HubertConfig(
            hidden_size=64,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=32,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
        )
    ).eval()


def joyvasa_tensors(config: JoyVasaConfig = JOYVASA) -> OrderedDict[str, Tensor]:
    """Everything the published file's "model" holds, the tables that are computed anew included."""
    tensors = random_state(JoyVasaNetwork(config), 1)
    tensors.update({f"audio_encoder.{key}": value for key, value in tiny_hubert().state_dict().items()})
    length, tables = config.previous + config.window, noise_tables(config.steps)
    tensors["denoising_net.TE.pe"] = sinusoidal_rows(torch.arange(37), config.width)[None]
    tensors["denoising_net.PE.pe"] = sinusoidal_rows(torch.arange(600), config.width)[None]
    tensors["denoising_net.alignment_mask"] = torch.ones(length, length, dtype=torch.bool)
    for name in ("betas", "alphas", "alpha_bars"):
        tensors[f"diffusion_sched.{name}"] = getattr(tables, name)
    tensors["diffusion_sched.sigmas_flex"] = tables.betas.sqrt()
    tensors["diffusion_sched.sigmas_inflex"] = tables.sigmas
    return tensors


def template_arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    made = {name: generator.uniform(-0.02, -0.01, length).astype(np.float32) for name, length in ENTRIES.items()}
    for name in made:
        if name.startswith(("max", "std")):
            made[name] = -made[name]
    made |= {"min_scale": np.float32([1.2]), "max_scale": np.float32([1.4]), "mean_lip": np.float32([0.1])}
    for name in ("pitch", "yaw", "roll"):
        made |= {f"min_{name}": np.float32([-20]), f"max_{name}": np.float32([20])}
    return made


def write_joyvasa(folder: Path, tensors: Any = None, template: Any = None) -> Path:
    """The two published files under their names on the hub, below ``folder``; the model's path."""
    model = folder / "motion_generator" / "motion_generator_hubert_chinese.pt"
    model.parent.mkdir(parents=True, exist_ok=True)
    options = argparse.Namespace(n_layers=6, use_indicator=True, audio_model="hubert_zh", exp_dir=Path("runs") / "a")
    torch.save({"args": options, "model": tensors or joyvasa_tensors(), "iter": 20000}, model)
    entries = folder / "motion_template" / "motion_template.pkl"
    entries.parent.mkdir(exist_ok=True)
    entries.write_bytes(pickle.dumps(template or template_arrays()))
    return model


def ditto_tensors() -> OrderedDict[str, Tensor]:
    tensors = random_state(DittoNetwork(DITTO), 2)
    freqs = 10000 ** (-torch.arange(0, DITTO.width, 2) / DITTO.width)
    layers = [f"seqTransDecoder.stack.{i}." for i in range(DITTO.decoder_layers)]
    tensors.update({f"{place}rotary.freqs": freqs.clone() for place in ("", "cond_encoder.0.", *layers)})
    return tensors


def character() -> dict[str, Any]:
    generator = np.random.default_rng(7)
    shapes = {"scale": (1, 1), "t": (1, 3), "exp": (1, 63), "kp": (1, 63), "pitch": (1, 66), "yaw": (1, 66)}
    frame = {name: generator.uniform(-0.1, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    frame |= {"roll": frame["yaw"] * 0.5, "scale": np.float32([[1.3]])}
    eyes = {"eye_open_lst": np.full((1, 2), 0.6, np.float32), "eye_ball_lst": np.zeros((1, 6), np.float32)}
    return {"x_s_info_lst": [frame], "sc": frame["kp"].reshape(-1), **eyes}


def ditto_run() -> dict[str, Any]:
    """Run-time defaults as in the published configuration."""
    generator = np.random.default_rng(6)
    limits = np.stack([np.full(265, -2), np.full(265, 2), np.zeros(265), np.zeros(265)]).astype(np.float32)
    return {
        "online_mode": False,
        "emo": generator.uniform(0, 0.3, (7, 8)).astype(np.float32),
        "delta_eye_arr": generator.uniform(-0.01, 0.01, (15, 63)).astype(np.float32),
        "v_min_max_for_clip": limits,
        "ch_info": character(),
        "overlap_v2": 10,
        "sampling_timesteps": 4,
        "fix_kp_cond": 1,
        "fix_kp_cond_dim": [0, 202],
        "smo_k_d": 3,
        "use_d_keys": None,
        "relative_d": True,
        "drive_eye": None,
        "delta_eye_open_n": 0,
        "fade_type": "d0",
        "fade_out_keys": ("exp",),
        "overall_ctrl_info": {"delta_pitch": np.float64(2)},
        "crop_scale": 2.3,
    }


#: In place of onnxruntime and Ditto's graph, for machines without either: 20 tokens that follow the sound's loudness.
RUNTIME = """
import numpy as np
def get_available_providers():
    return ["CPUExecutionProvider"]
class Input:
    name = "wave"
class InferenceSession:
    def __init__(self, path, providers):
        self.width = int(open(path).read())
    def get_inputs(self):
        return [Input()]
    def run(self, names, given):
        loud = np.abs(given["wave"][0][: 20 * 320]).reshape(20, 320).mean(1, keepdims=True)
        return [np.sin(40 * loud * np.arange(1, self.width + 1)).astype(np.float32)[None]]
"""


def write_ditto_encoder(folder: Path, runtime: Path, width: int = DITTO.condition - 79) -> None:
    """The audio encoder of :func:`write_ditto`, and in folder ``runtime`` a module onnxruntime that runs it."""
    path = folder / "ditto_pytorch" / "aux_models" / "hubert_streaming_fix_kv.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(width))
    (runtime / "onnxruntime.py").write_text(RUNTIME)


def write_ditto(folder: Path, tensors: Any = None, run: Any = None) -> Path:
    """The published files but for the audio encoder, below ``folder``; the model's path."""
    model = folder / "ditto_pytorch" / "models" / "lmdm_v0.4_hubert.pth"
    model.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model_state_dict": tensors or ditto_tensors()}, model)
    configuration = folder / "ditto_cfg" / "v0.4_hubert_cfg_pytorch.pkl"
    configuration.parent.mkdir(exist_ok=True)
    told = {"base_cfg": {"wav2feat_cfg": {"w2f_cfg": {"model_path": ""}}}, "audio2motion_cfg": {"use_emo": True}}
    configuration.write_bytes(pickle.dumps(told | {"default_kwargs": run or ditto_run()}))
    return model


def talk_words(generator: str, models: Path, picture: Path, speech: Path, output: Path, *more: str) -> list[str]:
    """`playmate talk` with a motion generator of the folder ``models``, on a picture that is a crop already."""
    words = ["talk", str(picture), str(speech), "-o", str(output), "--any-picture", "--crop", "whole"]
    return [*words, "--models", str(models), "--motion-weights", generator, *more]
