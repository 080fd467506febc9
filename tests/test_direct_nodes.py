"""The directing nodes without ComfyUI: zero settings change nothing, and each does in a graph what its name says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from node_process import in_subprocess, install_models

from playmate_core.values import LIDS

TIMES = (0.2, "0.2", "0:00.2", "10f")
GRAPH = (
    f"TIMES = {TIMES}"
    + """
import json, torch, node_session
from dataclasses import replace
s = node_session.Session()
picture, speech, video = s.run("DemoMedia", seconds=2.0)
face, models = s.run("LoadFaceModel", file="face.safetensors"), s.run("LoadMotionModel")
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop, require_face=False)
heard, sound, _ = s.run("EncodeAudio", audio=speech)
sample = lambda **more: s.run("SampleMotion", motion_model=models, portrait=portrait, speech=heard, steps=2, **more)
motion, other = sample(), sample(seed=7)
def same(a, b):
    pairs = [(a.expression, b.expression)]
    pairs += [(getattr(a.pose, part), getattr(b.pose, part)) for part in ("rotation", "translation", "scale")]
    return all(torch.equal(x, y) for x, y in pairs)
again = {"motion_model": models, "portrait": portrait, "speech": heard, "motion": motion, "steps": 2}
zero = {
    "ExpressionEdit": s.run("ExpressionEdit", motion=motion),
    "Gaze": s.run("Gaze", motion=motion, mode="free"),
    "Blinks": s.run("Blinks", motion=motion, mode="keep"),
    "Lips": s.run("Lips", motion=motion, speech=heard),
    "PoseLimits": s.run("PoseLimits", motion=motion, pitch=90.0, yaw=90.0, roll=90.0, knee=1.0),
    "RegionMix": s.run("RegionMix", first=motion, second=other),
    "RetimeMotion": s.run("RetimeMotion", motion=motion),
    "SmoothMotion": s.run("SmoothMotion", motion=motion, brows=0.0, rest=0.0, head=0.0),
    "ExportMotion": s.run("ExportMotion", motion=motion),
    "ResampleMotion": s.run("ResampleMotion", strength=0.0, **again),
}
resampled = s.run("ResampleMotion", when="0.4 - 0.8, 1.2 -", strength=1.0, seed=5, **again)
varied = s.run("ResampleMotion", strength=0.3, seed=5, part="pose", **again)
smile = s.run("ExpressionEdit", motion=motion, smile=1.0, when="1 - ", fade_in=0.0)
report, plot = s.run("MotionReport", motion=motion, speech=heard)
doctored, said = s.run("SourceDoctor", face_model=face, portrait=portrait, crop=crop)
takes = s.run("Takes", motion_model=models, portrait=portrait, speech=heard, count=2, seed=3)
moods = s.run("Takes", motion_model=models, portrait=portrait, speech=heard, vary="emotions")
picked, name = s.run("PickTake", takes=takes, number=2)
text, largest = s.run("CompareMotions", first=motion, second=other)
_, none = s.run("CompareMotions", first=picked, second=s.run("Takes", motion_model=models, portrait=portrait,
                speech=heard, count=1, seed=4).takes[0].motion)
sheet = s.run("ContactSheet", face_model=face, portrait=portrait, takes=takes, columns=2, tile=64)
quick = s.run("RetimeMotion", motion=motion, fps=50.0)
nods = s.run("PoseProcedural", move="nod_on_stresses", speech=heard, portrait=portrait)
class Curve:
    def interp(self, x):
        return x
class Broken:
    def interp(self, x):
        return float("nan") if x > 0.9 else x
nods_at_50 = s.run("PoseProcedural", move="nod_on_stresses", speech=heard, pose=quick.pose)
level = s.run("PoseProcedural", move="nod_on_stresses", amount=0.0, speech=heard, pose=quick.pose)
nods_at_25 = s.run("PoseProcedural", move="nod_on_stresses", speech=heard, pose=motion.pose)
still_at_50 = s.run("PoseProcedural", move="nod_on_stresses", speech=heard, pose=quick.pose[:1])
at_50 = {"silence": s.run("Lips", motion=quick, speech=heard, silence=1.0),
         "listens": s.run("Listener", motion=quick, speech=heard, other=heard)}
