"""A prepared corpus with pixels in miniature: what `face --pairs` reads, without preparing anything."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save

from playmate_core.values import Motion, Pose
from training.data import MANIFEST
from training.prepare.encode import flac
from training.prepare.motion import stored_tensors
from training.prepared import JSON, MOTION, SOUND, VIDEO
from training.synthetic.sessions import Session, make_session

SIDE = 64


def write_pair_corpus(root: Path, clips: int = 2, frames: int = 6, side: int = SIDE) -> Path:
    """One shard of ``clips`` videos of drawn people, ``side`` pixels wide, and the description of the corpus."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(root / "train-00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for index in range(clips):
            for kind, content in _members(make_session(1, index, "train", frames, side)).items():
                entry = tarfile.TarInfo(f"clip{index}.{kind}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    card = {"hash": "0" * 64, "description": "drawn pairs", "hours": 0.1, "speakers": clips, "license_tags": ["mine"]}
    (root / MANIFEST).write_text(json.dumps(card))
    return root


def _members(session: Session) -> dict[str, bytes]:
    count = len(session.frames)
    rotation = torch.from_numpy(np.asarray(session.rotation)).float()
    pose = Pose(rotation, torch.zeros(count, 3), torch.ones(count, 1))
    motion = Motion(pose, torch.zeros(count, 21, 3))
    tensors = stored_tensors(motion, torch.zeros(21, 3), torch.ones(count, dtype=torch.bool))
    label = {"clip_id": "clip", "speaker_id": "somebody", "emotion": "", "intensity": None, "n_frames": count}
    voice = flac(np.zeros(count * 640, np.float32))
    return {
        JSON: json.dumps({**label, "fps": 25, "license_tag": "mine"}).encode(),
        MOTION: save(tensors),
        SOUND: voice,
        VIDEO: _intra_coded(np.asarray(session.frames)),
    }


def _intra_coded(pictures: NDArray[np.uint8]) -> bytes:
    """Pictures (N, S, S, 3) as a video whose every frame is coded by itself, as `prepare` does."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width = pictures.shape[1:3]
            stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
            stream.options = {"crf": "16", "g": "1"}
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()
