"""Run the face networks on pictures and videos: a picture becomes a Portrait, a video becomes a Motion."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..detection.crop import CropOptions, at_size, shrink
from ..detection.detect import FaceSource, Pick, find_crop, select_face
from ..detection.reading_crop import ReadingCrop, cut_bytes
from ..diffusion.request import joined
from ..errors import UserError
from ..face import FaceModel, FaceReading
from ..geometry import place
from ..host import HOST
from ..media.images import Bytes, from_bytes, to_bytes
from ..progress import Progress
from ..values import FPS, FaceCrop, Motion, Portrait, Pose
from .portrait_details import read_details

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FaceConfidence:
    """Four detector-free measures of whether a crop shows a face.

    Motion extraction should be equivariant to mirroring: ``flip_degrees`` is the mean angular error, ``flip_keypoints``
    the mean distance (the crop spans 2) from a mirrored keypoint to the nearest extracted one. ``reconstruction`` is
    the PSNR in dB of the crop rendered from itself through W and G, NaN where it was not rendered. It should also be
    equivariant to small shifts: ``shift`` is the mean error, in halves of the crop.
    """

    flip_degrees: float
    flip_keypoints: float
    reconstruction: float
    shift: float


@dataclass(frozen=True)
class FaceLimits:
    """Thresholds beyond which a crop is not accepted as a face.

    Set between 76 held-out frames of the corpus (at worst 1.3 degrees, 0.017, 30.5 dB, 0.073) and non-faces: flat
    pictures and gradients (from 16 degrees and 0.088), noise, letters and checkers (up to 15.6 dB), a landscape of
    blocks and a disc (from 0.152). Measured with the bundled weights, which do not accept paintings of people either
    (from 0.147).
    """

    flip_degrees: float = 10.0
    flip_keypoints: float = 0.085
    reconstruction: float = 20.0
    shift: float = 0.105


def read_portrait(
    face: FaceModel,
    image: Tensor,
    crop: FaceSource = "auto",
    pick: Pick | None = None,
    options: CropOptions | None = None,
) -> Portrait:
    """Crop and read a picture (H, W, 3) in [0, 1]; ``crop``, ``pick`` as in :func:`detect.find_crop`.

    The crop has the size of the networks' output, twice their input, and is reduced to the input by area averaging.
    """
    size = 2 * face.config.image_size
    return read_crop(face, FaceCrop(image, find_crop(image, size, crop, options, pick), size))


def read_crop(face: FaceModel, crop: FaceCrop) -> Portrait:
    """Run the face networks on a face crop."""
    image, size = crop.image, 2 * face.config.image_size
    crop_to_image = at_size(crop.crop_to_image, crop.size, size)
    wide = cut_bytes(image, crop_to_image, size)
    with torch.inference_mode():
        appearance = _appearance(face, from_bytes(shrink(wide, face.config.image_size))[None])
        reading = face.read(to_reader(face, from_bytes(shrink(wide, face.config.reading_size))[None]))
    rest, details = _as_motion(face, reading, FPS), read_details(crop, _at_rest(reading.angle_logits))
    volume, keypoints, alpha = _at_rest(appearance)[0], _at_rest(reading.keypoints)[0], crop.transparency
    read = Portrait(image, crop_to_image, size, volume, keypoints, rest, details=details, transparency=alpha)
    return replace(read, landmarks=crop.landmarks)


def appearance_of(face: FaceModel, image: Tensor, portrait: Portrait) -> Tensor:
    """The appearance volume of another picture (H, W, 3) with the face at the same place as that of ``portrait``."""
    wide = cut_bytes(image, portrait.crop_to_image, portrait.crop_size)
    with torch.inference_mode():
        return _at_rest(_appearance(face, from_bytes(shrink(wide, face.config.image_size))[None]))[0]


def read_motion(
    face: FaceModel,
    frames: Iterable[Bytes | Tensor],
    fps: float = FPS,
    crop: FaceSource = "auto",
    batch: int = 8,
    total: int = 0,
    progress: Progress | None = None,
) -> Motion:
    """The motion of a video: ``frames`` yields pictures (H, W, 3), uint8 or float in [0, 1], ``batch`` of them held.

    The crop is found in the first frame and kept, as a crop that follows the head would cancel its movement.
    ``progress(frames done, total)``. Raises UserError when there is no frame.
    """
    return read_crops(face, fixed_crops(face, frames, crop), fps, batch, total, progress)[0]


def fixed_crops(face: FaceModel, frames: Iterable[Bytes | Tensor], crop: FaceSource = "auto") -> Iterator[Tensor]:
    """Every frame cropped as the first one, at M's input size. Raises UserError when there is no frame."""
    pictures = HOST.interruptible(frames)
    first = next(pictures, None)
    if first is None:
        raise UserError("The driving video has no frame; please give a video of a face.")
    square, (height, width) = select_face(_as_image(first), crop).square(), first.shape[:2]
    reading = ReadingCrop.of(square, height, width, face.config)
    return (reading.read(picture) for picture in chain((first,), pictures))