reported, _ = s.run("MotionReport", motion=quick, speech=heard)
turned = s.run("PoseFromCurves", seconds=2.0, degrees=10.0, yaw=Curve())
guided = {
    "constant": sample(cfg_audio=2.0, cfg_audio_keys="0:2, 1:2"),
    "curve": sample(cfg_audio_curve=Curve()), "keys": sample(cfg_audio_keys="0:0, 0:02.0:1.5"),
    "emotion": sample(emotion=s.run("Emotion"), cfg_emotion_curve=Curve()),
}
plain = {"constant": sample(cfg_audio=2.0), "emotion": sample(emotion=s.run("Emotion"))}
eyes = [sample(eye_movement=share) for share in (0.0, 0.5, 1.0)]
eyes_moved = [(moved.expression - eyes[0].expression).abs().amax((0, 2)).tolist() for moved in eyes]
halved = ((eyes[2].expression - eyes[0].expression) / 2 - (eyes[1].expression - eyes[0].expression)).abs().amax((1, 2))
joined = s.run("JoinMotions", first=motion, second=other, fade=0.2)
written = {
    "ExpressionEdit": [s.run("ExpressionEdit", motion=quick, smile=1.0, when="0.2-1", fade_in=at) for at in TIMES],
    "Gaze": [s.run("Gaze", motion=quick, fade=at, when="0.2-1.4") for at in TIMES],
    "Lips": [s.run("Lips", motion=quick, end=at) for at in TIMES],
    "JoinMotions": [s.run("JoinMotions", first=quick, second=other, fade=at) for at in TIMES],
    "ApplyPose": [s.run("ApplyPose", motion=quick, pose=other.pose, fade=at) for at in TIMES],
}
cut = [len(s.run("EncodeAudio", audio=speech, start=at, duration=length)[0])
       for at, length in ((0.2, 1.0), ("0:00.2", "0:01"), ("5f", "25f"))]
s.run("SaveMotion", motion=motion)
back = s.run("LoadMotion", file="motion/Playmate_00002_.safetensors [output]")
table = s.run("LoadMotion", file="motion/Playmate_00001_.csv [output]")
s.run("ExportMotion", motion=motion, format="arkit")
s.run("ExportMotion", motion=motion, format="arkit-json")
acted = [s.run("LoadMotion", file=f"motion/Playmate_0000{one} [output]", portrait=portrait)
         for one in ("3_.csv", "4_.json")]
def found(jaw):
    shapes = {"_neutral": 0.0, "jawOpen": jaw, "eyeBlinkLeft": jaw, "eyeBlinkRight": jaw, "browInnerUp": 0.0,
              "mouthPucker": 0.0, "mouthClose": 0.0, "mouthFunnel": 0.0, "cheekPuff": 0.0}
    return {"blendshapes": shapes, "transformation_matrix": torch.eye(4).numpy()}
