"""Synthetic heads: the rig is an exact map, and what is drawn lies where the keypoints say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from playmate_core.geometry import place, rotation_matrix
from training.synthetic.identity import Identity, canonical_keypoints, face_depth, make_identity
from training.synthetic.parameters import record, rotation_columns
from training.synthetic.pixels import make_scene, render
from training.synthetic.rig import (
    BASIS,
    RIG,
    expression_from_rig,
    eye_aperture,
    lip_aperture,
    rig_from_expression,
)
from training.synthetic.scene import BACKGROUNDS

ZERO = np.zeros(3)


def rig(**values: float) -> NDArray[np.float64]:
    out = np.zeros(len(RIG))
    for name, value in values.items():
        out[RIG.index(name)] = value
    return out


def frontal(me: Identity, values: NDArray[np.float64], size: int = 256) -> NDArray[np.float64]:
    return render(me, make_scene(1), values, ZERO, ZERO, 1.4, size).astype(np.float64)


def placed(me: Identity, values: NDArray[np.float64], size: int = 256) -> NDArray[np.float64]:
    """Keypoints under a frontal pose in pixels, (21, 2)."""
    points = place(
        torch.from_numpy(canonical_keypoints(me)),
        torch.zeros(3),
        torch.from_numpy(expression_from_rig(me, values)),
        torch.zeros(3),
        torch.tensor([1.4]),
    )
    return ((points[:, :2] + 1) * size / 2 - 0.5).numpy().astype(np.float64)


def test_basis_has_full_rank_and_exactly_the_dead_depths() -> None:
    assert np.linalg.matrix_rank(BASIS) == 16
    dead = (BASIS.reshape(16, 21, 3) == 0).all(0)
    assert not dead[:, :2].any()
    assert sorted(np.flatnonzero(~dead[:, 2])) == [10, 17, 19, 20]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.floats(-1, 1, width=32), min_size=16, max_size=16))
def test_rig_survives_the_way_through_keypoints(seed: int, values: list[float]) -> None:
    me = make_identity(seed)
    back = rig_from_expression(me, expression_from_rig(me, np.asarray([values, values])))
    assert np.allclose(back, values, atol=1e-5)


def test_identities_and_scenes_are_reproducible_and_differ() -> None:
    assert make_identity(5) == make_identity(5) and make_identity(5) != make_identity(6)
    assert make_scene(5) == make_scene(5) and make_scene(5) != make_scene(6)
    assert {make_scene(s).background for s in range(40)} == set(BACKGROUNDS)
    stylised = np.mean([make_identity(s).stylised for s in range(300)])
    assert stylised == pytest.approx(1 / 3, abs=0.02)


def test_a_lid_at_one_shuts_any_eye_and_the_jaw_opens_any_mouth() -> None:
    for seed in range(8):
        me = make_identity(seed)
        rest = canonical_keypoints(me)
        shut = rest + expression_from_rig(me, rig(lid_left=1, lid_right=1))
        assert np.allclose(eye_aperture(shut), 0, atol=1e-5) and (eye_aperture(rest) > 0.07).all()
        wide = rest + expression_from_rig(me, rig(jaw=1))
        assert 0.085 < lip_aperture(wide) - lip_aperture(rest) < 0.125


def test_rotation_is_the_cores() -> None:
    angles = np.array([12.0, -31.0, 7.0])
    assert np.allclose(rotation_columns(angles), rotation_matrix(torch.from_numpy(angles)).T.numpy(), atol=1e-9)


def test_keypoints_lie_on_the_face_that_is_traced() -> None:
    from training.synthetic.surface import skull

    for seed in range(6):
        me = make_identity(seed)
        parameters = record(me, make_scene(0).light, np.zeros(16), ZERO)[0]
        for x, y in ((me.eye_x, me.eye_y), (0.0, me.mouth_y), (0.165, 0.14), (0.0, -0.26)):
            assert abs(skull(x, y, face_depth(me, x, y), parameters)) < 2e-3


def painted(me: Identity, values: NDArray[np.float64], part: str) -> NDArray[np.float64]:
    """Where that colour of the identity shows, (256, 256): how much the picture changes when it turns blue."""
    blue: Any = {part: (0.1, 0.2, 1.0)}
    other = replace(me, **blue)
    return np.abs(frontal(me, values) - frontal(other, values)).sum(-1)


@pytest.mark.parametrize("seed", [1, 4, 13])
@pytest.mark.parametrize("jaw", [0.5, 1.0])
def test_lips_are_drawn_on_their_keypoints(seed: int, jaw: float) -> None:
    """Down the middle, both lips are centred on points 20 and 19 and leave the open mouth between them."""
    me, values = make_identity(seed), rig(jaw=jaw)
    points = placed(me, values)
    lip = painted(me, values, "lip")[:, 128] > 60
    middle = round(0.5 * (points[19, 1] + points[20, 1]))
    assert not lip[middle]
    upper, lower = np.flatnonzero(lip[:middle]), middle + np.flatnonzero(lip[middle:])
    assert abs(upper.mean() - points[20, 1]) <= 2.0
    assert abs(lower.mean() - points[19, 1]) <= 2.0


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_mouth_corners_are_drawn_on_their_keypoints(side: float) -> None:
    me, values = make_identity(4), rig(smile_left=side, smile_right=side, wide=side)
    points, lip = placed(me, values), painted(me, values, "lip") > 60
    columns = np.flatnonzero(lip.any(0))
    for point, column in ((14, columns[0]), (17, columns[-1])):
        assert abs(column - points[point, 0]) <= 2.5
        assert abs(np.flatnonzero(lip[:, column]).mean() - points[point, 1]) <= 2.5


@pytest.mark.parametrize("seed", [1, 4, 13])
@pytest.mark.parametrize("lid", [0.0, 0.3, 0.6])
def test_upper_lids_are_drawn_where_their_keypoints_are(seed: int, lid: float) -> None:
    """Coming down from the brow, the first dark row is the lash line, which lies on the upper lid."""
    me, values = make_identity(seed), rig(lid_left=lid, lid_right=lid)
    points, picture = placed(me, values), frontal(me, values)
    for point in (11, 15):
        x, y = round(points[point, 0]), points[point, 1]
        rows = picture[int(y) - 5 : int(y) + 7, x].sum(-1)
        assert abs(int(y) - 5 + int((rows < 0.65 * rows[:4].max()).argmax()) - y) <= 2.0


@pytest.mark.parametrize("name", ["brow_inner", "brow_outer", "brow_low"])
def test_brows_are_drawn_on_their_keypoints(name: str) -> None:
    me = make_identity(0)
    for amount in (0.0, 1.0):
        points, ink = placed(me, rig(**{name: amount})), painted(me, rig(**{name: amount}), "hair")
        for point in (1, 2):
            x, y = round(points[point, 0]), int(points[point, 1])
            weight = ink[y - 12 : y + 13, x]
            assert abs((weight * np.arange(y - 12, y + 13)).sum() / weight.sum() - points[point, 1]) <= 2.0


def test_gaze_turns_the_iris_and_leaves_the_mouth_alone() -> None:
    me = make_identity(1)
    points = placed(me, rig())
    left, right = (painted(me, rig(gaze_x=g), "iris") for g in (-1, 1))
    columns = np.arange(256)
    moved = (right.sum(0) * columns).sum() / right.sum() - (left.sum(0) * columns).sum() / left.sum()
    assert moved > 6
    change = np.abs(frontal(me, rig(gaze_x=1)) - frontal(me, rig(gaze_x=-1))).sum(-1)
    assert change[int(points[6, 1]) :].max() < 3


def test_under_any_pose_the_iris_lies_between_the_lid_keypoints() -> None:
    """The whole chain against the core's Eq. 1: turned, moved and scaled, the drawn eye stays on its keypoints."""
    me, scene = make_identity(4), make_scene(1)
    other = replace(me, iris=(0.1, 0.2, 1.0))
    for angles in ((15.0, 0.0, 0.0), (0.0, 25.0, 0.0), (-10.0, -20.0, 8.0)):
        pose = (np.array(angles), np.array([0.05, -0.04, 0.0]), 1.25)
        ink = np.abs(render(me, scene, rig(), *pose).astype(float) - render(other, scene, rig(), *pose)).sum(-1)
        points = place(
            torch.from_numpy(canonical_keypoints(me)),
            torch.tensor(angles),
            torch.zeros(21, 3),
            torch.tensor([0.05, -0.04, 0.0]),
            torch.tensor([1.25]),
        ).numpy()
        rows, columns = np.mgrid[:256, :256]
        for lids in ([11, 13], [15, 16]):
            want = (points[lids, :2].mean(0) + 1) * 128 - 0.5
            near = ink * (np.hypot(columns - want[0], rows - want[1]) < 10)
            got = np.array([(near * columns).sum(), (near * rows).sum()]) / near.sum()
            assert np.abs(got - want).max() <= 2.5


