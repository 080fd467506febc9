"""Transparent portraits: laid on a colour, or kept as alpha; masks and feathers of what is pasted back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from playmate_core.detection.crop import Paster
from playmate_core.detection.ditto_pictures import DITTO_LONGEST_SIDE, limited_picture
from playmate_core.detection.paste_mask import crop_mask
from playmate_core.detection.paste_options import PASTE_SHAPES, PasteOptions, feather
from playmate_core.diffusion.request import joined
from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.media import transparency
from playmate_core.media.images import from_bytes, read_picture, read_transparent_picture, to_bytes
from playmate_core.media.transparency import WHITE, lay_on, read_colour, with_alpha
from playmate_core.media.video_formats import VIDEO_FORMATS
from playmate_core.media.video_options import VideoOptions
from playmate_core.motion.motion_file import MotionClip, save_motion_clip
from playmate_core.pipelines.animate import AnimateRequest, animate
from playmate_core.rendering.moving_alpha import moving_alpha
from playmate_core.rendering.portrait import read_portrait
from playmate_core.rendering.write_video import Composition, portrait_job
from playmate_core.values import Motion, Portrait, Pose, Transparency
from playmate_core.weights.files import load_face
from playmate_core.weights.folders import bundled

SIDE = 96
PNG = VideoOptions(codec="png")
WHOLE = torch.tensor([[1.0, 0, 0], [0, 1, 0]])


@pytest.fixture(scope="module")
def transparent(workshop: Path) -> Path:
    """A face whose alpha is a disc with a soft edge."""
    down, across = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(across - 47.5, down - 47.5)
    picture = np.zeros((SIDE, SIDE, 4), np.uint8)
    picture[..., :3] = np.where(away[..., None] < 25, (150, 170, 220), (90, 140, 60))
    picture[..., 3] = np.clip((42 - away) * 30, 0, 255)
    path = workshop / "transparent.png"
    cv2.imwrite(str(path), picture)
    return path


@pytest.fixture(scope="module")
def motion_file(workshop: Path) -> Path:
    path = workshop / "transparent_motion.safetensors"
    pose = Pose(torch.zeros(4, 3), torch.zeros(4, 3), torch.ones(4, 1), 25.0)
    save_motion_clip(MotionClip(Motion(pose, torch.zeros(4, 21, 3))), path)
    return path


def request(face: Path, portrait: Path, motion: Path, output: Path, **more: object) -> AnimateRequest:
    return AnimateRequest(portrait, motion, output, weights=face, limits=None, crop="whole", **more)  # type: ignore[arg-type]


def test_a_picture_is_laid_on_its_background(transparent: Path) -> None:
    stored = cv2.imread(str(transparent), cv2.IMREAD_UNCHANGED)
    white, transparency = read_transparent_picture(transparent)
    assert torch.equal(white, read_picture(transparent)) and transparency is not None
    assert transparency.background == WHITE
    assert np.array_equal((transparency.alpha * 255).round().numpy(), stored[..., 3])
    green, _ = read_transparent_picture(transparent, background=read_colour("#00ff00"))
    assert green[0, 0].tolist() == [0, 1, 0] and white[0, 0].tolist() == [1, 1, 1]
    assert torch.equal(green[48, 48], white[48, 48])


def test_an_opaque_alpha_is_no_transparency(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40, 4), 255, np.uint8)).save(tmp_path / "a.png")
    assert read_transparent_picture(tmp_path / "a.png")[1] is None


def test_a_large_transparent_picture_and_its_alpha_are_shrunk_alike(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 200, 4), np.uint8)).save(tmp_path / "a.png")
    picture, transparency = read_transparent_picture(tmp_path / "a.png", 100)
    assert transparency is not None and transparency.alpha.shape == picture.shape[:2] == (100, 66)


@pytest.mark.parametrize("text", ["", "grün", "#12", "rgb(1,2)", "1,2,3"])
def test_what_is_no_colour(text: str) -> None:
    with pytest.raises(UserError, match="is no colour; please write a name"):
        read_colour(text)


def test_colours_that_a_background_added_are_taken_off_again() -> None:
    """What is laid on any other background looks as if it had never lain on the first."""
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (20, 30, 3), np.uint8)
    alpha = rng.choice(np.float32([0, 0.2, 0.5, 0.9, 1]), (20, 30))
    alpha = np.round(alpha * 255).astype(np.float32) / 255
    first, other = (0.2, 0.9, 0.4), (1.0, 0.0, 0.5)
    laid = torch.from_numpy(lay_on(colours, alpha, first))[None]
    (frames,) = with_alpha([laid], Transparency(torch.from_numpy(alpha), first))
    assert np.array_equal(frames[0, ..., 3].numpy(), np.round(alpha * 255))
    again = lay_on(frames[0, ..., :3].numpy(), alpha, other)
    assert np.abs(again.astype(int) - lay_on(colours, alpha, other)).max() <= 1


def test_the_edge_of_an_alpha_that_stays_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found, of = list[tuple[int, ...]](), transparency._Edge.of
    monkeypatch.setattr(transparency._Edge, "of", lambda alpha: (found.append(alpha.shape), of(alpha))[1])
    alpha = torch.linspace(0, 1, 12).reshape(3, 4)
    batches = [torch.full((n, 3, 4, 3), 200, dtype=torch.uint8) for n in (2, 3)]
    still = torch.cat(list(with_alpha(batches, Transparency(alpha, WHITE))))
    assert found == [(3, 4)] and len(still) == 5
    opacity = (alpha * 255).round().to(torch.uint8).expand(5, 3, 4)
    assert torch.equal(still, transparency.taken_off(torch.cat(batches), opacity, WHITE)) and len(found) == 6


@pytest.mark.parametrize("pasted", [True, False])
def test_the_alpha_of_the_source_is_that_of_every_frame(
    tmp_path: Path, tiny_face: Path, transparent: Path, motion_file: Path, pasted: bool
) -> None:
    """Whole pictures have it exactly; a crop, which here is the whole at another size, nearly."""
    animate(request(tiny_face, transparent, motion_file, tmp_path / "frames", paste_back=pasted, encoding=PNG))
    frames = np.stack([np.asarray(Image.open(path)) for path in sorted((tmp_path / "frames").iterdir())])
    alpha = cv2.imread(str(transparent), cv2.IMREAD_UNCHANGED)[..., 3]
    if pasted:
        assert frames.shape == (4, SIDE, SIDE, 4) and (frames[..., 3] == alpha).all()
        return
    smaller = cv2.resize(alpha, frames.shape[2:0:-1], interpolation=cv2.INTER_AREA)
    assert frames.shape[1:] == (64, 64, 4) and np.abs(frames[..., 3].astype(int) - smaller).mean() < 3


@pytest.mark.parametrize("row", VIDEO_FORMATS, ids=lambda row: row.name)
def test_formats_without_alpha_show_the_background(
    tmp_path: Path, tiny_face: Path, transparent: Path, motion_file: Path, row: object
) -> None:
    out = tmp_path / f"out{row.suffixes[0]}"  # type: ignore[attr-defined]
    encoding = VideoOptions(codec=row.name, alpha="none")  # type: ignore[attr-defined]
    soft = PasteOptions(feather=8.0)  # so that the corner shows nothing of the face
    animate(request(tiny_face, transparent, motion_file, out, background="blue", encoding=encoding, paste=soft))
    if out.is_dir():
        frame = np.asarray(Image.open(out / "frame_000001.png"))
    else:
        import av

        with av.open(str(out)) as container:
            frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert frame.shape[-1] == 3 and np.abs(frame[1, 1].astype(int) - (0, 0, 255)).max() < 12


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"encoding": VideoOptions(alpha="keep"), "output": "o.mp4"}, "h264 holds no transparency"),
        ({"encoding": VideoOptions(alpha="keep"), "side_by_side": True}, "side by side are opaque"),
        ({"background": "no such"}, "is no colour"),
    ],
)
def test_alpha_that_cannot_be_kept_is_a_sentence(
    tmp_path: Path, tiny_face: Path, transparent: Path, motion_file: Path, facts: dict, words: str
) -> None:
    output = tmp_path / facts.pop("output", "o.webm")
    with pytest.raises(UserError, match=words):
        animate(request(tiny_face, transparent, motion_file, output, **facts))


def test_an_opaque_portrait_has_no_alpha_to_keep(
    tmp_path: Path, tiny_face: Path, portrait_picture: Path, motion_file: Path
) -> None:
    encoding = VideoOptions(alpha="keep")
    with pytest.raises(UserError, match="no transparent pixels"):
        animate(request(tiny_face, portrait_picture, motion_file, tmp_path / "o.mov", encoding=encoding))


@pytest.mark.parametrize("shape", PASTE_SHAPES)
@pytest.mark.parametrize("width", [0.0, 0.5, 1.0, 3.0])
def test_the_edge_is_as_wide_as_asked(shape: str, width: float) -> None:
    options = PasteOptions(shape, width)
    mask = options.border(512)
    own = {"liveportrait": 16, "ditto": 26}[shape]
    assert (mask[256] < 255).sum() == pytest.approx(2 * own * width, abs=3)
    assert mask[256, 256] == 255 and np.array_equal(mask, mask.T)


def test_a_mask_fades_inwards_and_never_shows_more_than_it_says() -> None:
    mask = torch.zeros(256, 256)
    mask[64:192, 64:192] = 1
    hard = crop_mask(mask, WHOLE, 256, PasteOptions(feather=0.0))
    assert np.array_equal(hard, (mask * 255).numpy())
    soft = crop_mask(mask, WHOLE, 256, PasteOptions(feather=2.0))
    assert (soft <= hard).all() and soft[128, 64] == pytest.approx(255 / 16, abs=1) and soft[128, 128] == 255
    assert list(soft[128, 64:82]) == sorted(soft[128, 64:82]) and soft[128, 80] == 255
    grey = crop_mask(mask * 0.5, WHOLE, 256)
    assert grey[128, 128] == 128
    assert np.array_equal(crop_mask(torch.ones(256, 256), WHOLE, 256), feather(256))


def test_the_weights_of_a_paste_are_those_it_used() -> None:
    """A white crop on a black picture shows them."""
    image = torch.zeros(60, 80, 3, dtype=torch.uint8)
    affine = torch.tensor([[0.5, 0.1, 10.0], [-0.1, 0.5, 20.0]])
    paster = Paster(image, affine, 64)
    pasted = paster.paste(torch.full((1, 64, 64, 3), 255, dtype=torch.uint8))[0, ..., 0]
    weights = paster.weights()
    assert weights.shape == (60, 80) and torch.equal(to_bytes(weights), pasted)


def test_pictures_for_ditto_are_limited() -> None:
    assert limited_picture(torch.zeros(2160, 3840, 3)).shape == (1080, DITTO_LONGEST_SIDE, 3)
    assert limited_picture(torch.zeros(40, 61, 1)).shape == (40, 60, 1)


@pytest.fixture(scope="module")
def cut_out() -> tuple[Portrait, FaceModel]:
    """The bundled portrait without its background, laid on white."""
    face, picture = load_face(bundled("face.safetensors")), read_picture(bundled("portrait.png"))
    pixels = to_bytes(picture).numpy()
    found = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2), np.uint8)
    for corner in ((0, 0), (pixels.shape[1] - 1, 0)):
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | 255 << 8
        cv2.floodFill(pixels.copy(), found, corner, 0, (6,) * 3, (6,) * 3, flags)
    alpha = (255 - found[1:-1, 1:-1]).astype(np.float32) / 255
    laid = from_bytes(lay_on(pixels, alpha, WHITE))
    portrait = read_portrait(face, laid, "whole")
    return replace(portrait, transparency=Transparency(torch.from_numpy(alpha), WHITE)), face


@pytest.mark.parametrize("pasted", [True, False])
def test_the_alpha_follows_a_head_that_turns(cut_out: tuple[Portrait, FaceModel], pasted: bool) -> None:
    """The background shows nowhere in what is opaque, as it does beside the turned head where the alpha stays."""
    portrait, face = cut_out
    turned = replace(portrait.rest.pose, rotation=portrait.rest.pose.rotation + torch.tensor([[0.0, -15.0, 8.0]]))
    motion = joined([portrait.rest, portrait.rest.with_pose(turned)])
    job = portrait_job(face, portrait, motion, None, Composition(pasted, alpha=True))
    frames = torch.cat(list(job.pictures()))
    still, moved = frames[..., 3].float() / 255
    crops = portrait_job(face, portrait, motion, None, Composition(pasted)).pictures()
    shown = portrait.transparency if pasted else Composition(alpha=True)._transparency(portrait)
    static = torch.cat(list(with_alpha(crops, shown)))  # type: ignore[arg-type]
    assert float((still - static[0, ..., 3].float() / 255).abs().mean()) < 0.02
    assert float((moved - still).abs().mean()) > 0.01, "the silhouette moves"

    def white(frame: torch.Tensor) -> int:
        return int(((frame[..., 3] > 200) & (frame[..., :3] > 235).all(-1)).sum())

    assert white(static[1]) > 300 and white(frames[1]) < white(static[1]) / 4
    again = torch.cat(list(replace(job, batch=1).pictures()))
    assert (again[..., 3].int() - frames[..., 3].int()).abs().max() <= 2, "whatever the batch"


def test_a_face_model_that_draws_badly_leaves_the_alpha_where_it_is(tiny_face: Path, transparent: Path) -> None:
    picture, transparency = read_transparent_picture(transparent)
    face = load_face(tiny_face)
    assert moving_alpha(face, replace(read_portrait(face, picture, "whole"), transparency=transparency)) is None
    assert moving_alpha(face, read_portrait(face, picture, "whole")) is None, "nothing to keep"
