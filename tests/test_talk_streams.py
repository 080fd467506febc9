"""Talk draws while it samples: its first frame comes after the first window, its motion is that of Sample Motion."""

from __future__ import annotations

import json
from pathlib import Path

from node_process import in_subprocess, install_models

EVENTS = """
import json, torch, node_session
from importlib import import_module
s = node_session.Session()
chain = import_module("custom_pack.playmate_core.diffusion.window_chain")
source = import_module("custom_pack.playmate_core.rendering.source_image")
bar = import_module("custom_pack.nodes.runtime").Bar
source.within = lambda *given: True  # that of an unknown face is measured on its whole motion
events, sample, show = [], chain.sample_windows, bar.show
def sampled(*given, **named):
    events.append("window")
    return sample(*given, **named)
def shown(self, picture):
    events.append("frame")
    show(self, picture)
picture, voice, _ = s.run("DemoMedia", seconds=4.0)
voice["waveform"] = voice["waveform"].repeat(1, 1, 2)
face, models = s.run("LoadFaceModel", file="face.safetensors"), s.run("LoadMotionModel")
chain.sample_windows, bar.show = sampled, shown
given = dict(image=picture, audio=voice, face_model=face, motion_model=models)
_, motion = s.run("Talk", emotion="none", require_face=False, **given)
chain.sample_windows = sample
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, _, _ = s.run("EncodeAudio", audio=voice, motion_model=models)
none = s.run("Emotion", emotion="none")
other = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, emotion=none)
same = torch.equal(motion.expression, other.expression) and torch.equal(motion.pose.rotation, other.pose.rotation)
print(json.dumps({"events": events, "same": same}))
"""


def test_talk_draws_while_it_samples(tmp_path: Path, tiny_face: Path) -> None:
    install_models(tmp_path, tiny_face)
    seen = json.loads(in_subprocess(EVENTS, tmp_path).splitlines()[-1])
    events = seen["events"]
    assert events.count("window") >= 3
    assert events[:2] == ["window", "frame"], events
    assert seen["same"], "sampling while drawing changes nothing"
