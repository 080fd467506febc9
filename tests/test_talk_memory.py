"""What talk holds while it draws does not grow with the speech, but for the motion and the emotion of each frame."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from media_files import save_wav

from playmate_core.diffusion.options import SamplingChanges
from playmate_core.pipelines.models import Weights
from playmate_core.pipelines.talk import TalkRequest, talk
from playmate_core.speech import SAMPLE_RATE

#: Bytes a frame that may stay: motion (70 numbers), emotion (8), their schedule and loudness, float32 or 64.
A_FRAME = 1500


class Drawing(Exception):
    """Stops a job at its first frame."""


def held_tensors() -> int:
    """Bytes of all tensors that are alive."""
    gc.collect()
    found = {}
    for value in gc.get_objects():
        if type(value) in (torch.Tensor, torch.nn.Parameter) and value.layout is torch.strided:
            storage = value.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


@pytest.mark.parametrize("fps", [None, pytest.param(5.0, marks=pytest.mark.slow)])
def test_speech_and_features_are_not_held(
    tmp_path: Path, portrait_picture: Path, tiny_face: Path, tiny_motion: Path, fps: float | None
) -> None:
    """At the first frame: numpy's and PyTorch's memory, where a second of speech takes 64 kB and its features 16 kB."""
    held = []

    def first_frame(stage: str, done: int, total: int) -> None:
        if stage == "render and encode":
            held.append(tracemalloc.get_traced_memory()[0] + held_tensors())
            raise Drawing

    sound = (0.2 * np.sin(np.arange(4 * SAMPLE_RATE) / 20)).astype(np.float32)
    lengths = (4, 4, 34)  # the first loads what is loaded once
    for number, seconds in enumerate(lengths):
        speech = save_wav(tmp_path / f"{number}.wav", np.resize(sound, seconds * SAMPLE_RATE)[None], SAMPLE_RATE)
        request = TalkRequest(
            portrait_picture,
            speech,
            tmp_path / "talk.mp4",
            emotion="none",
            weights=Weights(tiny_face, tiny_motion),
            sampling_changes=SamplingChanges(steps=1),
            crop="whole",
            limits=None,
            fps=fps,
        )
        tracemalloc.start()
        with pytest.raises(Drawing):
            talk(request, first_frame)
        tracemalloc.stop()
    grown, frames = held[2] - held[1], 25 * (lengths[2] - lengths[1])
    assert grown < A_FRAME * frames, f"{grown / frames:.0f} bytes a frame"
