"""On a real server: a dubbed video by Paste Back, and a changed motion of which only the changed part is drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from comfy_graphs import graph, node
from comfy_server import COMFY, PYTHON, ComfyServer

from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (COMFY and PYTHON), reason="COMFYUI_PATH and COMFYUI_PYTHON name no ComfyUI"),
]


def test_crops_pasted_back_are_the_frames_that_are_pasted_at_once(comfy: ComfyServer, tmp_path: Path) -> None:
    prompt = graph("dub_a_video", {"PlaymateRenderToVideo.crf": 0})
    ended = comfy.run(prompt)
    assert ended.status == "success", ended
    whole = np.stack([frame.picture for frame in read_frames(comfy.saved(ended, ".mp4"))])
    drawn = prompt.pop(node(prompt, "PlaymateRenderToVideo"))["inputs"]
    scene = {name: drawn[name] for name in ("face_model", "portrait", "motion")}
    options = {"expression": "auto", "stitching": True, "batch": 8, "max_gb": 8.0}
    prompt["render"] = {"class_type": "PlaymateRender", "inputs": {**scene, **options}}
    back = {
        "portrait": drawn["portrait"],
        "images": ["render", 0],
        "max_gb": 8.0,
        "feather": 1.0,
        "mask_shape": "liveportrait",
    }
    prompt["back"] = {"class_type": "PlaymatePasteBack", "inputs": back}
    prompt["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["back", 0]}}
    ended = comfy.run(prompt)
    assert ended.status == "success", ended
    shown = [image for node_outputs in ended.outputs.values() for image in node_outputs.get("images", [])]
    again = tmp_path / "again.mp4"
    with VideoWriter(again, 25.0, None, VideoOptions(crf=0)) as video:
        for one in shown:
            picture = cv2.imread(str(comfy.base / "temp" / one["filename"]))
            video.write(torch.from_numpy(np.ascontiguousarray(picture[..., ::-1]))[None])
    pasted = np.stack([frame.picture for frame in read_frames(again)]).astype(int)
    assert pasted.shape == whole.shape == (10, 256, 256, 3)
    assert np.abs(pasted - whole).mean() < 0.6, "but for PNG files that ComfyUI rounds down"


def test_only_the_changed_part_of_a_video_is_drawn_again(comfy: ComfyServer) -> None:
    prompt = graph("video_driven")
    drawn = prompt[node(prompt, "PlaymateRenderToVideo")]["inputs"]

    def widgets(name: str) -> dict[str, object]:
        found = comfy.get(f"/object_info/{name}")[name]["input"]["required"]
        return {key: spec[1]["default"] for key, spec in found.items() if "default" in spec[1]}

    def put(key: str, name: str, **more: object) -> None:
        inputs = {**widgets(name), "motion": drawn["motion"], **more}
        prompt[key], drawn["motion"] = {"class_type": name, "inputs": inputs}, [key, 0]

    def parts() -> set[str]:
        return {path.name for path in (comfy.base / "temp" / "playmate_parts").glob("*/*.mp4")} - others

    others: set[str] = set()
    others = parts()
    put("long", "PlaymateRetimeMotion", loops=8)
    ended = comfy.run(prompt)
    assert ended.status == "success", ended
    before = parts()
    assert len(before) == 3, "24 seconds in parts of ten"
    put("smile", "PlaymateExpressionEdit", smile=1.0, when="21 - 23")
    ended = comfy.run(prompt)
    assert ended.status == "success", ended
    assert len(parts()) == 3 and len(parts() & before) == 2
    assert len(list(read_frames(comfy.saved(ended, ".mp4")))) == 600
