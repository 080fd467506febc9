"""Nodes that save a video in every codec, keep transparency, and paste back under an artist's mask."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from node_process import in_subprocess, install_models

from playmate_core.media.video_formats import VIDEO_FORMATS

CODECS = [row for row in VIDEO_FORMATS if "" not in row.suffixes]

SCRIPT = """
import json, av, numpy as np, torch, node_session
from importlib import import_module
s = node_session.Session()
CODECS = import_module("custom_pack.nodes.encoding").CODECS
face = s.run("LoadFaceModel", file="face.safetensors")
models = s.run("LoadMotionModel", file="motion.safetensors", emotion="none")
noise = torch.Generator().manual_seed(0)
alpha = torch.zeros(96, 96); alpha[20:80, 10:90] = 1
picture = torch.cat([torch.rand(96, 96, 3, generator=noise), alpha[..., None]], 2)[None]
speech = {"waveform": torch.rand(1, 1, 6400, generator=noise) - 0.5, "sample_rate": 16000}
crop, shown = s.run("CropPortrait", image=picture, crop="whole", background="#00ff00")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
talk = lambda **more: s.run("Talk", image=picture, audio=speech, face_model=face, motion_model=models, paste_back=True,
                            require_face=False, emotion="none", **more)[0].file
render = lambda **more: s.run("RenderToVideo", face_model=face, portrait=portrait, motion=motion, audio=speech, **more)
motion = s.run("Talk", image=picture, audio=speech, face_model=face, motion_model=models, require_face=False)[1]

