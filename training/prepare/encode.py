"""The members of a clip, as they go into a shard: FLAC in step with the pictures, and the pictures where wanted."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from playmate_core.detection.crop import Square, crop_to_image
from playmate_core.detection.reading_crop import cut_bytes
from playmate_core.interpolation import frames_at_times
from playmate_core.values import FPS

from .entry import Item
from .source_video import frames_between
from .store import Result, Store
from .sync import shifted_voice

_RATE = 16000


@dataclass(frozen=True)
class Encode:
    """Sound shifted by what Sync found; ``pixels`` the side of an intra-coded video of the crop, 0 for none."""

    root: Path
    pixels: int = 0
    name: str = "encode"
    version: int = 2  # 1 joined sound across missing packets
    gpu: bool = False

    def inputs(self, item: Item) -> list[Any]:
        return [item.digest, item.keys["motion"], item.scores["sync_off"], self.pixels]

    def run(self, item: Item, store: Store) -> list[Result]:
        voice = shifted_voice(self.root, item, int(item.scores["sync_off"]))
        files = {"flac": flac(voice)}
        if self.pixels:
            files["mp4"] = self._video(item)
        return [Result(files=files)]

    def _video(self, item: Item) -> bytes:
        """The crop at 25 frames a second, every frame coded by itself."""
        import av

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.mp4"
            with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
                stream = container.add_stream("libx264", rate=25)
                stream.width = stream.height = self.pixels
                stream.pix_fmt = "yuv420p"
                stream.codec_context.thread_count = 1  # threads cut slices, and the bytes would differ
                stream.options = {"crf": "16", "preset": "fast", "g": "1", "x264-params": "keyint=1:scenecut=0"}
                for index, crop in enumerate(self._crops(item)):
                    frame = av.VideoFrame.from_ndarray(crop.numpy(), format="rgb24")
                    frame.pts = index
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            return path.read_bytes()

    def _crops(self, item: Item) -> Iterator[Tensor]:
        """The nearest frame for each of the 25 in a second."""
        affine = crop_to_image(Square(*item.facts["crop"]), self.pixels)
        wanted = torch.arange(item.frames, dtype=torch.float64) / FPS
        video = self.root / item.entry.video
        times, crops = [], []
        for frame in frames_between(video, item.begin, item.end, item.facts["fps"]):
            times.append(frame.time)
            crops.append(cut_bytes(frame.picture, affine, self.pixels))
        between = frames_at_times(torch.tensor(times), wanted)
        for index in torch.where(between.weight < 0.5, between.first, between.second).tolist():
            yield crops[index]


def flac(voice: NDArray[np.float32]) -> bytes:
    """A voice (N,) in -1..1 at 16 kHz as FLAC of 16 bits."""
    import soundfile

    samples = np.round(voice.clip(-1.0, 1.0) * 32767).astype(np.int16)
    blob = io.BytesIO()
    soundfile.write(blob, samples, _RATE, format="FLAC", subtype="PCM_16")
    return blob.getvalue()
