"""Pictures and videos through the face networks: shapes, batches, precision, and the face check."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.appearance import AppearanceExtractor
from playmate_core.geometry import place
from playmate_core.media.images import from_bytes, to_bytes
from playmate_core.rendering.portrait import (
    FaceConfidence,
    FaceLimits,
    face_confidence,
    read_motion,
    read_portrait,
    require_face,
)


@pytest.fixture(scope="module")
def face() -> FaceModel:
    torch.manual_seed(0)
    return FaceModel(FaceConfig.tiny()).eval()


def image(height: int = 80, width: int = 80, seed: int = 0) -> Tensor:
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))


def test_a_portrait_holds_what_the_networks_read(face: FaceModel) -> None:
    picture = image()
    before = picture.clone()
    portrait = read_portrait(face, picture)
    assert torch.equal(picture, before) and portrait.image is picture
    assert portrait.crop_size == 2 * face.config.image_size and len(portrait.rest) == 1
    assert portrait.keypoints.shape == (21, 3) and portrait.appearance.ndim == 4
    assert all(t.dtype == torch.float32 and not t.is_inference() for t in (portrait.appearance, portrait.keypoints))


def test_the_portrait_of_a_crop_sized_picture_is_read_from_its_own_pixels(face: FaceModel) -> None:
    size = face.config.image_size
    halved = from_bytes(to_bytes(image(size, size)))
    picture = halved.repeat_interleave(2, 0).repeat_interleave(2, 1)
    with torch.no_grad():
        reading = face.read(halved.movedim(-1, 0)[None])
    portrait = read_portrait(face, picture, "whole")
    assert torch.allclose(portrait.keypoints, reading.keypoints[0], atol=1e-5)
    assert torch.allclose(portrait.rest.pose.rotation, reading.rotation, atol=1e-3)


def test_a_box_reads_the_same_as_its_crop(face: FaceModel) -> None:
    """The box only says where to look: the same pixels elsewhere in a larger picture give the same portrait."""
    small, large = image(80, 80), torch.zeros(200, 240, 3)
    large[60:140, 100:180] = small
    here = read_portrait(face, small, (28.0, 28.0, 52.0, 52.0))
    there = read_portrait(face, large, (128.0, 88.0, 152.0, 112.0))
    assert torch.allclose(here.keypoints, there.keypoints, atol=1e-4)
    assert torch.allclose(there.crop_to_image[:, 2] - here.crop_to_image[:, 2], torch.tensor([100.0, 60.0]), atol=1e-3)


def test_a_video_reads_the_same_in_any_batches_and_holds_few_frames(face: FaceModel) -> None:
    alive: list[int] = []

    def video() -> object:
        for i in range(11):
            alive.append(i)
            yield (image(64, 64, i) * 255).to(torch.uint8).numpy()

    told: list[tuple[int, int]] = []
    one = read_motion(face, video(), 30.0, batch=1)  # type: ignore[arg-type]
    alive.clear()
    four = read_motion(
        face,
        video(),  # type: ignore[arg-type]
        30.0,
        batch=4,
        total=11,
        progress=lambda step, total: told.append((step, len(alive))),
    )
    assert len(one) == 11 and one.fps == 30.0
    assert torch.allclose(one.expression, four.expression, atol=1e-5)
    assert torch.allclose(one.pose.rotation, four.pose.rotation, atol=1e-3)
    assert told == [(4, 4), (8, 8), (11, 11)]  # no frame is asked for before it is needed


def test_a_video_without_frames_is_refused(face: FaceModel) -> None:
    with pytest.raises(UserError, match="no frame"):
        read_motion(face, [])


def test_the_module_decides_the_precision() -> None:
    torch.manual_seed(0)
    face = FaceModel(FaceConfig.tiny()).eval().double()
    portrait = read_portrait(face, image())
    assert portrait.keypoints.dtype == portrait.appearance.dtype == torch.float32
    assert read_motion(face, [image()]).expression.dtype == torch.float32


def test_a_lowered_model_reads_pose_and_keypoints_as_before() -> None:
    """Half precision is for pictures: M and S stay float32, F's volume is a little off."""
    torch.manual_seed(0)
    face = FaceModel(FaceConfig.tiny()).eval()
    whole = read_portrait(face, image())
    lowered = read_portrait(copy.deepcopy(face).set_compute_dtype(torch.bfloat16), image())
    assert torch.equal(lowered.keypoints, whole.keypoints)
    assert torch.equal(lowered.rest.pose.rotation, whole.rest.pose.rotation)
    assert torch.equal(lowered.rest.expression, whole.rest.expression)
    assert 0 < float((lowered.appearance - whole.appearance).abs().max()) < 0.1 * float(whole.appearance.abs().max())


