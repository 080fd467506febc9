"""The two corpora of the chain experiment: the same clips with motion read by M from renderings, and with true motion.

Both are shards as `prepare` writes them, so that training meets nothing that only a renderer could know. Frames are
read as they were rendered, without a codec.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from playmate_core.atomic_file import AtomicFile, write_atomically
from playmate_core.face import FaceModel
from playmate_core.rendering.portrait import read_crops
from playmate_core.values import EMOTIONS, Motion
from playmate_core.weights.files import load_face
from training.data import MANIFEST
from training.prepare.encode import flac
from training.prepare.motion import stored_tensors
from training.prepared import JSON, MOTION, SOUND
from training.synthetic.clips import LICENSE, SyntheticClip, make_clip
from training.synthetic.identity import make_identity
from training.synthetic.pixels import render
from training.synthetic.sessions import session_scene
from training.workers import worker_pool

#: The corpora, by where their motion comes from.
READ, TRUTH = "read", "truth"
DESCRIPTIONS = {
    READ: "motion read by M from rendered videos of synthetic talking heads; no recorded person",
    TRUTH: "true motion of synthetic talking heads; no recorded person",
}
#: Clips of one shard, which is what a kill costs at most in each worker.
SHARD = 6


@dataclass(frozen=True)
class Videos:
    """Clips ``first`` to ``first + count`` of an experiment, as training clips of the ``seed``."""

    seed: int
    first: int
    count: int
    seconds: tuple[float, float]
    size: int
    speech: str
    face: str


@cache
def reader(path: str) -> FaceModel:
    """The frozen M, once for each process."""
    return load_face(Path(path))


def clip_of(videos: Videos, index: int) -> SyntheticClip:
    """Clip ``index``; eight in a row are the eight emotions of one person, as actors of real corpora show them all."""
    person = index // len(EMOTIONS)
    return make_clip(videos.seed * 1_000_003 + index, "train", videos.seconds, videos.speech, person)


def frames_of(clip: SyntheticClip, seed: int, size: int) -> Iterator[Tensor]:
    """The rendering of every frame, (size, size, 3) in [0, 1]."""
    identity, scene, pose = make_identity(clip.identity_seed), session_scene(seed, clip.identity_seed), clip.motion.pose
    for k in range(len(clip)):
        rotation, shift, scale = pose.rotation[k].numpy(), pose.translation[k].numpy(), float(pose.scale[k])
        picture = render(identity, scene, clip.rig[k].numpy(), rotation, shift, scale, size)
        yield torch.from_numpy(picture).float() / 255.0


def make_videos(out: Path, videos: Videos) -> int:
    """Render one shard's clips, read them with M, and write the shard of both corpora -> the number of frames."""
    read: list[dict[str, bytes]] = []
    true: list[dict[str, bytes]] = []
    frames = 0
    for index in range(videos.first, videos.first + videos.count):
        clip = clip_of(videos, index)
        motion, keypoints = read_crops(reader(videos.face), frames_of(clip, videos.seed, videos.size))
        read.append(_members(clip, motion, keypoints.median(0).values))
        true.append(_members(clip, clip.motion, clip.keypoints))
        frames += len(clip)
    name = f"train-{videos.first // SHARD:05d}.tar"
    _write_tar(out / TRUTH / name, true)
    _write_tar(out / READ / name, read)  # last: its presence says that both are whole
    return frames


def make_corpora(out: Path, every: Sequence[Videos], workers: int) -> None:
    """Make what is missing, then the cards that models will show."""
    missing = [one for one in every if not (out / READ / f"train-{one.first // SHARD:05d}.tar").is_file()]
    total = sum(one.count for one in every)
    with tqdm(total=total, initial=total - sum(m.count for m in missing), desc="videos", unit="video") as bar:
        if workers == 1:
            for one in missing:
                make_videos(out, one)
                bar.update(one.count)
        elif missing:
            with worker_pool(min(workers, len(missing))) as pool:
                futures = {pool.submit(make_videos, out, one): one for one in missing}
                for future in as_completed(futures):
                    future.result()
                    bar.update(futures[future].count)
    for kind, description in DESCRIPTIONS.items():
        digest = hashlib.sha256()
        for path in sorted((out / kind).glob("train-*.tar")):
            digest.update(path.read_bytes())
        card = {"hash": digest.hexdigest(), "description": description}
        write_atomically(out / kind / MANIFEST, json.dumps(card, indent=1).encode())


def _members(clip: SyntheticClip, motion: Motion, keypoints: Tensor) -> dict[str, bytes]:
    label = {
        "clip_id": clip.id,
        "speaker_id": clip.speaker,
        "emotion": clip.emotion,
        "intensity": clip.intensity,
        "n_frames": len(clip),
        "fps": 25,
        "license_tag": LICENSE,
    }
    tensors = stored_tensors(motion, keypoints, torch.ones(len(clip), dtype=torch.bool))
    contents = {JSON: json.dumps(label).encode(), MOTION: save(tensors), SOUND: flac(clip.waveform.numpy())}
    return {f"{clip.id}.{kind}": content for kind, content in contents.items()}


def _write_tar(path: Path, clips: Sequence[dict[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with AtomicFile(path) as temporary, tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
        for members in clips:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
