"""One interface for every step: from an item to one or several, by content and version, in any process."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from playmate_core.errors import UserError

from .entry import Item
from .filters import Limits, reason_against
from .store import Result, Store, key_of

logger = logging.getLogger(__name__)


class Step(Protocol):
    """A step is a frozen value that travels to other processes; its models are loaded where it runs."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def gpu(self) -> bool:
        """Whether it runs a network that a graphics card makes faster."""
        ...

    def inputs(self, item: Item) -> list[Any]:
        """Everything that decides the result, as JSON values."""
        ...

    def run(self, item: Item, store: Store) -> list[Result]:
        """Raises UserError for a file that cannot be used; that costs this item alone."""
        ...


def folder(step: Step) -> str:
    """Where a step's results lie in the store."""
    return f"{step.name}-v{step.version}"


def apply(step: Step, item: Item, store: Store, limits: Limits, root: Path) -> list[Item]:
    """What becomes of ``item`` by ``step``, from the store where it was done before; rejected items pass through.

    A file's own fault is kept, as it will not change. Anything unforeseen costs the item too, but is tried again by
    the next command. Raises UserError only where the store cannot be written.
    """
    if item.reason:
        return [item]
    try:
        where = _where(step, item)
    except UserError as problem:  # a file that went away
        return [item.rejected("unreadable", _portable(str(problem), root))]
    results = store.find(where)
    if results is None:
        try:
            results = step.run(item, store)
        except UserError as problem:
            results = [Result(reason="unreadable", detail=_portable(str(problem), root))]
        except Exception as problem:  # one video in ten thousand fails in an unforeseen way
            logger.warning("%s failed on %s: %r", step.name, item.entry.name, problem)
            return [item.rejected("failed", f"{step.name}: {_portable(repr(problem), root)}")]
        store.keep(where, results)
    return [_next(step, where, item, result, limits) for result in results]


def apply_all(steps: Sequence[Step], items: Iterable[Item], store: Store, limits: Limits, root: Path) -> list[Item]:
    """Every step on every item, one after the other."""
    done = list(items)
    for step in steps:
        done = [after for item in done for after in apply(step, item, store, limits, root)]
    return done


def recall(steps: Sequence[Step], item: Item, store: Store, limits: Limits) -> list[Item] | None:
    """What every step made of ``item`` before, without running any; None where one of them has not met it."""
    items = [item]
    for step in steps:
        after: list[Item] = []
        for one in items:
            if one.reason:
                after.append(one)
                continue
            try:
                where = _where(step, one)
            except UserError:
                return None
            if (results := store.find(where)) is None:
                return None
            after += [_next(step, where, one, result, limits) for result in results]
        items = after
    return items


def _where(step: Step, item: Item) -> str:
    return f"{folder(step)}/{key_of(step.inputs(item))}"


def _next(step: Step, where: str, item: Item, result: Result, limits: Limits) -> Item:
    scores, facts = {**item.scores, **result.scores}, {**item.facts, **result.facts}
    return replace(
        item,
        digest=facts.pop("digest", item.digest),
        begin=item.begin if result.begin is None else result.begin,
        end=item.end if result.end is None else result.end,
        scores=scores,
        facts=facts,
        keys={**item.keys, step.name: where},
        reason=result.reason or reason_against(scores, limits),
        detail=result.detail,
    )


def _portable(text: str, root: Path) -> str:
    """A message without the folder the corpus lies in here."""
    return text.replace(f"{root}/", "").replace(f"{root.resolve()}/", "")
