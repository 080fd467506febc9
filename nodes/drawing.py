"""From motion to frames: batches, memory, and the video that is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import comfy.model_management as mm
from comfy_api.latest import io, ui
from torch import Tensor

from ..playmate_core.errors import UserError
from ..playmate_core.face import FaceModel
from ..playmate_core.face.fast import release
from ..playmate_core.media.provenance import COMPOSITE, DRAWN, Mark
from ..playmate_core.motion.stream import MotionStream
from ..playmate_core.pipelines.recipe import recipe_text
from ..playmate_core.rendering.device import batch_on
from ..playmate_core.rendering.render import RenderOptions
from ..playmate_core.rendering.segments import RenderJob
from ..playmate_core.rendering.several import Arrangement, MovingFace, faces_job
from ..playmate_core.rendering.write_video import Composition, portrait_job
from ..playmate_core.values import Motion, Portrait
from .media import to_image, to_video
from .runtime import Bar, Managed, loaded
from .saving import SAVED

GIGABYTE = 1e9
#: Bytes of memory reserved while drawing, for each pixel of a batch.
BYTES_PER_PIXEL = 2000


@contextmanager
def render_job(
    model: Managed,
    portrait: Portrait,
    motion: Motion | MotionStream,
    options: RenderOptions,
    composition: Composition,
    bar: Bar,
    sampling: Sequence[Managed] = (),
) -> Iterator[RenderJob]:
    """The video of a portrait under a motion while its face model is loaded; each batch is shown on the node.

    ``sampling`` are models that a stream is sampled with meanwhile.
    """
    with _drawn(
        model,
        options.batch,
        composition.size(portrait),
        lambda face: portrait_job(face, portrait, motion, options, composition),
        bar,
        sampling,
    ) as job:
        yield job


@contextmanager
def faces_render_job(
    model: Managed, faces: Sequence[MovingFace], arrangement: Arrangement, options: RenderOptions, bar: Bar
) -> Iterator[RenderJob]:
    """As :func:`render_job` for several faces in one video."""
    size = faces[0].portrait.image.shape[:2]
    with _drawn(model, options.batch, size, lambda face: faces_job(face, faces, arrangement, options), bar) as job:
        yield job


@contextmanager
def _drawn(
    model: Managed,
    batch: int,
    size: Sequence[int],
    made: Callable[[FaceModel], RenderJob],
    bar: Bar,
    others: Sequence[Managed] = (),
) -> Iterator[RenderJob]:
    """The job that ``made`` makes of the loaded face model, with room for a batch of pictures of ``size``."""
    on_cpu = model.patcher.load_device.type == "cpu"
    pixels = batch_on(model.patcher.load_device, batch) * size[0] * size[1]
    with loaded(model, *others, memory=pixels * BYTES_PER_PIXEL) as (face, *_):
        job = made(face)
        try:
            yield replace(job, draw=lambda *asked: bar.watched(job.draw(*asked)))
        finally:
            if not on_cpu:  # ComfyUI counts and frees the model's weights, not what was folded of them
                release(face)


def refuse_too_many(count: int, height: int, width: int, limit: float, remedy: str) -> None:
    """Raise UserError before a batch of pictures is made that takes more than ``limit`` gigabytes or what is free."""
    wanted = count * height * width * 3 * 4 / GIGABYTE
    free = mm.get_free_memory(mm.torch.device("cpu")) / GIGABYTE
    if wanted > min(limit, free):
        bound = f"{limit:g} GB are allowed" if limit < free else f"{free:.1f} GB are free"
        raise UserError(
            f"{count} pictures of {width} x {height} take {wanted:.1f} GB of memory, but {bound}; please {remedy}."
        )


def gathered(batches: Iterator[Tensor], count: int) -> Tensor:
    """``count`` frames, batches (n, H, W, 3) of bytes or floats, as one IMAGE, each put into its place as it comes.

    Concatenating at the end would take twice the memory, and seconds in which Cancel is not checked.
    """
    first = to_image(next(batches))
    pictures = first.new_empty(count, *first.shape[1:])
    at = 0
    for batch in chain([first], map(to_image, batches)):
        pictures[at : at + len(batch)] = batch
        at += len(batch)
    return pictures


def recipe(hidden: Any) -> tuple[tuple[str, str], ...]:
    """The workflow as a metadata tag, so that dropping the file on the canvas opens it; () where switched off."""
    from comfy.cli_args import args

    if args.disable_metadata or hidden is None or hidden.prompt is None:
        return ()
    extra = hidden.extra_pnginfo or {}
    return tuple((key, json.dumps(value)) for key, value in {**extra, "prompt": hidden.prompt}.items())


def node_mark(wanted: bool, paste_back: bool, node: type[io.ComfyNode], told: Mapping[str, Any]) -> Mark | None:
    """The video's provenance mark with ``told``, the inputs of ``node``, as its recipe; None where the widget or
    ComfyUI's --disable-metadata turns it off."""
    from comfy.cli_args import args

    if not wanted or args.disable_metadata:
        return None
    command = f"ComfyUI node {node.define_schema().display_name}"
    return Mark(COMPOSITE if paste_back else DRAWN, recipe_text(command, told))


def saved_video(path: Path, saved: ui.SavedResult, *more: Any) -> io.NodeOutput:
    """VIDEO from a file that the node has just written, shown on it."""
    SAVED.add(path)
    return io.NodeOutput(to_video(str(path)), *more, ui=ui.PreviewVideo([saved]))
