"""A real ComfyUI saves a transparent portrait in every codec, and pastes back under a mask."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from comfy_graphs import graph, node
from comfy_server import COMFY, PYTHON, ComfyServer, Prompt
from PIL import Image

from playmate_core.media.account import read_account
from playmate_core.media.video_formats import VIDEO_FORMATS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]
CODECS = [row for row in VIDEO_FORMATS if "" not in row.suffixes]


def transparent() -> Prompt:
    """The portrait in a padded picture, whose padding is transparent."""
    prompt = graph("paste_back")
    crop, padded = prompt[node(prompt, "PlaymateCropPortrait")]["inputs"], node(prompt, "ImagePadForOutpaint")
    joined = {"class_type": "JoinImageWithAlpha", "inputs": {"image": [padded, 0], "alpha": [padded, 1]}}
    crop["image"], crop["background"] = ["rgba", 0], "blue"
    return {**prompt, "rgba": joined}


def rendered(codec: str, **more: Any) -> Prompt:
    """The same, rendered to a video, at 50 frames a second, there and back."""
    prompt = transparent()
    drawn = prompt[node(prompt, "PlaymateRender")]["inputs"]
    inputs = {key: drawn[key] for key in ("face_model", "portrait", "motion")}
    padded = node(prompt, "ImagePadForOutpaint")
    shown = {"paste_back": True, "mask": [node(prompt, "InvertMask"), 0], "feather": 2.0, "mask_shape": "ditto"}
    options = {"expression": "auto", "stitching": True, "batch": 2, "crf": 30, "filename_prefix": f"video/{codec}"}
    saved = {"codec": codec, "video_fps": 50.0, "ping_pong": True, "alpha": "auto", "mark": True, **more}
    last = ("PlaymateRender", "PlaymatePasteBack", "CreateVideo", "SaveVideo", "PreviewImage")
    kept = {key: entry for key, entry in prompt.items() if entry["class_type"] not in last}
    assert padded in kept
    save = {"class_type": "PlaymateRenderToVideo", "inputs": {**inputs, **options, **shown, **saved}}
    return {**kept, "save": save}


@pytest.mark.parametrize("row", CODECS, ids=lambda row: row.name)
def test_a_transparent_portrait_is_saved(comfy: ComfyServer, row: Any) -> None:
    ended = comfy.run(rendered(row.name))
    assert ended.status == "success", ended
    path = comfy.saved(ended, row.suffixes[0])
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        kept = "yuva" in stream.codec_context.pix_fmt or stream.metadata.get("alpha_mode") == "1"
        frames = [frame for frame in container.decode(stream)]
    assert stream.average_rate == 50 and kept == bool(row.alpha) and len(frames) == 38
    assert read_account(path).kind and read_account(path).prompt
    if not row.alpha:  # the background of the crop node
        corner = frames[0].to_ndarray(format="rgb24")[8, 8].astype(int)
        assert abs(corner - (0, 0, 255)).max() < 24


def test_paste_back_gives_its_mask(comfy: ComfyServer) -> None:
    prompt = transparent()
    paste = node(prompt, "PlaymatePasteBack")
    prompt[paste]["inputs"] |= {"mask": [node(prompt, "InvertMask"), 0], "feather": 3.0, "mask_shape": "liveportrait"}
    for kind in ("SaveVideo", "CreateVideo"):
        del prompt[node(prompt, kind)]
    prompt["shown"] = {"class_type": "MaskToImage", "inputs": {"mask": [paste, 1]}}
    prompt["look"] = {"class_type": "SaveImage", "inputs": {"images": ["shown", 0], "filename_prefix": "used_mask"}}
    ended = comfy.run(prompt)
    assert ended.status == "success", ended
    (saved,) = ended.outputs["look"]["images"]
    used = np.asarray(Image.open(comfy.base / "output" / saved["filename"]))[..., 0]
    padding = np.concatenate([used[:, :380], used[:, -380:]], 1)
    assert used.shape == (640, 1280) and used.max() == 255 and not padding.any()


def test_alpha_that_cannot_be_kept_is_a_sentence(comfy: ComfyServer) -> None:
    ended = comfy.run(rendered("hevc", alpha="keep"))
    assert ended.status == "error" and "hevc holds no transparency" in str(ended)
