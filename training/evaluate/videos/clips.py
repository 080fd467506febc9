"""Pairs of a generated video and the real one of the same name, with their labels."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from playmate_core.detection.detectors import Detector
from playmate_core.errors import UserError
from playmate_core.media.video_reader import has_sound, read_frames
from playmate_core.weights.tensor_file import some
from training.evaluate.videos.cropped_video import (
    CroppedVideo,
    LandmarkTrack,
    around,
    at_25_fps,
    first_picture,
    in_crop,
    landmarks_of,
    track_landmarks,
    whole,
)

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
#: The three videos of every clip, in the order of the table's columns.
SYSTEMS = ("generated", "ground truth", "still portrait")
LABELS = ("clip", "emotion", "text")
#: Videos whose sides differ by less than this share show the same picture at another size.
_SAME_SHAPE = 0.02
#: By which share of the square two faces may differ in place and size and still lie at one place.
_SAME_PLACE = 0.25
#: Frames below which a video tells nothing: one window of I3D.
FEWEST_FRAMES = 16


@dataclass(frozen=True)
class Label:
    """What is said in a clip ("" if unknown) and which emotion was asked for ("" if none)."""

    emotion: str = ""
    text: str = ""


@dataclass(frozen=True)
class Paths:
    """The files of one clip; ``portrait`` is what was animated, where another than the real video's first frame."""

    name: str
    generated: Path
    truth: Path
    portrait: Path | None
    label: Label


@dataclass(frozen=True)
class ClipVideos:
    """The three videos of one clip, equally long; ``found`` is the share of frames with a face, by system,
    ``alike`` whether both videos are cut to the same part of one picture."""

    name: str
    label: Label
    videos: Mapping[str, CroppedVideo]
    found: Mapping[str, float]
    alike: bool

    @property
    def frames(self) -> int:
        return self.videos["generated"].frames


def find_pairs(generated: Path, truth: Path, portraits: Path | None, labels: Path | None) -> list[Paths]:
    """Videos of the same name, whatever their ending, in two folders (searched through) or two files.

    Raises UserError where a folder is missing, a generated video has no real one or a name is not unique.
    """
    ours, real = _videos(generated, "--videos", VIDEO_SUFFIXES), _videos(truth, "--truth", VIDEO_SUFFIXES)
    if generated.is_file() and truth.is_file():
        real = {next(iter(ours)): next(iter(real.values()))}
    alone = sorted(set(ours) - set(real))
    if alone:
        raise UserError(
            f"{truth} has no video for {some(alone)}; give the real video of every generated one under the same name."
        )
    stills = _videos(portraits, "--portraits", PICTURES) if portraits else {}
    if portraits and (missing := sorted(set(ours) - set(stills))):
        raise UserError(f"{portraits} has no picture for {some(missing)}; name each as its video, or leave it out.")
    said = read_labels(labels) if labels else {}
    if unknown := sorted(set(said) - set(ours)):
        raise UserError(f"{labels} labels {some(unknown)}, of which {generated} has no video; correct the names.")
    return [Paths(name, path, real[name], stills.get(name), said.get(name, Label())) for name, path in ours.items()]


