"""Crops: known answers from the reference, round trips, and a picture that stays itself outside the face."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playmate_core.detection import detect, detectors
from playmate_core.detection.crop import (
    CropOptions,
    Paster,
    Patch,
    Square,
    crop_to_image,
    cut,
    inverse,
    move_points,
    shrink,
    square_from_box,
    square_from_landmarks,
    whole_to_image,
)
from playmate_core.detection.detect import Face, find_crop
from playmate_core.detection.paste_mask import crop_mask
from playmate_core.detection.paste_options import feather
from playmate_core.errors import UserError

squares = st.builds(Square, st.floats(20, 180), st.floats(20, 180), st.floats(10, 150), st.floats(-3, 3))
FIVE = torch.tensor(
    [[200.0304, 127.1647], [237.6692, 152.296], [172.9352, 136.3989], [185.6133, 188.658], [183.9149, 190.8041]]
)


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth colours, so that resampling has little to lose."""
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 4, width), indexing="ij")
    return torch.stack([(x + seed).sin(), (x + y).cos(), (2 * y - seed).sin()], -1) * 0.5 + 0.5


def test_the_reference_square_of_five_landmarks() -> None:
    square = square_from_landmarks(FIVE)
    assert (square.x, square.y, square.side, square.angle) == pytest.approx(
        (204.4954, 145.5309, 143.6171, 0.5983), abs=1e-3
    )


def test_the_square_turns_and_grows_with_the_face() -> None:
    turn = math.radians(25)
    matrix = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    before, after = square_from_landmarks(FIVE), square_from_landmarks(2 * FIVE @ matrix)
    assert after.side == pytest.approx(2 * before.side, rel=1e-5)
    assert after.angle == pytest.approx(before.angle + turn, abs=1e-5)
    centre = 2 * torch.tensor([before.x, before.y]) @ matrix
    assert (after.x, after.y) == pytest.approx(tuple(centre.tolist()), rel=1e-4)
    assert square_from_landmarks(FIVE, CropOptions(upright=True)).angle == 0


@given(squares, st.integers(16, 512))
@settings(max_examples=50, deadline=None)
def test_the_affine_maps_the_centre_and_inverts(square: Square, size: int) -> None:
    affine = crop_to_image(square, size)
    assert move_points(torch.tensor([size / 2, size / 2]), affine).tolist() == pytest.approx(
        [square.x, square.y], abs=1e-3
    )
    points = torch.rand(7, 2) * size
    assert torch.allclose(move_points(move_points(points, affine), inverse(affine)), points, atol=size * 1e-4)
    assert abs(torch.det(affine[:, :2])) ** 0.5 == pytest.approx(square.side / size, rel=1e-4)


def test_boxes_make_squares() -> None:
    square = square_from_box((10, 20, 50, 100), CropOptions(scale=2.0, shift=-0.1))
    assert (square.x, square.y, square.side, square.angle) == pytest.approx((30, 44, 160, 0))
    with pytest.raises(ValueError, match="right > left"):
        square_from_box((10, 10, 10, 20))


def test_the_whole_picture_is_its_own_crop() -> None:
    image = picture(64, 64)
    assert torch.equal(cut(image, whole_to_image(64, 64, 64), 64), image)
    assert torch.allclose(cut(image, whole_to_image(64, 64, 32), 32), shrink(image, 32), atol=1e-6)
    wide = picture(64, 100)
    assert torch.equal(cut(wide, whole_to_image(64, 100, 64), 64), wide[:, 18:82])


def test_small_crops_of_large_pictures_do_not_alias() -> None:
    stripes = (torch.arange(512) % 2).float()[None, :, None].expand(512, 512, 3).contiguous()
    assert (cut(stripes, whole_to_image(512, 512, 64), 64) - 0.5).abs().max() < 0.01


def test_beyond_the_picture_lies_its_edge_or_black() -> None:
    image, affine = picture(40, 40), crop_to_image(Square(0, 20, 40), 40)
    edge, black = (cut(image, affine, 40, beyond) for beyond in ("edge", "black"))
    assert black[:, :19].max() == 0 and torch.equal(black[:, 21:], edge[:, 21:])
    assert torch.allclose(edge[:, :19], image[:, :1].expand(-1, 19, -1), atol=1e-5)


def test_the_feather_is_the_reference_mask() -> None:
    mask = feather(512)
    assert mask[256, 256] == 255 and mask[256, 0] == 0 and mask[256, 511] == 15 and mask[0, 0] == 0
    assert mask[256, 16] == 255 and mask[256, 8] == 127 and feather(256)[128, 4] == 127


