"""The pictures of the entanglement experiment, rendered once and kept in a file: a machine with a GPU has better things
to do, and may have no renderer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from playmate_core.atomic_file import write_atomically
from playmate_core.errors import UserError
from training.experiments.entangled import Grid, Shown, make_grid
from training.synthetic.sessions import make_session


@dataclass(frozen=True)
class Pictures:
    """The sessions to learn from, and the grid to measure on."""

    sessions: tuple[Shown, ...]
    grid: Grid


def pictures(path: Path, sessions: int, frames: int, people: int) -> Pictures:
    """The first pictures of the file, which is made where it is missing. Raises UserError where it holds fewer."""
    if not path.is_file():
        write_pictures(path, render_pictures(sessions, frames, people))
    try:
        held = load_file(path)
        every, rotation, grid = held["frames"], held["rotation"], held["grid"]
    except (OSError, SafetensorError, KeyError) as problem:
        raise UserError(f"{path} cannot be read ({problem}); delete it, and it is made again.") from problem
    got, wanted = (len(every), every.shape[1], len(grid)), (sessions, frames, people)
    if any(a < b for a, b in zip(got, wanted, strict=True)):
        raise UserError(
            f"{path} holds {got[0]} sessions of {got[1]} pictures and {got[2]} people, expected at least {wanted[0]} of"
            f" {wanted[1]} and {wanted[2]}; delete it, or ask for as many."
        )
    chosen = zip(every[:sessions, :frames], rotation[:sessions, :frames], strict=True)
    shown = tuple(Shown(one.numpy(), turned) for one, turned in chosen)
    return Pictures(shown, Grid(grid[:people].movedim(-1, 3).float() / 255.0))


def render_pictures(sessions: int, frames: int, people: int) -> Pictures:
    """The pictures, rendered in this process."""
    made = [make_session(1, index, "train", frames) for index in range(sessions)]
    return Pictures(tuple(Shown(one.frames, one.rotation) for one in made), make_grid(people, 1))


def write_pictures(path: Path, shown: Pictures) -> None:
    """One safetensors file of bytes, whole or not at all."""
    tensors = {
        "frames": torch.from_numpy(np.stack([one.frames for one in shown.sessions])),
        "rotation": torch.stack([one.rotation for one in shown.sessions]),
        "grid": (shown.grid.pictures.movedim(3, -1) * 255.0).round().byte().contiguous(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors))
