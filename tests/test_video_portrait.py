"""A video as the portrait in the nodes: dubbing, a face, reenactment, by every fit, as the command line does it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from child_process import needs_proc, peak_memory
from driven_videos import PLAIN, pictures, scene, video  # noqa: F401
from node_process import in_subprocess, install_models

from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.media.images import from_bytes
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.over_video import OverVideo, motion_over_video, over_video_job
from playmate_core.rendering.footage import HeldPictures, VideoFile
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.video_order import VIDEO_FITS
from playmate_core.rendering.video_portrait import VideoPortrait, paste_into_video, read_video_portrait
from playmate_core.rendering.write_video import Composition, portrait_job
from playmate_core.values import Motion
from playmate_core.weights.files import load_face


@pytest.fixture(scope="module")
def face(tiny_face: Path) -> FaceModel:
    return load_face(tiny_face)


@pytest.fixture(scope="module")
def portrait(face: FaceModel, video: Path) -> VideoPortrait:  # noqa: F811
    return read_video_portrait(face, VideoFile(video), PLAIN)


def spoken(own: Motion, frames: int) -> Motion:
    """Another motion in the same keypoints, at 25 a second."""
    noise = torch.Generator().manual_seed(2)
    pose = own.pose[torch.arange(frames) % len(own)]
    pose = replace(pose, rotation=pose.rotation + torch.randn(frames, 3, generator=noise), fps=25.0)
    return Motion(pose, 0.05 * torch.randn(frames, 21, 3, generator=noise), own.keypoint_space)


@pytest.mark.parametrize("over", ["lips", "face", "all"])
@pytest.mark.parametrize("fit", VIDEO_FITS)
def test_the_portrait_of_a_video_is_drawn_as_the_command_line_draws_it(
    face: FaceModel, portrait: VideoPortrait, over: str, fit: str
) -> None:
    voice, portrait = spoken(portrait.video.motion, 15), replace(portrait, fit=fit)
    how = OverVideo(over, fit)
    source, mixed = motion_over_video(portrait.video, voice, how)
    wanted = torch.cat(list(over_video_job(face, source, mixed, 2).pictures()))
    job = portrait_job(face, portrait, mixed, RenderOptions(batch=2), Composition(True))
    drawn = torch.cat(list(job.pictures()))
    assert job.fps == 30.0 and len(drawn) == (10 if fit == "cut" else 18)
    assert torch.equal(drawn, wanted)
    crops = list(portrait_job(face, portrait, mixed, RenderOptions(batch=2), Composition()).pictures())
    assert crops[0].shape[1:] == (64, 64, 3)
    pasted = torch.cat(list(paste_into_video(portrait, crops, len(mixed))))
    assert torch.equal(pasted, wanted), "crops pasted later are the frames that are pasted at once"


def test_crops_cannot_be_pasted_beyond_the_end_of_a_video_that_is_cut(portrait: VideoPortrait) -> None:
    with pytest.raises(UserError, match="There are 12 faces and the video has 10 frames"):
        next(paste_into_video(replace(portrait, fit="cut"), [], 12))
    with pytest.raises(UserError, match="hold, bounce, loop, cut"):
        replace(portrait, fit="stretch")


def test_pictures_in_memory_are_read_as_a_file_is(face: FaceModel, video: Path, portrait: VideoPortrait) -> None:  # noqa: F811
    held = HeldPictures.of(from_bytes(np.stack(pictures(video))), 30.0)
    assert np.array_equal(held.pictures.numpy(), np.stack(pictures(video)))
    other = read_video_portrait(face, held, PLAIN)
    assert torch.equal(other.video.motion.expression, portrait.video.motion.expression)
    voice = spoken(portrait.video.motion, 9)
    both = [portrait_job(face, one, voice, RenderOptions(batch=2), Composition(True)) for one in (portrait, other)]
    first, second = (torch.cat(list(job.pictures())) for job in both)
    assert torch.equal(first, second)
    assert both[0].fingerprint() != both[1].fingerprint()
    darker = replace(other, video=replace(other.video, footage=replace(held, pictures=held.pictures // 2)))
    job = portrait_job(face, darker, voice, RenderOptions(batch=2), Composition(True))
    assert job.fingerprint() != both[1].fingerprint(), "another picture in the frames is another video"
    with pytest.raises(UserError, match="no frame"):
        HeldPictures(torch.zeros(0, 8, 8, 3, dtype=torch.uint8), 25.0)


GRAPH = """
import json, torch, cv2, numpy as np, node_session
from importlib import import_module
s = node_session.Session()
latest = import_module("comfy_api.latest")
read = import_module("custom_pack.playmate_core.media.video_reader").read_frames
def frames_of(made):
    return [frame.picture for frame in read(made.get_stream_source())]
