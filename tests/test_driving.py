"""Driving: the reference's motion goldens where they are at hand, and what must hold for any motion."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from golden import Golden
from torch import Tensor

from playmate_core.detection.landmarks import Openings, eye_ratios, lip_ratio
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig
from playmate_core.face.stitching import Stitching
from playmate_core.geometry import place_motion, rotation_matrix
from playmate_core.interpolation import smooth_track
from playmate_core.motion.driving import ANIMAL, DrivingOptions, closed_mouth, drive_clip, drive_still
from playmate_core.motion.edit import Regions
from playmate_core.motion.pose import reference_frame
from playmate_core.rendering.retarget import expression_gain, guide_keypoints
from playmate_core.values import EYE_KEYPOINTS, LIP_KEYPOINTS, Motion, Pose

NONE = Regions(0.0, 0.0, 0.0, 0.0)
REGIONS = {
    "all": Regions(),
    "exp": replace(Regions(), pose=0.0),
    "pose": replace(NONE, pose=1.0),
    "lip": replace(NONE, lips=1.0),
    "eyes": replace(NONE, eyes=1.0),
}


def wandering(frames: int, seed: int) -> Motion:
    random = torch.Generator().manual_seed(seed)
    rotation, translation = (torch.randn(frames, 3, generator=random) * s for s in (8.0, 0.1))
    scale = 1.3 + 0.05 * torch.randn(frames, 1, generator=random)
    return Motion(Pose(rotation, translation, scale), torch.randn(frames, 21, 3, generator=random) * 0.03)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return Golden().tensors


@pytest.fixture(scope="module")
def networks() -> SimpleNamespace:
    """A face of which only S is there, filled as the goldens were made."""
    filling, net = Golden(), Stitching(FaceConfig())
    for name, prefix in (("stitching", "shoulder"), ("lip", "mouth"), ("eye", "eye")):
        filling.filled(net.get_submodule(name), f"retarget_{prefix}_module.")
    return SimpleNamespace(stitching=net.eval(), parameters=net.parameters)


def told(golden: dict[str, Tensor], who: str) -> Motion:
    rotation, translation, scale, expression = (
        golden[f"input.m.{who}.{name}"] for name in ("angles", "t", "scale", "exp")
    )
    return Motion(Pose(rotation, translation, scale), expression)


PLAIN = DrivingOptions(priority="pose", stitching=False)
RETARGET = replace(PLAIN, retarget_eyes=True, retarget_lips=True)
STILLS = {
    **{f"relative.{n}": replace(PLAIN, regions=r, size=float(n == "all")) for n, r in REGIONS.items()},
    **{f"absolute.{n}": replace(PLAIN, mode="absolute", regions=r) for n, r in REGIONS.items()},
    "relative.friendly": replace(PLAIN, priority="expression"),
    "relative.friendly.x1.7": replace(PLAIN, priority="expression", multiplier=1.7),
    "relative.friendly.exp": replace(PLAIN, priority="expression", regions=REGIONS["exp"], size=0.0),
    "relative.stitched": replace(PLAIN, stitching=True),
    "relative.stitched.x0.6": replace(PLAIN, stitching=True, multiplier=0.6),
    "relative.stitched.lip_normalised": replace(PLAIN, stitching=True, close_lips=True),
    "relative.retarget": RETARGET,
    "relative.retarget.stitched": replace(RETARGET, stitching=True),
    "absolute.retarget.stitched": replace(RETARGET, mode="absolute", stitching=True),
}


@pytest.mark.parametrize("name", STILLS)
def test_a_still_portrait_moves_as_the_reference_has_it(golden: dict[str, Tensor], networks: Any, name: str) -> None:
    options, source, driving = STILLS[name], told(golden, "source")[:1], told(golden, "driving")
    keypoints, points = golden["input.m.source.kp"][0], golden["input.m.source.landmarks"][:1]
    x_s = place_motion(keypoints, source)
    assert torch.allclose(x_s, golden["motion.image.kp_source"], atol=2e-5, rtol=0)
    x_d = place_motion(keypoints, drive_still(source, driving, options))
    opened = Openings(golden["input.m.driving.eyes"], golden["input.m.driving.lips"])
    own = Openings(eye_ratios(points), lip_ratio(points))
    got = guide_keypoints(networks, x_s, x_d, options, 0, own, opened)
    assert float((got - golden[f"motion.image.{name}"]).abs().max()) <= 2e-5


def test_the_damping_is_the_reference_s(golden: dict[str, Tensor]) -> None:
    gain = expression_gain(golden["input.m.source.kp"][0], golden["input.m.multiplier_b"][0])
    assert gain == pytest.approx(float(golden["motion.multiplier"]), abs=2e-5)


CLIPS = {
    "relative.all": replace(PLAIN, smoothing=3e-7),
    "relative.all.3e-6": replace(PLAIN, smoothing=3e-6),
    "relative.lip": replace(PLAIN, smoothing=3e-7, regions=REGIONS["lip"]),
    "absolute.all": replace(PLAIN, smoothing=3e-7, mode="absolute"),
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_video_moves_as_the_reference_has_it(golden: dict[str, Tensor], name: str) -> None:
    """But for one thing: what the reference has smoothed are no rotations any more, and ours are made so again."""
    options = CLIPS[name]
    source, driving = told(golden, "source"), told(golden, "driving")
    driven, rough = (drive_clip(source, driving, o) for o in (options, replace(options, smoothing=0.0)))
    matrix = rotation_matrix(rough.pose.rotation.double()).flatten(1)
    if options.regions.pose:
        matrix = smooth_track(matrix, options.smoothing)
    turned = golden["input.m.source.kp"].double() @ matrix.unflatten(1, (3, 3)) + driven.expression
    got = driven.pose.scale[:, :, None] * turned + (driven.pose.translation * torch.tensor([1, 1, 0]))[:, None]
    assert float((got - golden[f"motion.video.{name}"]).abs().max()) <= 2e-5
    left, _, right = torch.linalg.svd(matrix.unflatten(1, (3, 3)))
    assert torch.allclose(rotation_matrix(driven.pose.rotation.double()), left @ right, atol=1e-5)


def test_eyes_of_a_video_are_held_as_the_reference_has_it(golden: dict[str, Tensor], networks: Any) -> None:
    """Stitching, then the offset. The reference's smoothed rotations go in as they are, as above."""
    options = replace(PLAIN, smoothing=3e-7, stitching=True, hold_eyes=True)
    source, driving = told(golden, "source"), told(golden, "driving")
    keypoints = golden["input.m.source.kp"]
    matrix = rotation_matrix(source.pose.rotation.double())
    x_s = place_rows(keypoints, matrix, source)
    driven, rough = (drive_clip(source, driving, o) for o in (options, replace(options, smoothing=0.0)))
    smooth = smooth_track(rotation_matrix(rough.pose.rotation.double()).flatten(1), options.smoothing)
    x_d = place_rows(keypoints, smooth.unflatten(1, (3, 3)), driven)
    points = golden["input.m.source.landmarks"]
    own = Openings(eye_ratios(points), lip_ratio(points))
    got = guide_keypoints(networks, x_s, x_d, options, 0, own, None)
    assert float((got - golden["motion.video.relative.stitched.eye_first_frame"]).abs().max()) <= 2e-5