seen = {"frames": [[], [found(0.0)], [], [found(0.8), found(0.1)]], "image_size": (64, 64), "connection_sets": {}}
mimed = s.run("MotionFromLandmarks", landmarks=seen, portrait=portrait, fps=30.0)
mouth = [float((mimed.expression - portrait.rest.expression)[at, 19, 1]) for at in range(4)]
happy = s.run("Emotion")
loud = s.run("EmotionOverTime", emotion=happy, speech=heard)
drawn = s.run("EmotionOverTime", emotion=happy, curve=Curve(), low=0.0, seconds=2.0).curve(50)
tagged = s.run("EmotionFromSubtitles")
refused = {
    "doctor": s.refused("SourceDoctor", face_model=face, portrait=portrait, strict=True),
    "sheet": s.refused("ContactSheet", face_model=face, portrait=portrait),
    "pick": s.refused("PickTake", takes=takes, number=9),
    "when": s.refused("ExpressionEdit", motion=motion, when="soon"),
    "nods": s.refused("PoseProcedural", move="nod_on_stresses"),
    "follow": s.refused("EmotionOverTime", emotion=happy),
    "resample": s.refused("ResampleMotion", **{**again, "motion": motion[:40]}),
    "fade": s.refused("JoinMotions", first=motion, second=other, fade="a while"),
    "long fade": s.refused("JoinMotions", first=motion, second=other, fade="1:01"),
    "late": s.refused("ResampleMotion", when="9 - 10", **again),
    "keep": s.refused("RetimeMotion", motion=motion, keep="0-1, 1-2"),
    "guidance": s.refused("SampleMotion", motion_model=models, portrait=portrait, speech=heard, cfg_audio_keys="0:99"),
    "twice": s.refused("SampleMotion", motion_model=models, portrait=portrait, speech=heard, cfg_audio_keys="0:1",
                       cfg_audio_curve=Curve()),
    "curve": s.refused("PoseFromCurves", yaw=Broken()),
    "grown": s.refused("EmotionOverTime", emotion=happy, curve=Broken()),
    "shapes": s.refused("LoadMotion", file="motion/Playmate_00003_.csv [output]"),
    "landmarks": s.refused("MotionFromLandmarks", landmarks={"frames": [[{}]]}, portrait=portrait),
    "nobody": s.refused("MotionFromLandmarks", landmarks=seen, portrait=portrait, face=3),
}
print(json.dumps({
    "written": {name: [same(one, others[0]) for one in others] for name, others in written.items()}, "cut": cut,
    "zero": {key: same(motion, found) for key, found in zero.items()},
    "smiled": [
        float((smile.expression - motion.expression)[part].abs().max()) for part in (slice(0, 25), slice(25, 50))],
    "report": report, "plot": list(plot.shape), "said": said, "doctored": doctored is portrait,
    "names": [take.name for take in (*takes.takes, *moods.takes)], "picked": name, "differ": largest, "none": none,
    "compared": text, "sheet": list(sheet.shape), "nods": len(nods), "frames": len(heard),
    "turned": turned.rotation[[0, -1], 1].tolist(), "joined": len(joined), "table": same(motion, table),
    "origin": dict(motion.origin), "kept": back.origin == motion.origin == smile.origin,
    "loud": float(loud.curve(50).intensity.std()), "drawn": [float(drawn.intensity[0]), float(drawn.intensity[-1])],
    "resampled": [
        same(motion[part], resampled[part]) for part in (slice(0, 10), slice(10, 20), slice(20, 30), slice(30, 50))],
    "varied": [torch.equal(varied.expression, motion.expression), same(varied, motion)],
    "guided": [same(guided["constant"], plain["constant"]), same(guided["keys"], motion),
               same(guided["emotion"], plain["emotion"]),
               float((guided["keys"].expression - guided["curve"].expression).abs().max())],
    "nods at 50": [(nods_at_50.rotation[::2, 0] - motion.pose.rotation[:, 0]).tolist(),
                   (nods_at_25.rotation[:, 0] - motion.pose.rotation[:, 0]).tolist()],
    "at 50": [same(quick, moved) for moved in at_50.values()], "reported": reported, "still at 50": len(still_at_50),
    "level": torch.equal(level.rotation, quick.pose.rotation),
    "eyes": eyes_moved, "eyes pose": [all(torch.equal(getattr(moved.pose, part), getattr(eyes[0].pose, part))
        for part in ("rotation", "translation", "scale")) for moved in eyes], "eyes usual": same(eyes[2], motion),
    "eyes halved": int((halved < 1e-6).sum()),
    "acted": [[len(one), one.fps, one.keypoint_space] for one in acted], "mouth": mouth, "mimed": mimed.fps,
    "together": float((acted[0].expression - acted[1].expression).abs().max()),
    "moves": float((acted[0].expression - acted[0].expression[:1]).abs().max()),
    "tagged": [key.name for key in tagged.layers[0][1]], "refused": refused,
}))
"""
)


@pytest.fixture(scope="module")
def got(tmp_path_factory: pytest.TempPathFactory, tiny_face: Path) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("comfy")
    install_models(folder, tiny_face)
    return json.loads(in_subprocess(GRAPH, folder).splitlines()[-1])


def test_settings_that_ask_for_nothing_return_the_motion_bit_for_bit(got: dict[str, Any]) -> None:
    assert len(got["zero"]) == 10 and all(got["zero"].values()), got["zero"]


def test_a_time_may_be_a_number_seconds_minutes_or_frames_of_the_motion(got: dict[str, Any]) -> None:
    """The number is what a workflow saved before, and what another node sends; frames are those of a motion at 50."""
    assert len(got["written"]) == 5 and all(all(same) for same in got["written"].values()), got["written"]
    assert got["cut"] == [25, 25, 25]


def test_an_edit_acts_in_its_range(got: dict[str, Any]) -> None:
    assert got["smiled"][0] == 0.0 and got["smiled"][1] > 0.01


def test_ranges_are_sampled_again_and_a_part_alone(got: dict[str, Any]) -> None:
    assert got["resampled"] == [True, False, True, False]
    assert got["varied"] == [True, False], "the pose alone"


def test_looking_says_and_shows(got: dict[str, Any]) -> None:
    assert "lips follow the voice" in got["report"] and got["plot"] == [1, 720, 1200, 3]
    assert got["doctored"] and "the head can turn from here" in got["said"]
    assert got["sheet"] == [1, 2 * (64 + 24), 128, 3]
    assert "lips: largest" in got["compared"] and got["differ"] > 0


def test_a_take_is_what_its_seed_makes(got: dict[str, Any]) -> None:
    assert got["names"][:3] == ["seed 3", "seed 4", "angry"] and len(got["names"]) == 10
    assert got["picked"] == "seed 4" and got["none"] < 1e-3, "the bound that the tooltip states"


def test_poses_and_lengths(got: dict[str, Any]) -> None:
    assert got["nods"] == got["frames"] == 50
    assert got["turned"] == pytest.approx([-10.0, 10.0]) and got["joined"] == 95
    assert got["table"], "a CSV table reads back bit for bit"


def test_speech_keeps_its_times_on_a_motion_of_another_rate(got: dict[str, Any]) -> None:
    """Speech has 25 rows a second, a motion over a video the rate of the video."""
    fast, usual = (torch.tensor(pitch) for pitch in got["nods at 50"])
    assert float(usual.max()) > 1.0 and got["level"]
    assert float((fast - usual).abs().max()) < 0.5 * float(usual.max()), "within a frame, nods are where they were"
    assert got["still at 50"] == 100 and got["at 50"] == [False, False]
    assert "lips follow the voice" in got["reported"]


def test_guidance_follows_keys_and_drawn_curves(got: dict[str, Any]) -> None:
    assert got["guided"][:3] == [True, False, False], "keys that stay are the number; others are not"
    assert got["guided"][3] < 1e-3, "a straight curve from 0 to the number is that of the keys"
    assert "to 20" in got["refused"]["guidance"]
    assert "both keys and a curve" in got["refused"]["twice"]


def test_eye_movement_is_added_to_the_lids_alone_by_its_share(got: dict[str, Any]) -> None:
    none, half, whole = (torch.tensor(moved) for moved in got["eyes"])
    lids = sorted(point for pair in LIDS for point in pair)
    assert not none.any() and whole.nonzero()[:, 0].tolist() == half.nonzero()[:, 0].tolist() == lids
    assert got["eyes halved"] > 25, "but for the frames of blinks, half the share is half the way"
    assert got["eyes usual"] and all(got["eyes pose"]), "1 is where the widget begins"


def test_blend_shapes_come_from_tables_and_from_landmarks(got: dict[str, Any]) -> None:
    assert [[*one] for one in got["acted"]] == [[50, 25.0, "playmate-demo"]] * 2
    assert got["together"] < 1e-4 and got["moves"] > 0.001, "CSV and JSON say the same, and it moves"
    assert got["mimed"] == 30.0 and got["mouth"] == sorted(got["mouth"]) and got["mouth"][3] > 0.03
    assert got["mouth"][2] == pytest.approx(got["mouth"][3] / 2, rel=0.05), "between its neighbours"


def test_a_motion_knows_how_it_was_sampled(got: dict[str, Any]) -> None:
    origin = got["origin"]
    assert got["kept"] and origin["seed"] == "0" and origin["generator"] == "playmate" and origin["rate"] == "25"
    assert len(origin["model"]) == len(origin["voice"]) == 16 and origin["emotion"] == "none"


def test_emotions_over_time(got: dict[str, Any]) -> None:
    assert got["loud"] > 0.05 and got["drawn"] == pytest.approx([0.0, 1.0], abs=0.03)
    assert got["tagged"] == ["neutral", "happy", "surprised"]


def test_mistakes_are_answered_with_what_to_do(got: dict[str, Any]) -> None:
    said = got["refused"]
    assert "Join Motions: fade must be a time from 0 to 60 s, got 'a while'; please write seconds" in said["fade"]
    assert "got '1:01'" in said["long fade"]
    assert all("rror: " in answer and "lease" in answer for answer in said.values()), said
    assert "from 1 to 2" in said["pick"] and "connect the speech" in said["nods"]
