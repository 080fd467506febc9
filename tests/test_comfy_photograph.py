"""On a real ComfyUI: the workflow for photographs on full-size networks of LivePortrait, JoyVASA and Ditto, filled.

Set COMFYUI_PATH and COMFYUI_PYTHON as for test_comfy.py, then
``python -m pytest -m slow tests/test_comfy_photograph.py``. Takes minutes and 1.2 GB of disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfy_graphs import node, refusal
from comfy_server import COMFY, PYTHON, ROOT, SHORT, ComfyServer, Prompt
from full_size_models import write_models
from liveportrait_files import kijai

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.video_reader import read_frames
from playmate_core.weights.catalogue import DITTO_CONFIG, DITTO_MODEL, JOYVASA_MODEL, ModelFile

#: Rendered frames: one takes 10 seconds and more on a CPU core, and test_generators_full_size.py renders 50.
FRAMES = 4
#: Seconds into SHORT at which they begin: its first word.
BEGIN = 0.24
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    models, packages = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("packages")
    torch.manual_seed(0)
    kijai(FaceModel(FaceConfig()), models / "liveportrait")
    for name in ("joyvasa", "ditto"):
        write_models(name, models, packages)
    made = ComfyServer(tmp_path_factory.mktemp("comfy"), models)
    made.packages = str(packages)
    with made as running:
        yield running


def photograph(file: ModelFile) -> Prompt:
    """The shipped workflow with a short voice; networks that learned nothing see no face in any picture."""
    prompt: Prompt = json.loads((ROOT / "workflows" / "api" / "talk_on_a_photograph.json").read_text(encoding="utf-8"))
    settings: dict[str, tuple[str, Any]] = {
        "LoadMotionModel": ("file", file.name),
        "CropPortrait": ("crop", "whole"),
        "EncodePortrait": ("require_face", False),
        "EncodeAudio": ("duration", FRAMES / 25),
    }
    for kind, (widget, value) in settings.items():
        prompt[node(prompt, f"Playmate{kind}")]["inputs"][widget] = value
    prompt[node(prompt, "PlaymateEncodeAudio")]["inputs"]["start"] = BEGIN
    prompt[node(prompt, "LoadAudio")]["inputs"]["audio"] = SHORT
    return prompt


@pytest.mark.parametrize("file", [JOYVASA_MODEL, DITTO_MODEL], ids=["joyvasa", "ditto"])
def test_a_photograph_talks(server: ComfyServer, file: ModelFile) -> None:
    begun = server.begin(photograph(file))
    assert isinstance(begun, str), begun
    ended = server.end(begun, 1800)
    assert ended.status == "success", ended
    frames = np.stack([frame.picture for frame in read_frames(server.saved(ended, ".mp4"))]).astype(np.float32)
    assert len(frames) == FRAMES and frames.std() > 1
    assert np.abs(np.diff(frames, axis=0)).mean((1, 2, 3)).max() > 0.05, "it moves"


def test_a_missing_companion_is_named_with_its_address(server: ComfyServer) -> None:
    """Asked for anew, by another setting of the node: what ComfyUI has loaded it does not load again."""
    path: Path = server.base / "models" / DITTO_CONFIG.below_models
    prompt = photograph(DITTO_MODEL)
    prompt[node(prompt, "PlaymateLoadMotionModel")]["inputs"]["conditioned_on"] = "portrait"
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        said = refusal(server.run(prompt), "PlaymateLoadMotionModel")
    finally:
        aside.rename(path)
    assert all(fact in said for fact in (path.name, "31.0 kB", "Apache-2.0", "https://"))