def place_rows(keypoints: Tensor, matrix: Tensor, motion: Motion) -> Tensor:
    turned = keypoints.double() @ matrix + motion.expression
    placed = motion.pose.scale[:, :, None] * turned + (motion.pose.translation * torch.tensor([1, 1, 0]))[:, None]
    return placed.float()


@pytest.mark.parametrize("name", ["single.absolute.all", "single.relative.eyes"])
def test_a_single_frame_moves_as_the_reference_has_it(golden: dict[str, Tensor], networks: Any, name: str) -> None:
    _, mode, region = name.split(".")
    options = replace(PLAIN, mode=mode, regions=REGIONS[region], priority="expression")
    source, driving = told(golden, "source")[:1], told(golden, "driving")
    x_s = place_motion(golden["input.m.source.kp"][0], source)
    for i in range(len(driving)):
        x_d = place_motion(golden["input.m.source.kp"][0], drive_still(source, driving[i : i + 1], options))
        got = guide_keypoints(networks, x_s, x_d, options)
        if float((got - golden[f"motion.image.{name}"]).abs().max()) <= 2e-5:
            return
    raise AssertionError(f"no driving frame gives {name}")


def test_a_single_frame_brings_its_mouth_and_leaves_the_head() -> None:
    """A closed mouth closes nothing more; a video of somebody is driven by it frame by frame."""
    rest, video = wandering(1, 0), wandering(4, 1)
    shut = Motion(rest.pose, closed_mouth())
    for own in (rest, video):
        drive = drive_still if len(own) == 1 else drive_clip
        assert torch.allclose(drive(own, shut, PLAIN).expression, own.expression, atol=1e-7)
        opened = Motion(rest.pose, closed_mouth() + torch.eye(21)[19][None, :, None] * torch.tensor([0, 0.05, 0]))
        moved = drive(own, opened, PLAIN)
        assert torch.allclose(moved.expression[:, 19, 1], own.expression[:, 19, 1] + 0.05, atol=1e-6)
        assert torch.allclose(moved.pose.rotation, own.pose.rotation, atol=1e-3)


