"""Motion files: what is written is read, anything else is refused by name, and a pickle cannot do anything."""

from __future__ import annotations

import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from shared_facts import MEDIA, needs_shared

from playmate_core.detection.landmarks import Openings
from playmate_core.errors import UserError
from playmate_core.geometry import euler_degrees, rotation_matrix
from playmate_core.interpolation import frames_by_timestamp, steady_rate
from playmate_core.motion.motion_file import LIVEPORTRAIT_READER, MotionClip, load_motion_clip, save_motion_clip
from playmate_core.values import Motion, Pose

RATES = (24.0, 25.0, 30000 / 1001, 30.0, 60.0)


def motion_clip(frames: int = 7, fps: float = 30.0, seed: int = 0) -> MotionClip:
    random = torch.Generator().manual_seed(seed)
    rotation, translation = (torch.randn(frames, 3, generator=random) * s for s in (9.0, 0.1))
    pose = Pose(rotation, translation, 1.3 + torch.rand(frames, 1, generator=random), fps)
    motion = Motion(pose, torch.randn(frames, 21, 3, generator=random) * 0.03)
    openings = Openings(torch.rand(frames, 2, generator=random), torch.rand(frames, 1, generator=random))
    return MotionClip(motion, openings, "film.mp4", "abc")


def test_a_file_holds_everything(tmp_path: Path) -> None:
    for written in (motion_clip(fps=30000 / 1001), replace(motion_clip(1), openings=None)):
        save_motion_clip(written, tmp_path / "m.safetensors")
        read = load_motion_clip(tmp_path / "m.safetensors")
        assert torch.equal(read.motion.expression, written.motion.expression)
        for name in ("rotation", "translation", "scale", "fps"):
            a, b = (getattr(p.motion.pose, name) for p in (read, written))
            assert torch.equal(torch.as_tensor(a), torch.as_tensor(b))
        assert (read.source, read.reader) == ("film.mp4", "abc")
        assert (read.openings is None) == (written.openings is None)
        if read.openings and written.openings:
            assert torch.equal(read.openings.eyes, written.openings.eyes)
    assert os.listdir(tmp_path) == ["m.safetensors"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"expression": torch.zeros(7, 20, 3)}, r"expression \(7, 20, 3\) instead"),
        ({"scale": None}, "misses scale"),
        ({"eyes": None}, "misses eyes"),
        ({"audio": torch.zeros(7)}, "unknown audio"),
        ({"rotation": torch.full((7, 3), float("nan"))}, "NaN"),
    ],
)
def test_a_file_is_read_strictly(tmp_path: Path, change: dict[str, torch.Tensor | None], says: str) -> None:
    path = tmp_path / "m.safetensors"
    save_motion_clip(motion_clip(), path)
    facts = {"playmate.kind": "performance", "playmate.version": "1", "playmate.fps": "30"}
    tensors = {k: v for k, v in (load_file(path) | change).items() if v is not None}
    save_file(tensors, path, facts)
    with pytest.raises(UserError, match=says):
        load_motion_clip(path)


def test_what_is_no_motion_file_is_named(tmp_path: Path, tiny_face: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(UserError, match="a face model"):
        load_motion_clip(tiny_face)
    for facts, says in (
        ({}, "something else"),
        ({"playmate.kind": "performance", "playmate.version": "9"}, "version '9'"),
        ({"playmate.kind": "performance", "playmate.version": "1"}, "frame rate"),
        ({"playmate.kind": "performance", "playmate.version": "1", "playmate.fps": "nan"}, "frame rate"),
    ):
        save_motion_clip(motion_clip(), path)
        save_file(load_file(path), path, facts or None)
        with pytest.raises(UserError, match=says):
            load_motion_clip(path)
    path.write_bytes(b"half a file")
    with pytest.raises(UserError, match="not a complete safetensors"):
        load_motion_clip(path)
    with pytest.raises(UserError, match="must end in .safetensors"):
        save_motion_clip(motion_clip(), tmp_path / "m.pkl")
    with pytest.raises(UserError, match="does not exist"):
        save_motion_clip(motion_clip(), tmp_path / "nowhere" / "m.safetensors")


@pytest.mark.parametrize("start", RATES)
@pytest.mark.parametrize("to", RATES)
def test_any_rate_becomes_any_other_with_turns_on_the_sphere(start: float, to: float) -> None:
    """A head that turns evenly about one axis, which is none of the three, turns evenly at any rate."""
    axis, frames = torch.tensor([0.6, 0.64, 0.48], dtype=torch.float64), 40
    x, y, z = axis.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)

    def turned(seconds: torch.Tensor) -> torch.Tensor:
        return euler_degrees(torch.linalg.matrix_exp(cross * (0.9 * seconds - 0.5)[:, None, None]))

    rotation = turned(torch.arange(frames) / start).float()
    still = motion_clip(frames, start)
    video = replace(still, motion=still.motion.with_pose(replace(still.motion.pose, rotation=rotation)))
    other = video.at(to)
    count = max(1, round(frames * to / start))
    assert len(other.motion) == count and other.motion.fps == to and len(other.openings or ()) == count
    inside = torch.arange(count, dtype=torch.float64) / to <= (frames - 1) / start
    wanted = rotation_matrix(turned(torch.arange(count) / to))[inside]
    assert torch.allclose(rotation_matrix(other.motion.pose.rotation.double())[inside], wanted, atol=1e-5)


