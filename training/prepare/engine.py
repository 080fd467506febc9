"""Execution of the steps: a pool of processes on one machine, or Ray Data on several. Steps and results are the same.

An engine gets items and gives back every item that came of them, in any order; results lie in the store, which all
machines of a cluster share. What was done before is not done again.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from playmate_core.errors import UserError
from training.workers import worker_pool

from .entry import Item
from .filters import Limits
from .steps import Step, apply_all, recall
from .store import Store

logger = logging.getLogger(__name__)

ENGINES = ("pool", "ray")
#: Items handed to the pool ahead of its workers, for each of them.
_AHEAD = 4


@dataclass(frozen=True)
class Plan:
    """What is done to every item; travels to other processes and machines."""

    steps: tuple[Step, ...]
    store: Path
    limits: Limits
    root: Path

    def process(self, items: Sequence[str], steps: Sequence[Step] | None = None) -> list[str]:
        """Items as JSON through ``steps`` (all of them by default)."""
        torch.set_num_threads(1)
        read = [Item.from_json(item) for item in items]
        done = apply_all(steps or self.steps, read, Store(self.store), self.limits, self.root)
        return [item.to_json() for item in done]


def run_in_pool(plan: Plan, items: Sequence[Item], workers: int) -> Iterator[list[Item]]:
    """What came of each item, as it is finished. A video that ends a worker, twice, is rejected as "crashed"."""
    waiting: list[str] = []
    for item in items:  # a finished corpus under other limits needs no worker at all
        known = recall(plan.steps, item, Store(plan.store), plan.limits)
        if known is None:
            waiting.append(item.to_json())
        else:
            yield known
    while waiting:
        left: list[str] = []
        for done in _until_broken(plan, waiting, workers, left):
            yield [Item.from_json(item) for item in done]
        waiting = left[_AHEAD * workers :]
        for suspect in left[: _AHEAD * workers]:
            yield _alone(plan, suspect)


def _until_broken(plan: Plan, items: Sequence[str], workers: int, left: list[str]) -> Iterator[list[str]]:
    """Results until the end, or until a worker dies; then ``left`` holds what is not done, what was begun first."""
    queue = iter(items)
    running: dict[Future[list[str]], str] = {}
    with worker_pool(workers) as pool:
        try:
            while True:
                while len(running) < _AHEAD * workers and (item := next(queue, None)) is not None:
                    running[pool.submit(plan.process, [item])] = item
                if not running:
                    return
                for future in wait(running, return_when="FIRST_COMPLETED").done:
                    result = future.result()
                    del running[future]
                    yield result
        except BrokenProcessPool:
            left += [*running.values(), *queue]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _alone(plan: Plan, item: str) -> list[Item]:
    """One item in a process of its own."""
    try:
        with worker_pool(1) as pool:
            return [Item.from_json(done) for done in pool.submit(plan.process, [item]).result()]
    except BrokenProcessPool:
        lost = Item.from_json(item)
        logger.warning("%s ended the process that read it.", lost.entry.name)
        return [lost.rejected("crashed", "the process that read it ended")]


class OnActor:
    """Steps that keep a network loaded: one of these lives on each graphics card."""

    def __init__(self, plan: Plan, steps: Sequence[Step]) -> None:
        self.plan, self.steps = plan, steps

    def __call__(self, row: dict[str, str]) -> list[dict[str, str]]:
        return [{"item": item} for item in self.plan.process([row["item"]], self.steps)]


def run_on_ray(plan: Plan, items: Sequence[Item], workers: int, gpus: float, address: str) -> Iterator[list[Item]]:
    """The same through Ray Data: decoding as tasks on any CPU, M on actors with ``gpus`` each (0: CPUs as well).

    ``address`` is that of a running cluster ("auto": the one of this machine), "" starts one here. Raises UserError
    when Ray is missing.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError("--engine ray needs Ray; run `pip install 'ray[data]'`, or leave the flag out.") from None
    yield from ([item] for item in items if item.reason)
    rows = [{"item": item.to_json()} for item in items if not item.reason]
    if not rows:
        return
    _start_ray(ray, workers, address)
    try:
        data: Any = ray.data.from_items(rows)
        for gpu, group in groupby(plan.steps, key=lambda step: step.gpu):
            steps = tuple(group)
            if gpu:
                resources: dict[str, Any] = {"num_gpus": gpus} if gpus else {"num_cpus": 1}
                data = data.flat_map(OnActor, fn_constructor_args=(plan, steps), concurrency=(1, workers), **resources)
            else:
                for step in steps:
                    data = data.flat_map(OnTask(plan, (step,)).__call__, num_cpus=1)
        for row in data.iter_rows():
            yield [Item.from_json(row["item"])]
    finally:
        ray.shutdown()  # leaves a cluster that was running before


class OnTask(OnActor):
    """Steps that any process does; what they load stays for the next row of that process."""


def _start_ray(ray: Any, workers: int, address: str) -> None:
    """Connect to a cluster, or start one of this process's own. Nothing is reported to anybody."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    here = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "RAY_USAGE_STATS_ENABLED": "0"}
    if address:
        try:
            ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
        except ConnectionError as problem:
            raise UserError(
                f"No Ray cluster lets us in at --ray-address {address} ({str(problem).strip()}); start one with"
                " `ray start --head`, set RAY_AUTH_MODE and its token here as there (docs/training.md, On a cluster),"
                " or leave the flag out to use this machine alone."
            ) from problem
        return
    ray.init(
        num_cpus=workers + 1,  # M's actor holds one
        include_dashboard=False,
        log_to_driver=False,
        ignore_reinit_error=True,
        runtime_env={"env_vars": here},
    )