def read_crops(
    face: FaceModel,
    crops: Iterable[Tensor],
    fps: float = FPS,
    batch: int = 8,
    total: int = 0,
    progress: Progress | None = None,
) -> tuple[Motion, Tensor]:
    """The motion of face crops (S, S, 3) in [0, 1], and the canonical keypoints (T, K, 3) of each."""
    readings: list[FaceReading] = []
    done = 0
    for group in _batches(HOST.interruptible(crops), batch):
        with torch.inference_mode():
            readings.append(face.read(to_reader(face, torch.stack(group))))
        done += len(group)
        if progress:
            progress(done, max(total, done))
    if not readings:
        raise UserError("The driving video has no frame; please give a video of a face.")
    motion = joined([_as_motion(face, reading, fps) for reading in readings])
    return motion, torch.cat([_at_rest(reading.keypoints) for reading in readings])


def face_confidence(face: FaceModel, portrait: Portrait, limits: FaceLimits | None = None) -> FaceConfidence:
    """The face confidence of a portrait's crop under ``face``; see :func:`crop_confidence`."""
    return crop_confidence(face, cut_bytes(portrait.image, portrait.crop_to_image, portrait.crop_size), limits)


def crop_confidence(face: FaceModel, crop: Tensor, limits: FaceLimits | None = None) -> FaceConfidence:
    """The face confidence of a uint8 crop (S, S, 3) with the size of G's output; see :class:`FaceConfidence`.

    At LivePortrait's size one rendered frame takes longer than all readings, so none is rendered where the readings are
    outside ``limits`` already.
    """
    seen = to_reader(face, from_bytes(shrink(crop, face.config.reading_size))[None])
    with torch.inference_mode():
        both = face.read(torch.cat([seen, seen.flip(-1)]))
        placed = place(both.keypoints, both.rotation, both.expression, both.translation, both.scale).float()
        shift = _shift_error(face, seen, both.translation[:1])
    rotation = both.rotation.float()
    mirrored = rotation[1] * torch.tensor([1.0, -1.0, -1.0], device=rotation.device)
    distances = torch.cdist(placed[0, :, :2], placed[1, :, :2] * torch.tensor([-1.0, 1.0], device=placed.device))
    read = FaceConfidence(
        flip_degrees=float((mirrored - rotation[0]).abs().mean()),
        flip_keypoints=float((distances.amin(0).mean() + distances.amin(1).mean()) / 2),
        reconstruction=math.nan,
        shift=shift,
    )
    if not _readings_within(read, limits or FaceLimits()):
        return read
    return replace(read, reconstruction=_reconstruction(face, crop, placed[:1]))


def _reconstruction(face: FaceModel, crop: Tensor, placed: Tensor) -> float:
    """PSNR in dB of a uint8 crop (S, S, 3) rendered from itself at its own keypoints (1, K, 3)."""
    with torch.inference_mode():
        volume = _appearance(face, from_bytes(shrink(crop, face.config.image_size))[None])
        drawn = face.draw(move_to(face, volume), placed, placed)
    error = (to_pictures(drawn)[0] - from_bytes(crop)).square().mean().clamp_min(1e-10)
    return float(-10 * error.log10())


