"""Ditto's conditions and what is done with its motion are the reference's: golden cases of data/goldens."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from ditto_cases import (
    face_of,
    golden,  # noqa: F401
    source_placed,
)
from motion_goldens import MotionGolden
from torch import Tensor

from playmate_core.detection.ditto_pictures import limited_size, paste_mask
from playmate_core.diffusion.ditto.apply import Application
from playmate_core.diffusion.ditto.blink import DISCARDED, DISTANCES, blink_rows, fade_shares
from playmate_core.diffusion.ditto.conditions import emotion_row, for_call, in_turn
from playmate_core.diffusion.ditto.controls import DRIVEN_PARTS, FACE_ONLY_DRIVE, Applying, Drive, FrameControls
from playmate_core.diffusion.ditto.eyes import eye_features
from playmate_core.diffusion.ditto.layout import DITTO_EMOTIONS, BinnedMotion
from playmate_core.diffusion.ditto.source import back_and_forth, centred_mean
from playmate_core.diffusion.request import joined
from playmate_core.geometry import place


def driving_of(golden: MotionGolden) -> BinnedMotion:
    scale, t, exp, *angles = golden.group("stitch/driving", "scale", "t", "exp", "pitch", "yaw", "roll")
    return BinnedMotion(scale, torch.stack(angles, 1), t, exp.unflatten(-1, (-1, 3)))


def test_emotions(golden: MotionGolden) -> None:
    assert golden.facts["emotion_order"] == [  # ours by its names
        {"disgusted": "disgust", "surprised": "surprise"}.get(name, name) for name in DITTO_EMOTIONS
    ]
    rows = golden("emotion/array")
    for name in ("cyclic", "negative"):
        first, last = re.search(r"frames (-?\d+) \.\.\. (-?\d+)", golden.about[f"emotion/{name}"]["note"]).groups()  # type: ignore[union-attr]
        golden.check(f"emotion/{name}", in_turn(rows, torch.arange(int(first), int(last) + 1)))
    label = int(re.search(r"label (\d+)", golden.about["emotion/call_label"]["note"])[1])  # type: ignore[index]
    frames = len(golden("emotion/call_label"))
    golden.check("emotion/call_label", for_call(emotion_row([label])[None], frames))
    golden.check("emotion/call_longer", for_call(rows, len(golden("emotion/call_longer"))))


@pytest.mark.parametrize("case", ["eyes", "eyes01"])
def test_eye_features(golden: MotionGolden, case: str) -> None:
    opened, balls = eye_features(golden(f"{case}/landmarks"))
    golden.check(f"{case}/open", opened)
    golden.check(f"{case}/ball", balls)


def test_source_videos(golden: MotionGolden) -> None:
    for name in ("scale", "pitch", "t", "exp", "kp"):
        values = golden(f"source_smooth/in/{name}")
        frames = int(golden.about[f"source_smooth/out/{name}"]["note"].split()[-1])
        golden.check(f"source_smooth/out/{name}", centred_mean(values, frames))
    even = int(re.search(r"window '(\d+)'", golden.about["source_smooth/out4/t"]["note"])[1])  # type: ignore[index]
    golden.check("source_smooth/out4/t", centred_mean(golden("source_smooth/in/t"), even))
    lengths = re.search(r"rows: (.*) source", golden.about["mirror"]["note"])[1]  # type: ignore[index]
    frames_ = torch.arange(golden("mirror").shape[1])
    golden.check("mirror", torch.stack([back_and_forth(frames_, int(n)) for n in lengths.split(",")]))


def test_blinks_and_fades(golden: MotionGolden) -> None:
    draws = golden("blink/draws")
    seed = int(re.search(r"seed\((\d+)\)", golden.about["blink/draws"]["note"])[1])  # type: ignore[index]
    rng = Random(seed)
    golden.check("blink/draws", torch.tensor([rng.randint(*DISTANCES) for _ in draws]))
    for name in ("none", "fixed", "list", "random", "short"):
        note = golden.about[f"blink/{name}"]["note"]
        told = json.loads(re.search(r"open setting (\[.*?\]|-?\d+)", note)[1])  # type: ignore[index]
        length = int(re.search(r"(\d+)-frame table", note)[1])  # type: ignore[index]
        setting = tuple(told) if isinstance(told, list) else told
        golden.check(f"blink/{name}", blink_rows(len(golden(f"blink/{name}")), setting, Random(seed), length))
    rng = Random(seed)
    blink_rows(DISCARDED, 0, rng)
    golden.check("blink/pipeline", blink_rows(len(golden("blink/pipeline")), 0, rng))
    for name in golden.cases["fade_table"]["tensors"]:
        shares = fade_shares(*(int(n) for n in name.split("/")[1].split("_")))
        golden.check(name, shares.nan_to_num(-1.0))


#: The settings that the descriptions of the cases name, in our words.
CASES: dict[str, tuple[Applying, dict[str, Any]]] = {
    "stitch/plain": (Applying(), {}),
    "stitch/eyes_from_source": (Applying(drive_eyes=False), {}),
    "stitch/pitch_offset": (Applying(), {"offset": (2, None, None)}),
    "stitch/absolute": (Applying(mode="absolute"), {}),
    "stitch/fade": (Applying(fade="first"), {"fade": (0, 1 / 3, 2 / 3, 1)}),
    "stitch/voice_gate": (Applying(), {"gate": 0.25}),
    "ctrl/alpha_logits": (Applying(), {"factor": (0.5, 0.7, 1.5)}),
    "ctrl/alpha_degrees": (Applying(), {"factor": (0.5, 0.7, 1.5), "offset": (2, 0, -1)}),
    "ctrl/alpha_mixed": (Applying(), {"factor": (0.5, 0.5, 1), "offset": (2, None, None), "frame 2": (5, None, None)}),
    "ctrl/delta_exp": (Applying(), {"gate": 0.5, "expression": "ctrl/delta_exp_in"}),
    "ctrl/keys_tuple": (Applying(Drive(yaw=None, roll=None, translation=None)), {}),
    "ctrl/keys_dict": (Applying(Drive(0.8, 0.5, 1.2, None, 0.3)), {}),
    "ctrl/keys_dict_absolute": (Applying(Drive(0.8, 0.5, 1.2, 1.0, 0.3), mode="absolute"), {}),
    "ctrl/gaze_offset": (Applying(), {"offset": (2, -4, None)}),
    "ctrl/gaze_offset_eyes_off": (Applying(drive_eyes=False), {"offset": (2, -4, None)}),
    "ctrl/fade_s": (
        Applying(fade="source", fade_parts=("expression", "pitch", "translation")), {"fade": (1, 0.75, 0.5, 0.25)},
    ),
    "ctrl/fade_d0_keys": (
        Applying(fade="first", fade_parts=("expression", "pitch", "yaw")),
        {"offset": (2, None, None), "fade": (1, 0.75, 0.5, 0.25)},
    ),
    "ctrl/fade_d0_late": (
        Applying(fade="first", fade_parts=("expression", "translation")), {"fade": (None, None, 0.25, 0.25)},
    ),
    "ctrl/fade_all_keys": (Applying(fade="first", fade_parts=DRIVEN_PARTS), {"fade": (0.5,) * 4}),
    "ctrl/fade_off": (Applying(), {"fade": (0, 1 / 3, 2 / 3, 1)}),
}  # fmt: skip


def controls_of(golden: MotionGolden, asked: dict[str, Any], frames: int) -> FrameControls:
    made = FrameControls.none(frames)
    numbers = {
        name: [math.nan if n is None else float(n) for n in asked[name]] for name in ("offset", "fade") if name in asked
    }
    if "offset" in numbers:
        made.offset[:] = torch.tensor(numbers["offset"])
    if "frame 2" in asked:
        made.offset[2] = torch.tensor([math.nan if n is None else float(n) for n in asked["frame 2"]])
    if "fade" in numbers:
        made.fade[:] = torch.tensor(numbers["fade"])
    if "factor" in asked:
        made.factor[:] = torch.tensor(asked["factor"])
    if "gate" in asked:
        made.gate[:] = asked["gate"]
    if "expression" in asked:
        made.expression[:] = golden(asked["expression"]).unflatten(-1, (-1, 3))
    return made


def placed(golden: MotionGolden, prefix: str, applying: Applying, controls: FrameControls, begin: int = 0) -> Tensor:
    """The key points of the four driving frames on a golden source, laid on in two pieces."""
    face, driving = face_of(golden, prefix), driving_of(golden)
    frames = torch.arange(begin, begin + len(driving))
    lay = Application(face, driving[:1], applying)
    motion = joined([lay(driving[part], frames[part], controls[part]) for part in (slice(0, 1), slice(1, None))])
    pose = motion.pose
    keypoints = face.keypoints[back_and_forth(frames, len(face))]
    return place(keypoints, pose.rotation, motion.expression, pose.translation, pose.scale)


@pytest.mark.parametrize("case", list(CASES))
def test_applying(golden: MotionGolden, case: str) -> None:
    applying, asked = CASES[case]
    controls = controls_of(golden, asked, len(driving_of(golden)))
    golden.check(case, placed(golden, "source", applying, controls))
    golden.check("stitch/x_s", source_placed(face_of(golden, "source"), torch.zeros(1, dtype=torch.int64)))


@pytest.mark.parametrize("case, begin, offset", [
    ("stitch/blink", 22, (None, None, None)), ("ctrl/gaze_offset_blink", 18, (2, 3, None)),
])  # fmt: skip
def test_blinking(golden: MotionGolden, case: str, begin: int, offset: tuple[float | None, ...]) -> None:
    table = golden("stitch/blink_table").unflatten(-1, (-1, 3))
    frames = len(driving_of(golden))
    rows = blink_rows(DISCARDED, 20, Random(0), len(table))[begin : begin + frames]
    controls = replace(controls_of(golden, {"offset": offset}, frames), eyes=table[rows])
    golden.check(case, placed(golden, "source", Applying(), controls, begin))


@pytest.mark.parametrize("case, drive", [("stitch/rescaled", Drive()), (
    "ctrl/keys_dict_reference", Drive(0.8, 0.5, None, None, 0.3),
)])  # fmt: skip
def test_a_reference_character(golden: MotionGolden, case: str, drive: Drive) -> None:
    ratio = float(golden("stitch/reference_scale") / golden("source/scale"))
    none = FrameControls.none(len(driving_of(golden)))
    golden.check(case, placed(golden, "source", Applying(drive, ratio=ratio), none))


@pytest.mark.parametrize("case, applying", [
    ("ctrl/video_default", Applying(FACE_ONLY_DRIVE, drive_eyes=False)), ("ctrl/video_eyes", Applying()),
])  # fmt: skip
def test_videos(golden: MotionGolden, case: str, applying: Applying) -> None:
    none = FrameControls.none(len(driving_of(golden)))
    golden.check(case, placed(golden, "ctrl/video_source", applying, none))
    golden.check("ctrl/video_x_s", source_placed(face_of(golden, "ctrl/video_source"), torch.arange(len(none.gate))))


def test_pictures(golden: MotionGolden) -> None:
    sizes = golden("resize")[:, :2].tolist()
    golden.check("resize", torch.tensor([[h, w, *limited_size(h, w)] for h, w in sizes]))
    row, corner = golden("paste_mask/row"), len(golden("paste_mask/corner"))
    mask = torch.from_numpy(paste_mask(len(row)))
    golden.check("paste_mask/corner", mask[:corner, :corner])
    golden.check("paste_mask/corner_br", mask[-corner:, -corner:])
    golden.check("paste_mask/row", mask[len(row) // 2])
    golden.check("paste_mask/sum", mask.double().sum())
