"""Faces that the networks hardly know: their own expression is kept, and lids close no further than known ones do."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from shared_facts import SHARED
from torch import Tensor

from playmate_core.detection import detectors
from playmate_core.detection.detectors import Face
from playmate_core.face import FaceModel
from playmate_core.keypoint_space import PLAYMATE_DEMO
from playmate_core.media.images import read_picture
from playmate_core.motion.directions import has_directions
from playmate_core.motion.driving import DrivingOptions
from playmate_core.motion.expression_layer import lid_apertures, open_lids
from playmate_core.motion.lips_and_lids import Blinks, limit_lid_closing, with_blinks
from playmate_core.motion.motion_file import MotionClip
from playmate_core.rendering.portrait import FaceLimits, read_portrait
from playmate_core.rendering.render import RenderOptions, relative_to_rest
from playmate_core.rendering.source_image import SourcePortrait, read_source_portrait
from playmate_core.rendering.trajectory import portrait_trajectory
from playmate_core.values import LIDS, Motion, Portrait, Pose
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled

FRAMES = 250
CARD = torch.tensor([0.9, 0.5, 0.1])
PAINTING = SHARED / "media" / "portrait_painting_2.jpg"


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return load_face(bundled("face.safetensors"))


@pytest.fixture(scope="module")
def known(face: FaceModel) -> Portrait:
    return read_portrait(face, read_picture(bundled("portrait.png")))


def blinking(portrait: Portrait) -> Motion:
    """Ten seconds with the known portrait's expression, its usual lids and several blinks."""
    rest = portrait.rest
    stays = (value.expand(FRAMES, *value.shape[1:]) for value in (rest.pose.rotation, rest.pose.translation))
    pose = Pose(*stays, rest.pose.scale.expand(FRAMES, *rest.pose.scale.shape[1:]), rest.fps)
    motion = Motion(pose, rest.expression.expand(FRAMES, -1, -1).clone(), rest.keypoint_space)
    return with_blinks(motion, Blinks("add", 30.0, seed=2))


def with_lids(portrait: Portrait, apart: float) -> Portrait:
    """The portrait as one whose lids are read as ``apart``, of a face that the networks hardly know."""
    expression = portrait.rest.expression.clone()
    for upper, lower in LIDS:
        expression[:, lower, 1] = expression[:, upper, 1] + apart
    return replace(portrait, rest=replace(portrait.rest, expression=expression), familiar=False)


def shut(motion: Motion) -> Tensor:
    return lid_apertures(motion).amin(0)


def test_a_known_face_is_drawn_under_the_motion_as_it_is(known: Portrait) -> None:
    motion = blinking(known)
    assert known.familiar and RenderOptions().expressed(known, motion) is motion
    assert torch.equal(
        RenderOptions("relative").expressed(known, motion).expression, relative_to_rest(known, motion).expression
    )


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.2])
def test_lids_of_an_unfamiliar_face_close_as_far_as_known_ones(known: Portrait, share: float) -> None:
    motion = blinking(known)
    usual, closed = open_lids(motion), shut(motion)
    portrait = with_lids(known, float((closed + share * (usual - closed)).mean()))
    shown, plain = RenderOptions().expressed(portrait, motion), relative_to_rest(portrait, motion)
    assert torch.allclose(open_lids(shown), lid_apertures(portrait.rest)[0], atol=2e-3)  # its own eyes are kept
    assert bool((shut(shown) > closed - 2e-3).all())
    if share < 1:
        assert bool((shut(shown) < closed + 2e-3).all())  # and still shut
        assert bool((shut(plain) < closed - 0.05 * (usual - closed)).all())  # what happened without
    still = [k for k in range(21) if k not in {k for lids in LIDS for k in lids}]
    assert torch.equal(shown.expression[:, still], plain.expression[:, still])


def test_what_was_chosen_is_done(known: Portrait) -> None:
    motion = blinking(known)
    assert RenderOptions("absolute").expressed(replace(known, familiar=False), motion) is motion


@pytest.mark.skipif(not PAINTING.is_file(), reason="the painting beside the project is not here")
def test_a_painting_gets_one_warning_that_says_what_is_done(
    face: FaceModel, known: Portrait, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    picture = read_picture(Path(PAINTING))
    height, width = picture.shape[:2]
    mesh = torch.rand(478, 2, generator=torch.Generator().manual_seed(1))
    mesh[[473, 468, 14]] = torch.tensor([[0.7, 0.3], [0.3, 0.3], [0.5, 0.8]])
    found = Face.of(mesh * width / 4 + torch.tensor([width * 0.4, height * 0.2]))
    monkeypatch.setitem(detectors.DETECTORS, "one", lambda: lambda image: (found,))
    with caplog.at_level(logging.WARNING):
        portrait = read_source_portrait(face, picture, "one", limits=FaceLimits(flip_degrees=0.1)).portrait
    assert not portrait.familiar and portrait.keypoint_space == PLAYMATE_DEMO
    (said,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "hardly knows" in said and "--expression" in said and "LivePortrait's weights" in said
    motion = blinking(known)
    shown = RenderOptions().expressed(portrait, motion)
    assert torch.allclose(shown.expression[0], portrait.rest.expression[0], atol=1e-6)
    assert bool((shut(shown) > shut(motion) - 2e-3).all())


def test_any_picture_is_accepted_and_still_looked_at(
    face: FaceModel, known: Portrait, caplog: pytest.LogCaptureFixture
) -> None:
    """Without limits nothing is refused, and the confidence still says how the face is to be drawn."""
    for picture, familiar in (
        (known.image, True),
        (torch.linspace(0, 1, 256).expand(256, 256)[..., None] * CARD, False),
    ):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            portrait = read_source_portrait(face, picture, "whole").portrait
        assert portrait.familiar is familiar
        assert len(caplog.records) == (not familiar), caplog.text


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_driving_an_unfamiliar_face_closes_its_lids_no_further(face: FaceModel, known: Portrait, share: float) -> None:
    """``animate`` in relative mode adds the driver's blinks as well."""
    motion = blinking(known)
    usual, closed = open_lids(motion), shut(motion)
    portrait = with_lids(known, float((closed + share * (usual - closed)).mean()))
    portrait = replace(portrait, rest=replace(portrait.rest, pose=known.rest.pose))
    clip, how = MotionClip(motion), DrivingOptions(stitching=False, priority="pose")

    def driven(one: Portrait, options: DrivingOptions = how) -> Tensor:
        return portrait_trajectory(face, SourcePortrait(one), clip, options).x_d(0, FRAMES)

    def apart(points: Tensor) -> Tensor:
        return (points[:, LIDS[0][1], 1] - points[:, LIDS[0][0], 1]).amin()

    limited, plain = driven(portrait), driven(replace(portrait, familiar=True))
    assert apart(limited) > apart(plain) + 0.01
    assert torch.allclose(apart(limited), apart(driven(known)), atol=0.02)
    absolute = replace(how, mode="absolute")
    assert torch.equal(driven(portrait, absolute), driven(replace(portrait, familiar=True), absolute))


def test_keypoints_without_measured_directions_are_drawn_without_the_limit(known: Portrait) -> None:
    motion = replace(blinking(known), keypoint_space="somebody's own")
    portrait = with_lids(known, 0.01)
    assert not has_directions(motion.keypoint_space) and has_directions(known.keypoint_space)
    assert limit_lid_closing(relative_to_rest(portrait, motion), motion).expression.isfinite().all()
