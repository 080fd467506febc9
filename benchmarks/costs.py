"""What W and G cost under a profile besides time: the products that are computed, the memory that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from playmate_core.face import FaceModel
from playmate_core.face.fast import build_fast_face


def products_of(draw: Callable[[], Tensor]) -> int:
    """FLOP of the matrix products and convolutions of a call, as they are computed."""
    with FlopCounterMode(display=False) as counter:
        draw()
    return counter.get_total_flops()


def gigabytes(face: FaceModel, profile: str) -> float:
    """Memory that the constants of W and G take under a profile, beside those of the plain networks where it keeps
    others."""
    own = {p.untyped_storage().data_ptr() for part in (face.warping, face.generator) for p in part.parameters()}
    made = build_fast_face(face, profile)
    held = {} if profile == "plain" else {p.untyped_storage().data_ptr(): p for p in _constants(made)}
    more = sum(p.untyped_storage().nbytes() for place, p in held.items() if place not in own)
    plain = sum(p.numel() * p.element_size() for part in (face.warping, face.generator) for p in part.parameters())
    return (plain + more) / 1e9


def _constants(holder: object, seen: set[int] | None = None) -> Iterator[Tensor]:
    """All tensors below an object of ours."""
    seen = set() if seen is None else seen
    if id(holder) in seen:
        return
    seen.add(id(holder))
    if isinstance(holder, Tensor):
        yield holder
    elif isinstance(holder, (list, tuple)):
        for one in holder:
            yield from _constants(one, seen)
    elif isinstance(holder, dict):
        for one in holder.values():
            yield from _constants(one, seen)
    elif type(holder).__module__.startswith("playmate_core.face"):
        yield from _constants(vars(holder), seen)
