"""Motion clips and their file format.

A motion file is safetensors with the metadata ``playmate.kind`` (the literal ``performance``), ``playmate.version``,
``playmate.fps``, ``playmate.source`` the name of the video, ``playmate.reader`` the hash of the network that extracted
the motion, ``playmate.keypoints`` the keypoint space. Tensors: ``rotation`` (T, 3), ``translation`` (T, 3), ``scale``
(T, 1), ``expression`` (T, K, 3) and, where known, ``eyes`` (T, 2) and ``lips`` (T, 1). An hour at 25 fps is 26 MB. It
contains no pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import save as serialize
from torch import Tensor

from ..atomic_file import write_atomically
from ..detection.landmarks import Openings
from ..errors import UserError, with_article
from ..interpolation import FrameInterpolation, lerp, resample_frames
from ..keypoint_space import LIVEPORTRAIT, UNKNOWN
from ..values import KEYPOINTS, Motion, Pose
from ..weights.tensor_file import (
    FORMAT_VERSION,
    differences,
    open_tensors,
    refuse_nonfinite,
    refuse_other_format,
    restored,
    seems_to_be,
)
from .edit import interpolate_motion, resample_motion
from .liveportrait_template import TEMPLATE_SUFFIXES, read_template

KIND = "performance"
SUFFIX = ".safetensors"
#: Metadata keys that tell how the motion was sampled: ``playmate.origin.seed`` and others.
ORIGIN = "playmate.origin."
#: The reader of templates: a copy of the published networks whose hash is unknown.
LIVEPORTRAIT_READER = "LivePortrait"
#: More frames a second than any video has: the file is damaged.
MOST_FPS = 1000.0


@dataclass(frozen=True)
class MotionClip:
    """A ``motion`` with its eye and lip ``openings``, if measured; ``source`` names the video.

    ``reader`` is the hash of the motion network that extracted it, or LIVEPORTRAIT_READER. The keypoint space is a
    field of the motion.
    """

    motion: Motion
    openings: Openings | None = None
    source: str = ""
    reader: str = ""

    def __post_init__(self) -> None:
        if self.openings is not None and len(self.openings) != len(self.motion):
            raise ValueError(f"{len(self.motion)} frames of motion have {len(self.openings)} openings; one a frame.")

    def __len__(self) -> int:
        return len(self.motion)

    def __getitem__(self, frames: slice | Tensor) -> MotionClip:
        return replace(self, motion=self.motion[frames], openings=self.openings and self.openings[frames])

    def at(self, fps: float) -> MotionClip:
        """The clip resampled to ``fps``: slerp for rotations, else linear; a single frame is kept."""
        if abs(fps - self.motion.fps) < 1e-6:
            return self
        if len(self.motion) == 1:
            pose = replace(self.motion.pose, fps=fps)
            return replace(self, motion=replace(self.motion, pose=pose))
        frames_between = resample_frames(len(self.motion), self.motion.fps, fps)
        return MotionClip(
            resample_motion(self.motion, fps),
            interpolate_openings(self.openings, frames_between),
            self.source,
            self.reader,
        )

    def interpolate(self, frames_between: FrameInterpolation, fps: float) -> MotionClip:
        """The clip interpolated at ``frames_between``, at rate ``fps``."""
        motion = interpolate_motion(self.motion, frames_between, fps)
        return MotionClip(motion, interpolate_openings(self.openings, frames_between), self.source, self.reader)


def interpolate_openings(openings: Openings | None, frames_between: FrameInterpolation) -> Openings | None:
    """Openings interpolated linearly at ``frames_between``."""
    if openings is None:
        return None
    parts = (
        lerp(part[frames_between.first], part[frames_between.second], frames_between.weight[:, None])
        for part in (openings.eyes, openings.lips)
    )
    return Openings(*parts)


def save_motion_clip(motion_clip: MotionClip, path: str | Path) -> None:
    """Write the file atomically. Raises UserError when it cannot be written or values are not finite."""
    path = Path(path)
    check_motion_output(path)
    motion, pose = motion_clip.motion, motion_clip.motion.pose
    tensors = {"rotation": pose.rotation, "translation": pose.translation, "scale": pose.scale}
    tensors["expression"] = motion.expression
    if motion_clip.openings is not None:
        tensors |= {"eyes": motion_clip.openings.eyes, "lips": motion_clip.openings.lips}
    refuse_nonfinite(path, tensors)
    metadata = {"playmate.kind": KIND, "playmate.version": FORMAT_VERSION, "playmate.fps": repr(float(motion.fps))}
    metadata |= {"playmate.source": motion_clip.source, "playmate.reader": motion_clip.reader}
    metadata["playmate.keypoints"] = motion.keypoint_space
    metadata |= {f"{ORIGIN}{name}": value for name, value in motion.origin}
    write_atomically(path, serialize({name: value.contiguous() for name, value in tensors.items()}, metadata))


def check_motion_output(path: Path) -> None:
    """Raise UserError unless a motion file can have this path."""
    if path.suffix.lower() != SUFFIX or path.is_dir():
        raise UserError(f"The motion file {path} must end in {SUFFIX}; please rename it.")
    if not path.parent.is_dir():
        raise UserError(f"The output folder {path.parent} does not exist; please make it first.")


def load_motion_clip(path: str | Path) -> MotionClip:
    """Read one of our files, or one of LivePortrait's ``.pkl`` templates. Raises UserError for anything else."""
    path = Path(path)
    if path.suffix.lower() in TEMPLATE_SUFFIXES:
        motion, openings = read_template(path)
        return MotionClip(motion, openings, path.name, LIVEPORTRAIT_READER)
    with open_tensors(path) as file:
        metadata, keys = file.metadata() or {}, list(file.keys())
        _expect_ours(path, metadata, keys)
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in keys}
        _expect_shapes(path, shapes)
        tensors = {key: restored(file.get_tensor(key)) for key in keys}
    refuse_nonfinite(path, tensors)
    pose = Pose(tensors["rotation"], tensors["translation"], tensors["scale"], _rate(path, metadata))
    openings = Openings(tensors["eyes"], tensors["lips"]) if "eyes" in tensors else None
    source, reader = metadata.get("playmate.source", ""), metadata.get("playmate.reader", "")
    keypoints = metadata.get("playmate.keypoints", LIVEPORTRAIT if reader == LIVEPORTRAIT_READER else UNKNOWN)
    origin = tuple((key[len(ORIGIN) :], value) for key, value in sorted(metadata.items()) if key.startswith(ORIGIN))
    return MotionClip(Motion(pose, tensors["expression"], keypoints, origin), openings, source, reader)


