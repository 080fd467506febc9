"""Cancel is heard between any two frames of a video that is read, however large they are: on the fakes of ComfyUI."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from node_process import in_subprocess

CANCEL = """
import json, sys, torch, comfy.model_management as mm
import node_session
s = node_session.Session()
pack = {name: sys.modules["custom_pack." + name] for name in ("nodes.media", "nodes.pose_sources", "nodes.motion")}
face = s.run("LoadFaceModel", file="face.safetensors")
Frame = sys.modules["custom_pack.playmate_core.media.video_reader"].Frame
made = []

def video(video, fps):
    def frames():
        for number in range(40):
            made.append(number)
            mm.cancelled = number == video
            yield Frame(torch.rand(64, 64, 3), number / 25)
    return pack["nodes.media"].VideoSource(frames(), 25.0, 40)

told = {}
for name, module in (("PoseFromVideo", "nodes.pose_sources"), ("MotionFromVideo", "nodes.motion")):
    pack[module].video_source = video
    for at in (0, 3, 8, 21):
        made.clear()
        mm.cancelled = False
        said = s.refused(name, face_model=face, video=at, crop="whole")
        told[f"{name} {at}"] = [said.split(":")[0], len(made) - 1 - at]
mm.cancelled = False
print(json.dumps(told))
"""


def test_no_further_frame_is_read_once_cancel_was_pressed(tmp_path: Path, tiny_face: Path) -> None:
    (tmp_path / "models" / "playmate").mkdir(parents=True)
    shutil.copy(tiny_face, tmp_path / "models" / "playmate")
    told = json.loads(in_subprocess(CANCEL, tmp_path).splitlines()[-1])
    assert len(told) == 8
    assert {case: outcome for case, outcome in told.items() if outcome != ["Interrupted", 0]} == {}