def test_turning_the_head_hides_the_far_ear_and_keeps_the_shoulders() -> None:
    me, scene = make_identity(0), make_scene(0)
    prefetch = render(me, scene, rig(), ZERO, ZERO, 1.3).astype(int)
    turned = render(me, scene, rig(), np.array([0.0, 30.0, 0.0]), ZERO, 1.3).astype(int)
    assert np.abs(prefetch - turned)[40:180].mean() > 3
    assert np.abs(prefetch - turned)[245:, :60].mean() < 1


def test_pictures_are_exactly_reproducible_and_scale_with_size() -> None:
    me, scene = make_identity(7), make_scene(3)
    pose = (np.array([5.0, -12.0, 3.0]), np.array([0.03, -0.02, 0.0]), 1.3)
    first, again = (render(me, scene, rig(jaw=0.4), *pose, size=64) for _ in range(2))
    assert first.dtype == np.uint8 and first.shape == (64, 64, 3) and (first == again).all()
    large = render(me, scene, rig(jaw=0.4), *pose, size=128).reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(large - first).mean() < 4
    assert render(me, scene, rig(), *pose, size=100).shape == (100, 100, 3)


def test_a_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"rig \(16,\)"):
        render(make_identity(0), make_scene(0), np.zeros(15), ZERO, ZERO, 1.0)