def facts(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        kept = "yuva" in stream.codec_context.pix_fmt or stream.metadata.get("alpha_mode") == "1"
        frames = sum(1 for _ in container.decode(stream))
        return [path[path.rindex("."):], stream.codec_context.name, frames, round(float(stream.average_rate)), kept,
                len(container.streams.audio)]

said = {"talk": {}, "render": {}, "refused": {}}
for codec in CODECS:
    said["talk"][codec] = facts(talk(codec=codec, video_fps=50.0))
    said["render"][codec] = facts(render(codec=codec, ping_pong=True, paste_back=True).file)
pair = {"face_model": face, "portrait_1": portrait, "portrait_2": portrait, "motion_1": motion, "motion_2": motion}
faces = lambda **more: s.run("RenderFacesToVideo", audio=speech, **pair, **more).file
said["faces"] = {codec: facts(faces(codec=codec, ping_pong=True, arrange="row")) for codec in CODECS}
said["faces at 50"] = facts(faces(codec="prores", video_fps=50.0))
said["refused"]["faces"] = s.refused("RenderFacesToVideo", codec="h264", alpha="keep", **pair)
mask = torch.zeros(1, 96, 96); mask[:, 40:60, 30:70] = 1
near = torch.nn.functional.max_pool2d(mask, 5, 1, 2)  # the crop is coarser than the picture
images, _ = s.run("Render", face_model=face, portrait=portrait, motion=motion[:2])
for name, more in {"plain": {}, "masked": {"mask": mask}, "hard": {"mask": mask, "feather": 0.0},
                   "ditto": {"mask_shape": "ditto"}}.items():
    whole, used = s.run("PasteBack", portrait=portrait, images=images, **more)
    base = portrait.image[None]
    changed = (whole - base).abs().amax((0, 3)) > 2 / 255
    said[name] = [list(used.shape), float(used.sum()), bool((used[0][changed] > 0).all()), float(used.max()),
                  bool((used <= near).all())]
said["shown"] = shown[0, 40, 256].tolist()
said["motion"] = [len(motion), motion.fps]
refuse = lambda name, **more: s.refused(name, **more)
wired = {"portrait": portrait, "images": images, "max_gb": 1.0}
for name, bad in {"small": mask[:, :90], "two": mask.expand(2, -1, -1), "black": mask * 0}.items():
    said["refused"][name] = refuse("PasteBack", mask=bad, **wired)
drawn = {"face_model": face, "portrait": portrait, "motion": motion}
said["refused"]["alpha"] = refuse("RenderToVideo", codec="h264", alpha="keep", **drawn)
said["refused"]["gif"] = refuse("RenderToVideo", codec="gif", video_fps=60.0, **drawn)
said["refused"]["colour"] = refuse("CropPortrait", image=picture, background="no such")
video = torch.rand(3, 48, 64, 3, generator=noise)
seen = {"face_model": face, "video": video, "portrait": portrait, "crop": "whole"}
far = lambda a, b: float((a.expression - b.expression).abs().max())
plain, animal = s.run("MotionFromVideo", **seen), s.run("MotionFromVideo", mode="animal", **seen)
said["animal"] = far(plain, animal)
said["refused"]["memory"] = refuse("MotionFromVideo", retarget_lips=True, **seen)
said["refused"]["nobody"] = refuse("MotionFromVideo", close_lips=True, face_model=face, video=video, crop="whole")
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, tiny_face: Path, tiny_motion: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("comfy")
    install_models(folder, tiny_face, tiny_motion)
    found: dict[str, Any] = json.loads(in_subprocess(SCRIPT, folder).splitlines()[-1])
    return found


@pytest.mark.parametrize("row", CODECS, ids=lambda row: row.name)
def test_a_codec_is_what_is_saved(said: dict[str, Any], row: Any) -> None:
    """Talk at twice the rate; Render To Video there and back. Transparency is kept where it can be."""
    decoder = {"prores": "prores", "vp9": "vp9"}.get(row.name, row.name)
    frames = said["motion"][0]
    assert said["motion"] == [10, 25.0]
    fps, alpha, sound = 50, bool(row.alpha), int(bool(row.sound))
    suffix, name, count, rate, kept, sounds = said["talk"][row.name]
    assert (suffix, name, rate, kept, sounds) == (row.suffixes[0], decoder, fps, alpha, sound)
    assert count in (2 * frames - 1, 2 * frames)
    assert said["render"][row.name] == [suffix, name, 2 * frames - 2, 25, alpha, sound]


@pytest.mark.parametrize("row", CODECS, ids=lambda row: row.name)
def test_several_faces_are_saved_as_one_is(said: dict[str, Any], row: Any) -> None:
    rendered = said["render"][row.name]
    assert said["faces"][row.name] == rendered


def test_several_faces_take_a_rate(said: dict[str, Any]) -> None:
    assert said["faces at 50"] == [".mov", "prores", 20, 50, True, 1]
    assert "h264 holds no transparency" in said["refused"]["faces"]


def test_paste_back_shows_under_the_mask_only(said: dict[str, Any]) -> None:
    sums = {}
    for name in ("plain", "masked", "hard", "ditto"):
        shape, sums[name], inside, most, under = said[name]
        assert shape == [1, 96, 96] and inside and most == 1.0 and under == (name in ("masked", "hard")), name
    assert 0 < sums["masked"] < sums["hard"] < 1.1 * 20 * 40 < sums["ditto"] < sums["plain"]


def test_a_background_shows_through(said: dict[str, Any]) -> None:
    assert said["shown"] == pytest.approx([0, 1, 0]) and said["animal"] > 0.0


def test_what_cannot_be_is_a_sentence(said: dict[str, Any]) -> None:
    refused = said["refused"]
    assert "96 x 90, and the portrait's picture is 96 x 96" in refused["small"] and "holds 2 of" in refused["two"]
    assert "black all over" in refused["black"] and "h264 holds no transparency" in refused["alpha"]
    assert "at most 50 frames a second" in refused["gif"] and "is no colour" in refused["colour"]
    assert "cannot retarget" in refused["memory"] or "Retargeting needs a video file" in refused["memory"]
    assert "connect one to Motion From Video" in refused["nobody"]