def _shift_error(face: FaceModel, seen: Tensor, translation: Tensor) -> float:
    """Mean error of the extracted translation when a crop (1, 3, S, S) is shifted to all four sides."""
    size = seen.shape[-1]
    step = max(1, size * 3 // 32)
    wide = F.pad(seen, (step,) * 4, mode="replicate")
    ways = [(step, 0), (-step, 0), (0, step), (0, -step)]
    moved = torch.cat([wide[:, :, step - y : step - y + size, step - x : step - x + size] for x, y in ways])
    wanted = torch.tensor(ways, device=seen.device) * 2.0 / (size - 1)
    got = (face.read(moved).translation - translation)[:, :2].float()
    return float((got - wanted).abs().amax(-1).mean())


def within(confidence: FaceConfidence, limits: FaceLimits | None = None) -> bool:
    """Whether all measures are within ``limits``; one that was not taken is not."""
    limits = limits or FaceLimits()
    return _readings_within(confidence, limits) and confidence.reconstruction >= limits.reconstruction


def _readings_within(confidence: FaceConfidence, limits: FaceLimits) -> bool:
    return (
        confidence.flip_degrees <= limits.flip_degrees
        and confidence.flip_keypoints <= limits.flip_keypoints
        and confidence.shift <= limits.shift
    )


def require_face(confidence: FaceConfidence, limits: FaceLimits | None = None) -> None:
    """Raise UserError unless all measures are within ``limits``."""
    if not within(confidence, limits):
        log.info("no face: %s", confidence)
        raise UserError(
            "No face was recognised in the portrait; please give a picture of one face, frontal and large, cropped to a"
            " square around the head."
        )


def to_network(module: nn.Module, images: Tensor) -> Tensor:
    """Pictures (n, H, W, 3) -> (n, 3, H, W) on the module's device and in its dtype."""
    return move_to(module, images.movedim(-1, 1))


def to_reader(face: FaceModel, images: Tensor) -> Tensor:
    """The same for M, which stays in float32 where F, W and G compute in half precision."""
    return exact_to(face, images.movedim(-1, 1))


def to_pictures(images: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) of a network -> (n, H, W, 3) float32 on the CPU."""
    return _at_rest(images).movedim(1, -1)


def to_shown(images: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) of a network in [0, 1] -> (n, H, W, 3) uint8 on the CPU.

    Converted on the device, so that a GPU transfers a quarter of the data, into pinned memory.
    """
    made = to_bytes(images.detach().movedim(1, -1)).contiguous()
    if made.device.type != "cuda":
        return made.to("cpu")
    return torch.empty(made.shape, dtype=made.dtype, pin_memory=True).copy_(made)


def move_to(module: nn.Module, value: Tensor) -> Tensor:
    """``value`` on the device and in the dtype of ``module``."""
    weight = next(module.parameters())
    return value.to(weight.device, weight.dtype)


def exact_to(face: FaceModel, value: Tensor) -> Tensor:
    """``value`` on the device of ``face`` in float32 at least: for keypoints and inputs of M and S, which half
    precision would round too coarsely."""
    weight = next(face.parameters())
    return value.to(weight.device, torch.promote_types(weight.dtype, torch.float32))


def _appearance(face: FaceModel, images: Tensor) -> Tensor:
    """F of pictures (n, S, S, 3); again in float32 where half precision overflows."""
    seen = to_network(face, images)
    volume = face.appearance(seen)
    if torch.finfo(volume.dtype).bits < 32 and not bool(volume.isfinite().all()):
        return copy.deepcopy(face.appearance).float()(seen.float())
    return volume


def _at_rest(value: Tensor) -> Tensor:
    """float32 on the CPU, and usable outside inference mode."""
    return value.detach().to("cpu", torch.float32, copy=True)


def _as_motion(face: FaceModel, reading: FaceReading, fps: float) -> Motion:
    pose = Pose(_at_rest(reading.rotation), _at_rest(reading.translation), _at_rest(reading.scale), fps)
    return Motion(pose, _at_rest(reading.expression), face.config.keypoint_space)


def _as_image(frame: Bytes | Tensor) -> Tensor:
    return frame if isinstance(frame, Tensor) and frame.is_floating_point() else from_bytes(frame)


def _batches(items: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    while group := list(islice(items, size)):
        yield group