@given(squares, st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_pasting_touches_nothing_outside_and_is_exact_inside(square: Square, seed: int) -> None:
    image = (picture(200, 200, seed) * 255).to(torch.uint8)
    affine = crop_to_image(square, 64)
    red = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    red[..., 0] = 255
    before = image.clone()
    pasted = Paster(image, affine, 64).paste(red)
    assert torch.equal(image, before) and torch.equal(pasted[0], pasted[1])
    y, x = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    places = move_points(torch.stack([x, y], -1), inverse(affine))
    reach = 64 / square.side + 1  # crop pixels under one of the picture's
    outside = ((places < -reach) | (places > 63 + reach)).any(-1)
    inside = ((places > 2 + reach) & (places < 61 - reach)).all(-1)
    assert torch.equal(pasted[0][outside], image[outside])
    assert (pasted[0][inside].float() - torch.tensor([255.0, 0, 0])).abs().sum() == 0


def test_pasting_the_crop_itself_changes_next_to_nothing() -> None:
    image = (picture(120, 160) * 255).to(torch.uint8)
    affine = crop_to_image(Square(80, 60, 70, 0.2), 70)
    pasted = Paster(image, affine, 70).paste(cut(image, affine, 70)[None])
    assert (pasted[0].int() - image.int()).abs().max() <= 2


def test_a_given_mask_says_what_is_pasted() -> None:
    image = (picture(120, 160) * 255).to(torch.uint8)
    affine = crop_to_image(Square(80, 60, 64), 64)
    mask = torch.zeros(120, 160)
    mask[50:60, 70:90] = 1
    black = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    pasted = Paster(image, affine, 64, crop_mask(mask, affine, 64)).paste(black)[0]
    changed = (pasted != image).any(-1)
    assert changed[51:59, 71:89].all() and not changed[:48].any() and not changed[:, 92:].any()
    whole = crop_mask(torch.ones(120, 160), affine, 64)
    assert (whole == feather(64)).all()  # however large the mask, the border of the crop fades
    with pytest.raises(ValueError, match="mask is empty"):
        Paster(image, affine, 64, crop_mask(torch.zeros(120, 160), affine, 64))


def test_a_plate_of_four_thousand_pixels_costs_the_face_box() -> None:
    """Only the box is computed; the rest is the plate, bit for bit, and may even be read-only."""
    plate = torch.randint(0, 256, (2160, 3840, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    affine = crop_to_image(Square(3000, 500, 700, 0.3), 256)
    patch = Patch(affine, 256, 2160, 3840)
    rows, columns = patch.box
    assert rows.stop - rows.start < 1000 and columns.stop - columns.start < 1000
    pasted = Paster(plate, affine, 256).paste(torch.zeros(1, 256, 256, 3, dtype=torch.uint8))[0]
    changed = (pasted != plate).any(-1)
    changed[rows, columns] = False
    assert not changed.any() and pasted[500, 3000].sum() == 0
    moving = patch.paste(plate.numpy(), np.zeros((256, 256, 3), np.uint8))
    assert np.array_equal(moving, pasted.numpy())


def test_pasting_cuts_off_parts_of_grey_levels() -> None:
    """Every share of every pair of bytes, against whole numbers: floor((m a + (255 - m) b) / 255)."""
    m, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    mask, plate = m.astype(np.uint8), np.repeat(b.astype(np.uint8)[..., None], 3, 2)
    same = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    patch = Patch(same, 256, 256, 256, mask)
    for a in (0, 1, 77, 128, 254, 255):
        wanted = plate.copy()
        wanted[1:] = ((m * a + (255 - m) * b) // 255)[1:, :, None]  # the first row's share is none
        assert np.array_equal(patch.paste(plate, np.full((256, 256, 3), a, np.uint8)), wanted)


def test_a_crop_beyond_the_picture_is_cut_off_and_one_outside_refused() -> None:
    image = (picture(60, 60) * 255).to(torch.uint8)
    corner = Paster(image, crop_to_image(Square(0, 0, 40), 32), 32).paste(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    assert corner[0, 0, 0].sum() == 0 and torch.equal(corner[0, 30:, 30:], image[30:, 30:])
    with pytest.raises(ValueError, match="outside the picture"):
        Paster(image, crop_to_image(Square(200, 30, 40), 32), 32)


def test_auto_takes_square_pictures_whole_and_asks_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch.equal(find_crop(picture(100, 104), 64), whole_to_image(100, 104, 64))
    monkeypatch.setattr(detectors, "installed", lambda package: False)
    for how in ("auto", "insightface"):
        with pytest.raises(UserError, match="insightface"):
            find_crop(picture(100, 200), 64, how)
    with pytest.raises(UserError, match="choose auto"):
        find_crop(picture(100, 200), 64, "nonsense")
    with pytest.raises(UserError, match="inside the 200 x 100 picture"):
        find_crop(picture(100, 200), 64, (0, 0, 300, 100))


def test_a_detector_is_a_table_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def one(image: torch.Tensor) -> tuple[Face, ...]:
        return (Face((0, 0, 9, 9), FIVE, 1.0),)

    monkeypatch.setitem(detect.DETECTORS, "mine", lambda: one)
    assert torch.equal(find_crop(picture(300, 400), 64, "mine"), crop_to_image(square_from_landmarks(FIVE), 64))
    monkeypatch.setitem(detect.DETECTORS, "mine", lambda: lambda image: ())
    with pytest.raises(UserError, match="No face was found"):
        find_crop(picture(300, 400), 64, "mine")