@pytest.mark.parametrize("reference", ["first", "frontal"])
def test_relative_motion_starts_from_the_face_of_the_picture(reference: str) -> None:
    rest, driving = wandering(1, 0), wandering(9, 1)
    options = DrivingOptions(reference=reference)
    driven = drive_still(rest, driving, options)
    start = reference_frame(driving.pose, reference)
    assert torch.allclose(driven.expression[start], rest.expression[0], atol=1e-6)
    assert torch.allclose(driven.pose.rotation[start], rest.pose.rotation[0], atol=1e-4)
    assert torch.allclose(driven.pose.scale[start], rest.pose.scale[0], atol=1e-6)
    assert torch.allclose(driven.expression.diff(dim=0), driving.expression.diff(dim=0), atol=1e-6)
    x_s, x_d = (place_motion(torch.randn(21, 3, generator=torch.Generator().manual_seed(3)), m) for m in (rest, driven))
    bare: Any = SimpleNamespace(stitching=None)
    guided = guide_keypoints(bare, x_s, x_d, replace(options, multiplier=1.7), start)
    assert torch.allclose(guided[start], x_s[0], atol=1e-5) and not torch.allclose(guided[start - 1], x_s[0], atol=1e-2)


def test_an_animal_takes_all_values_damped() -> None:
    """x_d = s_s (x_c R_d + delta_d) + t_d, then x_s + m (x_d - x_d of the first frame) (docs/liveportrait.md 7.2)."""
    rest, driving = wandering(1, 0), wandering(6, 1)
    points, options = torch.randn(21, 3, generator=torch.Generator().manual_seed(3)), DrivingOptions(mode=ANIMAL)
    x_s = place_motion(points, rest)
    x_d = place_motion(points, drive_still(rest, driving, options))
    pose = driving.pose
    turned = points @ rotation_matrix(pose.rotation) + driving.expression
    by_hand = rest.pose.scale[0] * turned + (pose.translation * torch.tensor([1.0, 1.0, 0.0]))[:, None]
    torch.testing.assert_close(x_d, by_hand, atol=1e-5, rtol=0)
    bare: Any = SimpleNamespace(stitching=None)
    gain = expression_gain(x_s[0], by_hand[0])
    guided = guide_keypoints(bare, x_s, x_d, options)
    torch.testing.assert_close(guided, x_s + gain * (by_hand - by_hand[:1]), atol=1e-4, rtol=0)
    assert abs(gain - 1) > 0.01


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_regions_are_shares(mode: str) -> None:
    rest, driving = wandering(1, 0), wandering(6, 1)
    whole, none, eyes, half = (
        drive_still(rest, driving, DrivingOptions(mode=mode, regions=r))
        for r in (Regions(), NONE, REGIONS["eyes"], replace(Regions(), expression=0.5))
    )
    assert torch.equal(none.expression, rest.expression.expand(6, -1, -1))
    assert torch.equal(none.pose.rotation, rest.pose.rotation.expand(6, -1))
    others = [k for k in range(21) if k not in EYE_KEYPOINTS]
    assert torch.equal(eyes.expression[:, list(EYE_KEYPOINTS)], whole.expression[:, list(EYE_KEYPOINTS)])
    assert torch.equal(eyes.expression[:, others], none.expression[:, others])
    quiet = [k for k in others if k not in LIP_KEYPOINTS]
    assert torch.allclose(half.expression[:, quiet], (whole.expression + none.expression)[:, quiet] / 2, atol=1e-6)
    assert torch.equal(half.expression[:, list(LIP_KEYPOINTS)], whole.expression[:, list(LIP_KEYPOINTS)])


def test_a_video_keeps_its_own_motion_where_nothing_drives_it() -> None:
    source, driving = wandering(8, 0), wandering(5, 1)
    still = replace(driving[:1], expression=closed_mouth())
    kept = drive_clip(source, still, DrivingOptions())
    assert len(kept) == 8 and len(drive_clip(source, driving, DrivingOptions())) == 5
    assert torch.allclose(kept.expression, source.expression, atol=1e-6)
    assert torch.allclose(kept.pose.rotation, source.pose.rotation, atol=1e-4)
    assert torch.equal(drive_clip(source, driving, DrivingOptions(regions=NONE)).expression, source[:5].expression)
    with pytest.raises(ValueError, match="25 and 30 fps"):
        drive_clip(source, replace(driving, pose=replace(driving.pose, fps=30.0)), DrivingOptions())


def test_what_cannot_be_done_is_said() -> None:
    x = torch.zeros(1, 21, 3)
    bare: Any = SimpleNamespace(stitching=None)
    with pytest.raises(UserError, match="cannot retarget"):
        guide_keypoints(bare, x, x, DrivingOptions(close_lips=True))
    full: Any = SimpleNamespace(stitching=object())
    for options in (DrivingOptions(retarget_eyes=True), DrivingOptions(close_lips=True, priority="pose")):
        with pytest.raises(UserError, match="detector that tells"):
            guide_keypoints(full, x, x, replace(options, stitching=False))
    for wrong in ({"mode": "sideways"}, {"reference": "last"}, {"priority": "none"}, {"smoothing": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DrivingOptions(**wrong)  # type: ignore[arg-type]
    assert expression_gain(torch.zeros(21, 3), torch.zeros(21, 3)) == 1.0  # a flat face has no volume
