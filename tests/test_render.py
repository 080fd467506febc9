"""Rendering: the same frames whatever the batches, one batch at a time, and the picture untouched around the face."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from float_frames import render_float
from torch import Tensor

from playmate_core.detection.crop import inverse, move_points
from playmate_core.detection.paste_options import feather
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.media.images import to_bytes
from playmate_core.rendering.portrait import read_portrait, to_network
from playmate_core.rendering.render import (
    RenderOptions,
    driving_keypoints,
    paste_back,
    relative_to_rest,
    render,
)
from playmate_core.values import Motion, Portrait, Pose


@pytest.fixture(scope="module")
def face() -> FaceModel:
    torch.manual_seed(0)
    face = FaceModel(FaceConfig.tiny()).eval()
    for parameter in face.parameters():  # fresh weights draw an even grey; livelier ones show differences
        if parameter.ndim > 1:
            parameter.data *= 1.5
    return face


@pytest.fixture(scope="module")
def portrait(face: FaceModel) -> Portrait:
    return read_portrait(face, torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(1)))


def motion(frames: int, seed: int = 2) -> Motion:
    random = torch.Generator().manual_seed(seed)
    rotation, translation = (torch.randn(frames, 3, generator=random) * s for s in (8.0, 0.1))
    pose = Pose(rotation, translation, torch.full((frames, 1), 1.3))
    return Motion(pose, torch.randn(frames, 21, 3, generator=random) * 0.1)


def test_frames_do_not_depend_on_the_batch(face: FaceModel, portrait: Portrait) -> None:
    drawn = [torch.cat(list(render_float(face, portrait, motion(7), RenderOptions(batch=n)))) for n in (1, 3, 8)]
    assert drawn[0].shape == (7, 64, 64, 3) and drawn[0].std(0).mean() > 1e-4  # frames differ
    for other in drawn[1:]:
        assert torch.allclose(
            drawn[0], other, atol=1e-4
        )  # a fortieth of a grey level: convolutions sum in other orders
    again = torch.cat(list(render_float(face, portrait, motion(7), RenderOptions(batch=3))))
    assert torch.equal(drawn[1], again)


def test_in_double_precision_the_batch_leaves_no_trace(face: FaceModel, portrait: Portrait) -> None:
    exact = copy.deepcopy(face).double()
    one, all_at_once = (
        torch.cat(list(render_float(exact, portrait, motion(7), RenderOptions(batch=n)))) for n in (1, 7)
    )
    assert torch.allclose(one, all_at_once, atol=1e-7)


def test_batches_are_made_only_when_asked_for(face: FaceModel, portrait: Portrait) -> None:
    told: list[tuple[int, int]] = []
    batches = render(
        face, portrait, motion(100), RenderOptions(batch=2), lambda step, total: told.append((step, total))
    )
    assert next(batches).shape == (2, 64, 64, 3) and told == []
    next(batches)
    assert told == [(2, 100)]


def test_progress_reaches_the_end_and_may_cancel(face: FaceModel, portrait: Portrait) -> None:
    told: list[tuple[int, int]] = []
    frames = list(render(face, portrait, motion(5), RenderOptions(batch=2), lambda s, t: told.append((s, t))))
    assert [len(f) for f in frames] == [2, 2, 1] and told == [(2, 5), (4, 5), (5, 5)]
    assert frames[0].dtype == torch.uint8

    def cancel(step: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(render(face, portrait, motion(5), RenderOptions(batch=2), cancel))


def test_the_equation_of_one_frame(face: FaceModel, portrait: Portrait) -> None:
    """I = G(W(F(I_s), x_s, x_d)), composed here by hand."""
    options = RenderOptions(stitching=False, profile="plain")
    x_s, x_d = driving_keypoints(face, portrait, motion(1), options)
    with torch.no_grad():
        image = face.generator(face.warping(portrait.appearance[None], x_s, x_d).features)
    drawn = next(render_float(face, portrait, motion(1), options))
    assert torch.allclose(drawn, image.movedim(1, -1), atol=1e-5)


def test_stitching_is_used_where_it_exists(face: FaceModel, portrait: Portrait) -> None:
    assert face.stitching is not None
    _, plain = driving_keypoints(face, portrait, motion(3), RenderOptions(stitching=False))
    x_s, stitched = driving_keypoints(face, portrait, motion(3), RenderOptions())
    with torch.no_grad():
        assert torch.allclose(stitched, face.stitching(x_s.expand_as(plain), plain), atol=1e-6)
    assert not torch.allclose(stitched, plain)
    bare = FaceModel(replace(FaceConfig.tiny(), with_stitching=False)).eval()
    assert torch.equal(driving_keypoints(bare, portrait, motion(3), RenderOptions())[1], plain)


def test_relative_starts_from_the_face_of_the_picture(portrait: Portrait) -> None:
    moved = motion(4)
    relative = relative_to_rest(portrait, moved)
    assert torch.allclose(relative.expression[:1], portrait.rest.expression, atol=1e-6)
    assert torch.allclose(relative.expression.diff(dim=0), moved.expression.diff(dim=0), atol=1e-6)
    assert torch.equal(relative.pose.rotation, moved.pose.rotation)
    neutral = moved[2:3]
    assert torch.allclose(relative_to_rest(portrait, moved, neutral).expression[2:3], portrait.rest.expression)


def test_options_refuse_nonsense() -> None:
    with pytest.raises(ValueError, match="auto, absolute, relative"):
        RenderOptions(expression="sideways")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 1 to 1024"):
        RenderOptions(batch=0)


def test_pasting_back_keeps_the_picture(face: FaceModel) -> None:
    image = torch.rand(150, 200, 3, generator=torch.Generator().manual_seed(3))
    portrait = read_portrait(face, image, (80.0, 60.0, 110.0, 90.0))
    frames = list(paste_back(portrait, render(face, portrait, motion(3), RenderOptions(batch=2))))
    assert [tuple(f.shape) for f in frames] == [(2, 150, 200, 3), (1, 150, 200, 3)]
    y, x = torch.meshgrid(torch.arange(150.0), torch.arange(200.0), indexing="ij")
    places = move_points(torch.stack([x, y], -1), inverse(portrait.crop_to_image))
    outside = ((places < -1) | (places > 64)).any(-1)
    centre = ((places > 10) & (places < 54)).all(-1)
    assert feather(64)[10:54, 10:54].min() == 255
    for frame in torch.cat(frames):
        assert torch.equal(frame[outside], to_bytes(image)[outside])
        assert not torch.equal(frame[centre], to_bytes(image)[centre])


def test_bytes_survive_the_round_trip() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(every.float() / 255), every)
    assert to_bytes(torch.tensor([-1.0, 2.0, 0.999])).tolist() == [0, 255, 254]


def test_the_network_sees_channels_first(face: FaceModel) -> None:
    pictures: Tensor = torch.rand(2, 8, 8, 3)
    assert torch.equal(to_network(face, pictures)[1, 2], pictures[1, :, :, 2])
