"""The carried picture: G draws over what W moved."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_faces import (
    points,
    small,  # noqa: F401
    tiny,
)

from playmate_core.face import FaceConfig, FaceModel
from playmate_core.face.canvas import Canvas, displaced_picture, picture_in


def test_a_carried_picture_that_does_not_move_is_shown_as_it_was(small: FaceModel) -> None:
    image, at = torch.rand(1, 3, 64, 64), points(1)
    volume = small.appearance(image)
    assert torch.equal(picture_in(volume, 12, 8), image)
    warped = small.warping(volume, at, at)
    assert warped.canvas is not None
    torch.testing.assert_close(displaced_picture(warped.canvas.picture, warped.canvas.flow), image, atol=1e-4, rtol=0)
    still = F.pixel_shuffle(warped.features[:, 48 + 48 :], 4)
    torch.testing.assert_close(still, F.avg_pool2d(image, 2), atol=1e-6, rtol=0)


def canvas(side: int = 32) -> Canvas:
    axis = torch.linspace(-1, 1, 4)
    flow = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[None]
    where = torch.tensor([[[0.5, -0.5], [2.0, 0.0]]])
    return Canvas(torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)), flow, where)


def test_a_mark_lies_on_its_keypoint_and_fades_beside_it() -> None:
    for size in (8, 64):
        marks = canvas().marks(size, size)
        assert marks.shape == (1, 2, size, size)
        row, column = divmod(int(marks[0, 0].argmax()), size)
        assert (
            abs((column + 0.5) * 2 / size - 1 - 0.5) <= 1 / size and abs((row + 0.5) * 2 / size - 1 + 0.5) <= 1 / size
        )
        assert float(marks[0, 0, 0, 0]) < 1e-6 and not marks[0, 1].gt(1e-6).any(), (
            "outside the picture there is no mark"
        )


@pytest.mark.parametrize(("share", "wanted"), [(0, "painted"), (1, "moved"), (2, "still")])
def test_the_shares_choose_what_is_shown(share: int, wanted: str) -> None:
    made, told = canvas(), torch.zeros(1, 8, 32, 32)
    told[:, 5 + share] = 30.0
    told[:, 0] = 3.0
    shown = made.blend(made.layers_of(told))
    painted = torch.tensor([3.0, 0.0, 0.0]).sigmoid()[None, :, None, None].expand_as(shown)
    torch.testing.assert_close(shown, painted if wanted == "painted" else made.picture, atol=1e-4, rtol=0)


def test_looking_beside_the_flow_shows_what_lies_there() -> None:
    made, told = canvas(41), torch.zeros(1, 8, 41, 41)
    told[:, 6] = 30.0
    told[:, 3] = 30.0  # a tenth of a half to the right: two of its twenty pixels
    torch.testing.assert_close(made.blend(made.layers_of(told))[..., :-2], made.picture[..., 2:], atol=1e-4, rtol=0)


def test_g_says_when_its_canvas_is_missing_or_not_asked_for(small: FaceModel) -> None:
    with pytest.raises(ValueError, match="needs a canvas, got None"):
        small.generator(torch.rand(1, small.config.label_channels, 8, 8))
    with pytest.raises(ValueError, match="needs no canvas"):
        tiny().generator(torch.rand(1, 8, 8, 8), canvas())


def test_before_training_g_shows_mostly_the_moved_picture(small: FaceModel) -> None:
    torch.manual_seed(3)
    fresh, image, at = FaceModel(FaceConfig.small()).eval(), torch.full((1, 3, 128, 128), 0.5), points(1)
    with torch.inference_mode():
        drawn = fresh.draw(fresh.appearance(image), at, at)
    assert float((drawn - 0.5).abs().max()) < 0.08


def test_g_without_its_look_copies_from_where_the_flow_leads(small: FaceModel) -> None:
    model, image, at = FaceModel(FaceConfig.small()).eval(), torch.rand(1, 3, 128, 128), points(1)
    torch.nn.init.normal_(model.generator.conv_img[0].weight, std=0.05)  # type: ignore[arg-type]
    with torch.inference_mode():
        warped = model.warping(model.appearance(image), at, at)
        assert warped.canvas is not None
        before = warped.canvas.layers_of(model.generator.output(warped.features, warped.canvas))
        model.generator.forget_look()
        after = warped.canvas.layers_of(model.generator.output(warped.features, warped.canvas))
    assert bool(before.look.any()) and not bool(after.look.any())
    assert torch.equal(before.generated, after.generated) and torch.equal(before.shares, after.shares)
    with pytest.raises(ValueError, match="copies nothing"):
        tiny().generator.forget_look()
