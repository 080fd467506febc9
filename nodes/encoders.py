"""Audio encoders: the core's log-mel, and ComfyUI's own AUDIO_ENCODER behind the core's interface."""

from __future__ import annotations

import os
from typing import Any

import comfy.utils
import folder_paths
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ..playmate_core.errors import UserError
from ..playmate_core.media.audio_files import Recording
from ..playmate_core.progress import Progress
from ..playmate_core.speech import AudioEncoder, make_encoder
from ..playmate_core.speech.encoders import ENCODERS, HiddenStates, Source
from ..playmate_core.speech.waveform import SAMPLE_RATE
from ..playmate_core.values import AudioFeatures
from .files import absent

LOGMEL = "log-mel (built in)"
FOLDER = "audio_encoders"


class ComfyEncoder(HiddenStates):
    """ComfyUI's wav2vec2, loaded and moved by ComfyUI, cut into our chunks and brought to 25 rows a second by us."""

    def __init__(self, encoder: Any) -> None:
        super().__init__("wav2vec2", ENCODERS["wav2vec2"], Source())
        self.encoder = encoder

    def load(self) -> None:
        """ComfyUI has read the weights already."""

    def encode(self, samples: np.ndarray) -> Tensor:
        encoded = self.encoder.encode_audio(torch.from_numpy(samples)[None, None], SAMPLE_RATE)
        states = (encoded.get("encoded_audio_all_layers") or ())[1:]
        got = (len(states), states[-1].shape[-1] if states else 0)
        if got != (self.layers, self.width // 2):
            raise UserError(
                f"This audio encoder has {got[0]} layers of {got[1]} numbers; please give a wav2vec2 base model of"
                f" {self.layers} layers of {self.width // 2} (the large one of Wan S2V and Whisper do not fit)."
            )
        return rearrange(torch.cat(states), "l (t p) d -> t l (p d)", p=2).float().cpu()


def choices() -> list[str]:
    """log-mel, and every file in models/audio_encoders."""
    return [LOGMEL, *folder_paths.get_filename_list(FOLDER)]


def check(choice: str) -> None:
    """Raise UserError where the choice cannot be used."""
    if choice != LOGMEL and folder_paths.get_full_path(FOLDER, choice) is None:
        raise UserError(absent("audio encoder", choice, LOGMEL, FOLDER))


def state(choice: str | None) -> str:
    """Changes when the file behind a choice does; not for a linked one (None)."""
    path = None if choice in (LOGMEL, None) else folder_paths.get_full_path(FOLDER, choice)
    return "" if path is None else f"{os.stat(path).st_mtime_ns} {os.stat(path).st_size}"


def load(choice: str) -> AudioEncoder:
    """The encoder behind a choice."""
    if choice == LOGMEL:
        return make_encoder("logmel")
    from comfy.audio_encoders.audio_encoders import load_audio_encoder_from_sd

    path = folder_paths.get_full_path_or_raise(FOLDER, choice)
    try:
        encoder = load_audio_encoder_from_sd(comfy.utils.load_torch_file(path, safe_load=True))
    except Exception as problem:  # ComfyUI, PyTorch and safetensors each have their own kinds
        raise UserError(f"{choice} is no audio encoder that ComfyUI can load; please choose another.") from problem
    return ComfyEncoder(encoder)


def listen(encoder: Any, sound: Recording, step: Progress) -> AudioFeatures:
    """Encode a recording with our encoder, ComfyUI's, or log-mel for None; ``step`` checks for Cancel."""
    return _listener(encoder).listen(sound.samples, sound.rate, step)


def _listener(encoder: Any) -> AudioEncoder:
    if encoder is None:
        return make_encoder("logmel")
    return ComfyEncoder(encoder) if hasattr(encoder, "encode_audio") else encoder