def read_labels(path: Path) -> dict[str, Label]:
    """A CSV table with the columns clip, and emotion, text or both. Raises UserError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            columns, rows = table.fieldnames or [], list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table of labels ({error}); give a CSV file in UTF-8.") from error
    if "clip" not in columns or set(columns) - set(LABELS):
        raise UserError(f"{path} has the columns {', '.join(columns)}; expected clip, and emotion or text.")
    told: dict[str, Label] = {}
    for row in rows:
        name = Path(row["clip"] or "").with_suffix("").as_posix()
        if name in told:
            raise UserError(f"{path} labels the clip {name} twice; leave one row for each.")
        told[name] = Label((row.get("emotion") or "").strip().lower(), (row.get("text") or "").strip())
    return told


def open_clip(paths: Paths, detector: Detector | None) -> ClipVideos:
    """Analyse both videos in one pass and crop them. Raises UserError for videos too short to measure."""
    ours = track_landmarks(at_25_fps(read_frames(paths.generated)), detector)
    real = track_landmarks(at_25_fps(read_frames(paths.truth)), detector)
    frames = min(ours.frames, real.frames)
    if frames < FEWEST_FRAMES:
        raise UserError(
            f"{paths.name} has {frames} frames at 25 fps in both; give videos of at least {FEWEST_FRAMES} frames."
        )
    if abs(ours.frames - real.frames) > 1:
        told = "%s: %d generated and %d real frames; the first %d of both are measured."
        logger.warning(told, paths.name, ours.frames, real.frames, frames)
    our_crop, real_crop, alike = crops(ours, real)
    real_sound = paths.truth if has_sound(paths.truth) else None
    our_sound = paths.generated if has_sound(paths.generated) else real_sound
    generated = CroppedVideo(paths.generated, frames, our_crop, in_crop(ours, our_crop, frames), sound=our_sound)
    truth = CroppedVideo(
        paths.truth, frames, real_crop, in_crop(real, real_crop, frames), sound=real_sound or our_sound
    )
    videos = dict(zip(SYSTEMS, (generated, truth, _still(paths, truth, detector)), strict=True))
    return ClipVideos(paths.name, paths.label, videos, {"generated": ours.found, "ground truth": real.found}, alike)


def crops(ours: LandmarkTrack, real: LandmarkTrack) -> tuple[Tensor, Tensor, bool]:
    """The crops (2, 3) of the generated and the real video, and whether they are the same part of the same picture.

    Videos of one shape whose faces lie at one place show the same picture at two sizes, and both are cut by the real
    one's square; others each by their own. Without faces both are cut to the largest square in their middle.
    """
    one, other = real.square(), ours.square()
    if one is None or other is None:
        return whole(ours), whole(real), True
    scale = ours.width / real.width
    same_shape = abs(scale * real.height / ours.height - 1) < _SAME_SHAPE
    away = math.hypot(other.x / scale - one.x, other.y / scale - one.y) / one.side
    larger = other.side / scale / one.side
    if same_shape and away < _SAME_PLACE and 1 - _SAME_PLACE < larger < 1 / (1 - _SAME_PLACE):
        return around(one, scale), around(one), True
    return around(other), around(one), False


def _still(paths: Paths, truth: CroppedVideo, detector: Detector | None) -> CroppedVideo:
    """The portrait shown as long as the video lasts, with the real sound."""
    picture = first_picture(paths.portrait or paths.truth)
    points = landmarks_of(picture, detector)[None] if detector is not None else None
    track = LandmarkTrack(1, picture.shape[1], picture.shape[0], points)
    if paths.portrait is None:
        affine = truth.affine
    else:
        own = track.square()
        affine = whole(track) if own is None else around(own)
    landmarks = in_crop(track, affine, 1)
    shown = None if landmarks is None else np.repeat(landmarks, truth.frames, 0)
    return CroppedVideo(paths.portrait or paths.truth, truth.frames, affine, shown, picture, truth.sound)


def _videos(where: Path, flag: str, endings: tuple[str, ...]) -> dict[str, Path]:
    """Names (paths below the folder without their endings) and files, in order."""
    if where.is_file():
        return {where.stem: where}
    if not where.is_dir():
        raise UserError(f"{flag} is {where}, where there is no folder and no file; give where the videos lie.")
    files = sorted(path for path in where.rglob("*") if path.suffix.lower() in endings and path.is_file())
    if not files:
        raise UserError(f"{where} ({flag}) holds no file that ends in {', '.join(endings)}; give another folder.")
    found: dict[str, Path] = {}
    for path in files:
        name = path.relative_to(where).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{where} holds {found[name].name} and {path.name}; leave one file for each clip.")
        found[name] = path
    return found