picture, voice, _ = s.run("DemoMedia", seconds=1.0)
face, models = s.run("LoadFaceModel", file="face.safetensors"), s.run("LoadMotionModel")
film = latest.InputImpl.VideoFromFile("film.mp4")
whole = {"crop": "whole", "require_face": False}
portrait, own = s.run("EncodeVideoPortrait", face_model=face, video=film, **whole)
heard, sound, _ = s.run("EncodeAudio", audio=voice)
motion = s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=2)
dubbed = s.run("MotionOverVideo", portrait=portrait, motion=motion)
lips = [6, 12, 14, 17, 19, 20]
others = [n for n in range(21) if n not in lips]
order = [min(n % 18, 18 - n % 18) for n in range(len(dubbed))]
kept = torch.equal(dubbed.expression[:, others], own.expression[order][:, others])
head = torch.equal(dubbed.pose.rotation, own.pose.rotation[order])
static = s.run("PoseStatic", portrait=portrait)
turned = s.run("ApplyPose", motion=dubbed, pose=static)
scene = {"face_model": face, "portrait": portrait}
images, rate = s.run("Render", **scene, motion=dubbed)
pasted, _ = s.run("PasteBack", portrait=portrait, images=images)
saved = frames_of(s.run("RenderToVideo", **scene, motion=dubbed, audio=sound, paste_back=True))
batch = torch.from_numpy(np.stack([frame.picture for frame in read("film.mp4")]).astype(np.float32) / 255)
held, _ = s.run("EncodeVideoPortrait", face_model=face, video=batch, fps=30.0, fit="cut", **whole)
cut = s.run("MotionOverVideo", portrait=held, motion=motion, over="all")
crop, _ = s.run("CropPortrait", image=batch[:1], crop="whole")
still = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
acted = s.run("MotionFromVideo", face_model=face, video=film, portrait=portrait, crop="whole")
print(json.dumps({
    "frames": [len(motion), len(dubbed), len(pasted), len(saved), len(cut)], "rates": [dubbed.fps, rate, cut.fps],
    "kept": kept, "head": head, "still": float(turned.pose.rotation.std(0).max()),
    "crops": list(images.shape[1:]), "whole": list(pasted.shape[1:]), "saved": list(saved[0].shape),
    "lips": float((dubbed.expression - own.expression[order])[:, lips].abs().max()),
    "acted": [len(acted), len(s.run("MotionOverVideo", portrait=portrait, motion=acted, over="all"))],
    "picture": s.refused("MotionOverVideo", portrait=still, motion=motion),
    "rate": s.refused("EncodeVideoPortrait", face_model=face, video=film, fps=50.0, **whole),
}))
"""


def test_a_video_is_dubbed_in_the_nodes(tmp_path: Path, tiny_face: Path, video: Path) -> None:  # noqa: F811
    install_models(tmp_path, tiny_face)
    (tmp_path / "film.mp4").write_bytes(video.read_bytes())
    got: dict[str, Any] = json.loads(in_subprocess(GRAPH, tmp_path).splitlines()[-1])
    assert got["frames"] == [25, 30, 30, 30, 10] and got["rates"] == [30.0, 30.0, 30.0]
    assert got["kept"] and got["head"] and got["lips"] > 1e-3, "lips of the voice, every bit of the rest of the video"
    assert got["still"] < 1e-4, "Apply Pose turns the head of the video"
    assert got["crops"] == [64, 64, 3] and got["whole"] == got["saved"] == [96, 96, 3]
    assert got["acted"] == [10, 10]
    assert "single picture" in got["picture"] and "30 frames a second" in got["rate"]
    assert len(list((tmp_path / "temp" / "playmate_parts").glob("*/*.mp4"))) == 1, "kept for the next render"


DUB = """
import torch
from pathlib import Path
from driven_videos import PLAIN
from playmate_core.rendering.footage import VideoFile
from playmate_core.rendering.render import RenderOptions
from playmate_core.rendering.segments import VideoOutput, write_video
from playmate_core.rendering.video_portrait import read_video_portrait
from playmate_core.rendering.write_video import Composition, portrait_job
from playmate_core.weights.files import load_face
torch.set_num_threads(1)
face = load_face(Path(sys.argv[1]))
portrait = read_video_portrait(face, VideoFile(Path(sys.argv[2])), PLAIN)
job = portrait_job(face, portrait, portrait.video.motion, RenderOptions(batch=2), Composition(True))
assert write_video(job, VideoOutput(Path(sys.argv[3]), parts=Path(sys.argv[3] + ".parts"))) == int(sys.argv[4])
"""


@needs_proc
@pytest.mark.slow
def test_a_long_video_takes_no_more_memory_than_a_short_one(tmp_path: Path, tiny_face: Path) -> None:
    peaks = []
    for frames in (150, 600):
        film = tmp_path / f"{frames}.mp4"
        with VideoWriter(film, 25.0, None) as writer:
            for i in range(frames):
                writer.write(torch.from_numpy(scene(i % 5, 240, 320))[None])
        peaks.append(peak_memory(DUB, [tiny_face, film, tmp_path / f"out{frames}.mp4", frames]))
    assert peaks[1] < 1.1 * peaks[0] < 1.1 * 2**21, "600 frames of 320 x 240 are 138 MB"
