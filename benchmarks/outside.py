"""What a video costs beside W and G: ``python -m benchmarks.outside [--frames 50] [--out STEM]``.

Keypoints, copies, paste-back and encoding, each alone and then overlapped as in a video, for videos of several sizes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from playmate_core.detection.crop import Paster, Square, crop_to_image
from playmate_core.media.images import to_bytes
from playmate_core.media.video_writer import VideoWriter
from playmate_core.rendering.portrait import to_pictures
from playmate_core.rendering.render import RenderOptions, driving_keypoints, paste_back, render
from playmate_core.rendering.segments import Finish, encode
from playmate_core.values import Portrait

from .report_files import write_report
from .subject import BUNDLED, BenchmarkCase, make_case

#: Sizes of the video (height, width); the face crop is 512 x 512 and as large as the picture's height allows.
SIZES = {"512 x 512": (512, 512), "1280 x 1280": (1280, 1280), "3840 x 2160": (2160, 3840)}
SIDE, BATCH = 512, 8


@dataclass(frozen=True)
class Piece:
    """Milliseconds a frame, of the processor and of the wall clock."""

    name: str
    processor: float
    wall: float


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outside", description=__doc__)
    parser.add_argument("--frames", type=int, default=48, help="of each video (%(default)s)")
    parser.add_argument("--out", type=Path, help="write STEM.json and STEM.md")
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    table = time_stages(options.frames)
    text = markdown(table)
    sys.stdout.write(text)
    if options.out:
        told = {size: [asdict(piece) for piece in pieces] for size, pieces in table.items()}
        write_report(options.out, told, text)
    return 0


@torch.inference_mode()
def time_stages(frames: int) -> dict[str, list[Piece]]:
    """The pieces of a frame, by the video's size; W and G are left out, their pictures made beforehand."""
    subject = make_case(BUNDLED, frames)
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(
        2 * BATCH, 3, 32, 32, generator=random
    )  # an encoder's time depends on detail: faces have little
    drawn = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic").split(BATCH)
    crops = [to_bytes(to_pictures(images)) for images in drawn]
    batches = [crops[i % 2] for i in range(frames // BATCH)]
    return {
        name: _pieces(subject, _in_picture(subject.portrait, *size), batches, drawn[0]) for name, size in SIZES.items()
    }


def _pieces(subject: BenchmarkCase, whole: Portrait, batches: list[Tensor], drawn: Tensor) -> list[Piece]:
    paster = Paster(to_bytes(whole.image), whole.crop_to_image, SIDE)
    plate, count = paster.paste(batches[0]), len(batches) * BATCH
    with tempfile.TemporaryDirectory() as folder:
        jobs: dict[str, Callable[[], object]] = {
            "keypoints": lambda: driving_keypoints(subject.face, whole, subject.motion[:count], RenderOptions()),
            "copies, to 8 bits": lambda: [to_bytes(to_pictures(drawn.clamp(0, 1))) for _ in batches],
            "paste-back": lambda: [paster.paste(batch) for batch in batches],
            "encoding": lambda: _video(Path(folder), [plate] * len(batches), iter),
            "all of it, overlapped": lambda: _video(Path(folder), batches, partial(paste_back, whole)),
        }
        return [_timed_piece(name, job, count) for name, job in jobs.items()]


def _in_picture(portrait: Portrait, height: int, width: int) -> Portrait:
    """The portrait as if it had been found in the middle of a picture of this size, two thirds as high."""
    image = torch.nn.functional.interpolate(portrait.image.movedim(-1, 0)[None], (height, width), mode="bilinear")[0]
    affine = crop_to_image(Square(width / 2, height / 2, height * 2 / 3), SIDE)
    return Portrait(
        image.movedim(0, -1).contiguous(), affine, SIDE, portrait.appearance, portrait.keypoints, portrait.rest
    )


def _video(folder: Path, batches: list[Tensor], finish: Finish) -> None:
    with VideoWriter(folder / "film.mp4") as video:
        encode(video, batches, finish)


def _timed_piece(name: str, job: Callable[[], object], frames: int) -> Piece:
    job()
    processor, wall = time.process_time(), time.perf_counter()
    job()
    each = 1000 / frames
    return Piece(name, (time.process_time() - processor) * each, (time.perf_counter() - wall) * each)


def markdown(table: dict[str, list[Piece]]) -> str:
    """Milliseconds a frame, processor (wall)."""
    lines = [f"| ms a frame: processor (wall) | {' | '.join(table)} |", "|---|" + "---|" * len(table)]
    for row in zip(*table.values(), strict=True):
        lines.append(f"| {row[0].name} |" + "".join(f" {one.processor:.1f} ({one.wall:.1f}) |" for one in row))
    return "\n".join(lines) + "\n"


def outside_share(subject: BenchmarkCase, frames: int, profile: str) -> float:
    """The share of the wall time that a pasted-back video spends on anything but W and G, encoding included."""
    options = RenderOptions(stitching=False, batch=1, profile=profile)
    batches = render(subject.face, subject.portrait, subject.motion[:frames], options)
    clock: list[float] = []
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, VideoWriter(Path(folder) / "film.mp4") as video:
        encode(video, _timed(batches, clock.append), partial(paste_back, subject.portrait))
    return 1 - sum(clock) / (time.perf_counter() - begun)


def _timed(batches: Iterator[Tensor], tell: Callable[[float], None]) -> Iterator[Tensor]:
    """Pass on the batches and tell how long each was waited for."""
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        tell(time.perf_counter() - started)
        if batch is None:
            return
        yield batch


if __name__ == "__main__":
    sys.exit(main())