@given(st.lists(st.floats(0.005, 0.2), min_size=1, max_size=40), st.sampled_from(RATES))
@settings(deadline=None, max_examples=60)
def test_frames_of_no_steady_rate_keep_their_times(steps: list[float], fps: float) -> None:
    times = torch.tensor([0.0, *steps], dtype=torch.float64).cumsum(0)
    reading = frames_by_timestamp(times, fps)
    shown = torch.lerp(times[reading.first], times[reading.second], reading.weight)
    wanted = (torch.arange(len(shown), dtype=torch.float64) / fps).clamp(max=float(times[-1]))
    assert torch.allclose(shown, wanted, atol=1e-9)
    length = float(times[-1] + times.diff().median())
    assert abs(len(shown) - max(1, length * fps)) <= 0.5 + 1e-6


def test_a_rate_is_steady_to_a_quarter_of_a_frame() -> None:
    times = torch.arange(100) / 29.97
    assert steady_rate(times, 29.97) and steady_rate(times + 0.001 * torch.randn(100).clamp(-3, 3), 29.97)
    assert not steady_rate(times, 25.0) and not steady_rate(torch.tensor([0.0, 0.04, 0.2]), 25.0)


def template(old: bool = False, protocol: int = 4, **change: Any) -> bytes:
    random = np.random.default_rng(0)
    turn = rotation_matrix(torch.tensor([[3.0, -20.0, 5.0]])).numpy()
    frame = {
        "scale": np.full((1, 1), 1.4, np.float32),
        ("R_d" if old else "R"): turn,
        "exp": random.normal(size=(1, 21, 3)).astype(np.float32),
        "t": np.asfortranarray([[0.1, 0.2, 0.0]], np.float64),
        "kp": np.zeros((1, 21, 3), np.float32),
    } | change
    eyes, lips = ("c_d_eyes_lst", "c_d_lip_lst") if old else ("c_eyes_lst", "c_lip_lst")
    content = {"n_frames": 2, "output_fps": 24, "motion": [frame, frame]}
    content |= {eyes: [np.full((1, 2), 0.3)] * 2, lips: [np.full((1, 1), 0.1, np.float32)] * 2}
    return pickle.dumps(content, protocol)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_templates_of_both_kinds(tmp_path: Path, old: bool, protocol: int) -> None:
    path = tmp_path / "t.pkl"
    path.write_bytes(template(old, protocol))
    read = load_motion_clip(path)
    assert len(read.motion) == 2 and read.motion.fps == 24
    assert read.reader == LIVEPORTRAIT_READER and read.motion.keypoint_space == "liveportrait"
    assert read.motion.pose.rotation[1].tolist() == pytest.approx([3.0, -20.0, 5.0], abs=1e-4)
    assert read.motion.pose.translation[0].tolist() == pytest.approx([0.1, 0.2, 0.0])
    assert read.openings is not None and read.openings.eyes[1].tolist() == pytest.approx([0.3, 0.3])


class Caller:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, Any]:
        return self.call


def test_a_pickle_can_do_nothing(tmp_path: Path) -> None:
    path, trace = tmp_path / "t.pkl", tmp_path / "trace"
    touch = f"import pathlib; pathlib.Path({str(trace)!r}).touch()"
    good = template()
    bad = {
        "posix.system": pickle.dumps(Caller(os.system, f"touch {trace}")),
        "builtins.exec": template(t=Caller(exec, touch)),
        "builtins.getattr": template(t=Caller(getattr, "", "upper")),
        "INST": b"(ios\nsystem\n.",
        "EXT1": b"\x80\x02\x82\x01.",
        "array of O8": template(t=np.array([None, {}], object)),
        "byte order": template(t=np.zeros((1, 3), ">f4")),
        "damaged": b"\x80\x02Nr" + struct.pack("<I", 1 << 31) + b".",
        "safely": good[:-40],
        "motion": pickle.dumps({"output_fps": 25}),
        "rotations": template(R=np.ones((1, 3, 3), np.float32)),
        "not whole": template(t=np.full((1, 3), np.nan, np.float32)),
        "0 frames": pickle.dumps({"motion": [], "output_fps": 25}),
    }
    for name, data in bad.items():
        path.write_bytes(data)
        with pytest.raises(UserError, match="no LivePortrait motion template") as refused:
            load_motion_clip(path)
        assert name in str(refused.value)
    assert not trace.exists()


@given(st.integers(0, 4000), st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_template_is_refused_or_read(workshop: Path, at: int, byte: int) -> None:
    data = bytearray(template())
    data[at % len(data)] = byte
    path = workshop / "damaged.pkl"
    path.write_bytes(bytes(data))
    try:
        assert len(load_motion_clip(path).motion) == 2
    except UserError as refused:
        assert "motion template" in str(refused)


@needs_shared
def test_the_published_template() -> None:
    read = load_motion_clip(MEDIA / "motion_template.pkl")
    assert len(read.motion) == 275 and read.motion.fps == 30 and read.openings is not None
    assert (read.motion.pose.rotation.abs() < 25).all() and (read.motion.expression.abs() < 0.1).all()
    assert (read.motion.pose.translation[:, 2] == 0).all() and read.motion.pose.scale.std() < 0.02