def describe_motion(path: str | Path) -> str:
    """Describe a motion file or template for users. Raises UserError for other files."""
    path = Path(path)
    return describe_clip(path, load_motion_clip(path))


def describe_clip(path: Path, clip: MotionClip) -> str:
    """Describe the motion that was read from ``path``."""
    frames, fps = len(clip), clip.motion.fps
    rows = [
        f"{path.name}: motion, {path.stat().st_size / 1e6:.2f} MB",
        f"length: {frames / fps:.2f} s, {frames} frames",
        f"rate: {fps:g} frames a second",
        f"source: {clip.source or 'not known'}",
        f"read by: {clip.reader or 'not known'}",
        f"keypoint space: {clip.motion.keypoint_space or 'not known'}",
        f"openings of eyes and lips: {'measured' if clip.openings else 'not measured'}",
        *(f"sampled with {name}: {value}" for name, value in clip.motion.origin),
    ]
    return "\n".join(rows)


def _expect_ours(path: Path, metadata: Mapping[str, str], keys: list[str]) -> None:
    kind = metadata.get("playmate.kind", "")
    if kind != KIND:
        seems = with_article(f"{kind} model") if kind else seems_to_be(keys) or "something else"
        raise UserError(f"{path.name} is no motion file, it seems to be {seems}; choose one `playmate motion` wrote.")
    refuse_other_format(path, metadata, "read the video again")


def _expect_shapes(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    frames = shapes.get("rotation", (0,))[0]
    wanted: dict[str, tuple[int, ...]] = {"rotation": (frames, 3), "translation": (frames, 3), "scale": (frames, 1)}
    wanted["expression"] = (frames, KEYPOINTS, 3)
    if "eyes" in shapes or "lips" in shapes:
        wanted |= {"eyes": (frames, 2), "lips": (frames, 1)}
    faults = differences(shapes, wanted)
    if faults or not frames:
        raise UserError(f"{path.name} is no whole motion file: {faults or 'it has no frame'}; choose another file.")


def _rate(path: Path, metadata: Mapping[str, str]) -> float:
    try:
        fps = float(metadata["playmate.fps"])
    except (KeyError, ValueError):
        fps = 0.0
    if not 0 < fps <= MOST_FPS:
        raise UserError(f"{path.name} names no frame rate between 0 and {MOST_FPS:g}; read the video again.")
    return fps
