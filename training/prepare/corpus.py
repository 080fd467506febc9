"""Decisions that need the whole corpus: duplicates, motion far from all other motion, still heads, and the splits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from safetensors import safe_open
from torch import Tensor

from playmate_core.diffusion.normalisation import LIVE_SIGMA, POSE_FLOOR
from playmate_core.values import EMOTIONS

from .entry import Item
from .filters import Limits, reason_against
from .store import Store

#: One speaker in this many goes to validation, and as many to the test.
HELD_OUT = 18
POSE_STATIC = "pose_static"


@dataclass(frozen=True)
class Judged:
    """A clip with all that is decided: its ``split`` and ``flags``."""

    item: Item
    split: str
    flags: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        return not self.item.reason

    @property
    def intensity(self) -> float | None:
        """0..1; a neutral face has none to show, None where it is not annotated."""
        if self.item.entry.emotion == "neutral":
            return 0.0
        return self.item.entry.level / 3 if self.item.entry.level else None

    @property
    def emotion(self) -> str:
        """The emotion where it is one that models are trained on."""
        return self.item.entry.emotion if self.item.entry.emotion in EMOTIONS else ""


def split_of(speaker: str) -> str:
    """train, val or test, by the speaker alone: no speaker is in two of them, whatever else is in the corpus."""
    place = int.from_bytes(hashlib.sha256(speaker.encode()).digest()[:8], "big") % HELD_OUT
    return {0: "test", 1: "val"}.get(place, "train")


def judge(items: Sequence[Item], store: Store, limits: Limits) -> list[Judged]:
    """Every item in the order of its clip, the further reasons and flags added."""
    ordered = _without_duplicates(sorted(items, key=lambda item: (item.id, item.entry.name)))
    ordered = _against_the_corpus(ordered, store, limits)
    still = _still_heads(ordered, store)
    flags = {item.id: _flags(item, item.id in still) for item in ordered}
    return [Judged(item, split_of(item.entry.speaker), flags[item.id]) for item in ordered]


def _without_duplicates(items: Sequence[Item]) -> list[Item]:
    """The same stretch of the same content a second time is rejected, whatever its file is called."""
    met: set[str] = set()
    out = []
    for item in items:
        again = item.id in met and not item.reason
        met |= set() if item.reason else {item.id}
        out.append(item.rejected("duplicate") if again else item)
    return out


def _against_the_corpus(items: Sequence[Item], store: Store, limits: Limits) -> list[Item]:
    """``z`` and ``jump``: farthest value and longest step of a channel, in deviations over all clips kept so far."""
    kept = {item.id: _tensor(item, store, "moments") for item in items if not item.reason}
    if not kept:
        return list(items)
    frames = torch.tensor([item.frames for item in items if item.id in kept and not item.reason], dtype=torch.float64)
    all_moments = torch.stack(list(kept.values())).double()  # (clips, 4, 63)
    weight = (frames / frames.sum())[:, None]
    mean = (weight * all_moments[:, 0]).sum(0)
    sigma = ((weight * all_moments[:, 1]).sum(0) - mean.square()).clamp(min=0).sqrt()
    live = sigma > LIVE_SIGMA
    out = []
    for item in items:
        if item.reason or not bool(live.any()):
            out.append(item)
            continue
        own = kept[item.id].double()
        far = (own[2] + (own[0] - mean).abs())[live] / sigma[live]
        scores = {
            **item.scores,
            "z": round(float(far.max()), 3),
            "jump": round(float((own[3][live] / sigma[live]).max()), 3),
        }
        out.append(replace(item, scores=scores, reason=reason_against(scores, limits)))
    return out


def _still_heads(items: Sequence[Item], store: Store) -> set[str]:
    """Clips whose head turns so little that stage 1 will not learn its pose (docs/method.md 1.4)."""
    spread = {i.id: _tensor(i, store, "pose")[:, :3].double().std(0, correction=0) for i in items if not i.reason}
    if not spread:
        return set()
    typical = torch.stack(list(spread.values())).median(0).values
    return {name for name, own in spread.items() if bool((own < POSE_FLOOR * typical).all())}


def _flags(item: Item, still: bool) -> tuple[str, ...]:
    found = [POSE_STATIC] if still else []
    found += ["resynced"] if item.scores.get("sync_off") and not item.reason else []
    found += ["gap_filled"] if item.scores.get("coverage", 1.0) < 1.0 and not item.reason else []
    found += ["resampled"] if abs(float(item.facts.get("fps", 25.0)) - 25.0) > 0.01 else []
    return tuple(found)


def _tensor(item: Item, store: Store, name: str) -> Tensor:
    with safe_open(store.file(item.keys["motion"], "safetensors"), framework="pt") as file:
        return file.get_tensor(name)
