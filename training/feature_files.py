"""A clip as training reads it, kept on disk: what the encoder makes of its sound in half precision, and its motion.

One safetensors file a clip, named by a hash of everything that decides its content, written whole or not at all. Only
the frames of a window are ever read, from a memory map that lives as long as the reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from playmate_core.atomic_file import AtomicFile, remove_stale
from playmate_core.errors import UserError
from playmate_core.speech import SAMPLE_RATE, AudioEncoder
from playmate_core.values import FPS, Motion, Pose
from playmate_core.weights.folders import file_hash
from training.clip import Clip

#: In every file's header and in every key: another version reads and names other files.
MARK, VERSION = "playmate.features", "1"
#: Files of an encoder that decide what it computes.
_WEIGHTS = ("*.safetensors", "*.bin", "*.onnx", "config.json")


@dataclass(frozen=True)
class Frames:
    """n frames of one clip: ``motion``, and ``audio`` (n, L, D) float16."""

    motion: Motion
    audio: Tensor


def encoder_key(name: str, source: str) -> str:
    """What the features depend on besides the sound: the encoder, and the content of its weights where they lie in a
    folder."""
    digest = hashlib.sha256(f"{MARK} {VERSION} {name}".encode())
    folder = Path(source) if source else None
    if folder is not None and folder.is_dir():
        for path in sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern)):
            digest.update(content_hash(path))
    elif folder is not None:
        digest.update(content_hash(folder) if folder.is_file() else source.encode())
    return digest.hexdigest()


def content_hash(path: Path) -> bytes:
    """SHA-256 of a file's content."""
    return bytes.fromhex(file_hash(path))


def clip_key(clip: Clip, waveform: Tensor, encoder: str) -> bytes:
    """32 bytes that name the features of a clip's sound and motion."""
    pose = clip.motion.pose
    digest = hashlib.sha256(encoder.encode())
    for part in (pose.rotation, pose.translation, pose.scale, clip.motion.expression, waveform):
        digest.update(f"{tuple(part.shape)}".encode())
        digest.update(part.float().contiguous().numpy().tobytes())
    return digest.digest()


def place(folder: Path, key: bytes) -> Path:
    """Where the file of a key lies; 256 folders keep each of them small."""
    name = key.hex()
    return folder / name[:2] / f"{name}.safetensors"


def keep(folder: Path, key: bytes, clip: Clip, waveform: Tensor, encoder: AudioEncoder) -> int:
    """Encode a clip unless that was done before, and return its frames: sound and motion are cut to the shorter."""
    path = place(folder, key)
    if (frames := _frames_of(path)) is not None:
        return frames
    audio = encoder.listen(waveform, SAMPLE_RATE).features
    pose = clip.motion.pose
    frames = min(len(clip.motion), len(audio))
    tensors = {
        "audio": audio[:frames].half().contiguous(),
        "pose": torch.cat([pose.rotation, pose.translation, pose.scale], -1)[:frames].float().contiguous(),
        "expression": clip.motion.expression[:frames].float().contiguous(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # No fsync: a file that a power failure cut short is found by its size and made again.
        with AtomicFile(path) as temporary:
            save_file(tensors, temporary, {MARK: VERSION})
    except (OSError, SafetensorError) as problem:
        raise UserError(
            f"{path} could not be written ({problem}); free some space, or choose another folder with --features."
        ) from problem
    return frames


def read(folder: Path, key: bytes, begin: int, end: int) -> Frames:
    """The frames ``begin`` to ``end`` of a clip. Raises UserError where its file is gone or damaged."""
    path = place(folder, key)
    try:
        # numpy copies what it is asked for; torch would keep the whole file mapped as long as the tensors live
        with safe_open(path, framework="np") as file:
            audio, pose, expression = (
                torch.from_numpy(file.get_slice(name)[begin:end]) for name in ("audio", "pose", "expression")
            )
    except (OSError, SafetensorError) as problem:
        raise UserError(
            f"{path} cannot be read ({problem}); delete it and the index-*.safetensors beside its folder, and give the"
            " command again."
        ) from problem
    return Frames(Motion(Pose(pose[:, :3], pose[:, 3:6], pose[:, 6:7], FPS), expression), audio)


def tidy(folder: Path, own: Sequence[int]) -> None:
    """Remove what killed processes left of unfinished files, in the folders (0 to 255) that are ``own``."""
    for index in own:
        remove_stale(folder / f"{index:02x}")


def _frames_of(path: Path) -> int | None:
    """How many frames a file holds; None where there is none that is whole."""
    try:
        with safe_open(path, framework="np") as file:
            if (file.metadata() or {}).get(MARK) != VERSION:
                return None
            return int(file.get_slice("audio").get_shape()[0])
    except (OSError, SafetensorError):
        return None
