"""Expression Edit draws one frame again for other slider values, without running the graph."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
from node_process import in_subprocess, install_models

SCRIPT = """
import json, time, node_session, comfy_execution.utils as execution
from importlib import import_module
s = node_session.Session()
live = import_module("custom_pack.nodes.live_edit")
picture, speech, video = s.run("DemoMedia", seconds=0.4)
face, models = s.run("LoadFaceModel"), s.run("LoadMotionModel")
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop)
motion = s.run("LoadMotion")
described = s.nodes["ExpressionEdit"].define_schema().described()["input"]["required"]
values = {name: spec[1]["default"] for name, spec in described.items() if "default" in spec[1]}
said = {}
def refused(node, **more):
    try:
        return live.LIVE.redraw(node, {**values, **more})
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
said["before"] = refused("7")
execution.running = execution.ExecutionContext("a prompt", "7")
s.run("ExpressionEdit", motion=motion, portrait=portrait, face_model=face)
live.LIVE.redraw("7", values)
began = time.perf_counter()
plain = live.LIVE.redraw("7", values)
spent = time.perf_counter() - began
smiling = live.LIVE.redraw("7", {**values, "aaa": 90.0, "when": "1 - 2"})
images, _ = s.run("Render", face_model=face, portrait=portrait, motion=motion[5:6])  # where the fade has ended
said |= {"range": refused("7", smile=9.0), "when": refused("7", when="soon"), "word": refused("7", smile="much")}
for node in "abcd":
    execution.running = execution.ExecutionContext("a prompt", node)
    s.run("ExpressionEdit", motion=motion, portrait=portrait, face_model=face)
said["forgotten"] = refused("7")
print(json.dumps([plain, smiling, (images[0] * 255).round().int().tolist(), spent, said]))
"""


def test_a_slider_redraws_the_frame_that_shows_it(tmp_path: Path, tiny_face: Path) -> None:
    install_models(tmp_path, tiny_face)
    plain, open_mouth, rendered, spent, said = json.loads(in_subprocess(SCRIPT, tmp_path).splitlines()[-1])
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(one.split(",")[1]), np.uint8), 1) for one in (plain, open_mouth)
    ]
    first = np.array(rendered)[..., ::-1]
    assert np.abs(pictures[0] - first.astype(float)).mean() < 3, "the frame that Render draws, but for the JPEG"
    assert np.abs(pictures[1].astype(float) - pictures[0]).max() > 60
    assert spent < 3.0, f"{spent:.2f} s"
    assert "Run the graph once" in said["before"] and "Run the graph once" in said["forgotten"]
    assert "-0.5 to 1.3" in said["range"] and "please write" in said["when"] and "reload the page" in said["word"]
    assert all(answer.startswith("UserError") for answer in said.values())