def test_an_appearance_that_half_precision_spoils_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    face = FaceModel(FaceConfig.tiny()).eval()
    plain = AppearanceExtractor.forward

    def overflowing(self: AppearanceExtractor, seen: Tensor) -> Tensor:
        return plain(self, seen) * (1.0 if seen.dtype == torch.float32 else float("inf"))

    monkeypatch.setattr(AppearanceExtractor, "forward", overflowing)
    whole = read_portrait(face, image()).appearance
    lowered = read_portrait(copy.deepcopy(face).set_compute_dtype(torch.bfloat16), image()).appearance
    torch.testing.assert_close(lowered, whole, atol=0.1 * float(whole.abs().max()), rtol=0)


class Mirrorable(torch.nn.Module):
    """A stand-in that reads where the light is, so that mirroring is exact, and draws its input."""

    def __init__(self, skew: float, moves: float = 1.0) -> None:
        super().__init__()
        self.moves = moves
        self.config, self.skew = FaceConfig.tiny(), torch.nn.Parameter(torch.tensor(skew))
        self.motion = torch.nn.Linear(1, 1)

    def appearance(self, image: Tensor) -> Tensor:
        return image[:, :, None]

    def read(self, image: Tensor) -> object:
        from playmate_core.face import FaceReading

        count = len(image)
        lit = (image.mean(1) > 0.5).float()
        axis = torch.linspace(-1, 1, image.shape[-1])
        across = (lit.sum(1) * axis).sum(-1, keepdim=True) / lit.sum((1, 2))[:, None]
        down = (lit.sum(2) * axis).sum(-1, keepdim=True) / lit.sum((1, 2))[:, None]
        zero = torch.zeros_like(across)
        x = across * 100
        rotation = torch.cat([zero, x + self.skew, -x + self.skew], 1)
        points = torch.tensor([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.3, 0.0]]).repeat(count, 7, 1)
        still = torch.zeros(count, 21, 3)
        logits = torch.zeros(count, 3, 66)
        rotation = rotation.detach()
        where = torch.cat([across * self.moves, down * self.moves, zero], 1).detach()
        return FaceReading(points, rotation, where, torch.ones(count, 1), still, logits)

    def draw(self, volume: Tensor, x_s: Tensor, x_d: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(volume[:, :, 0], scale_factor=2.0)


def test_the_face_check_sees_broken_symmetry() -> None:
    smooth = torch.full((64, 64, 3), 0.2)
    smooth[20:44, 16:40] = 0.9
    good, skewed = Mirrorable(0.0), Mirrorable(20.0)
    confident = face_confidence(good, read_portrait(good, smooth))  # type: ignore[arg-type]
    assert confident.flip_degrees < 0.1 and confident.reconstruction > 20 and confident.shift < 0.01
    require_face(confident)
    doubtful = face_confidence(skewed, read_portrait(skewed, smooth))  # type: ignore[arg-type]
    assert doubtful.flip_degrees == pytest.approx(2 / 3 * 40, abs=0.1)
    with pytest.raises(UserError, match="No face was recognised"):
        require_face(doubtful)
    stuck = face_confidence(Mirrorable(0.0, 0.0), read_portrait(good, smooth))  # type: ignore[arg-type]
    assert stuck.shift > 0.1  # the picture moves, what is read of it does not
    with pytest.raises(UserError, match="No face"):
        require_face(stuck)
    with pytest.raises(UserError, match="No face"):
        require_face(FaceConfidence(0.0, 0.0, 5.0, 0.0), FaceLimits(reconstruction=6.0))


def test_place_agrees_with_the_reading(face: FaceModel) -> None:
    portrait = read_portrait(face, image())
    pose = portrait.rest.pose
    x = place(portrait.keypoints, pose.rotation, portrait.rest.expression, pose.translation, pose.scale)
    assert x.shape == (1, 21, 3) and torch.isfinite(x).all()
