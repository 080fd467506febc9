"""The mutable part of a run: weights, their average, the optimizer, and the sums waiting to be logged."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playmate_core.atomic_file import AtomicFile, write_atomically
from playmate_core.errors import UserError
from training.batches import Drawn, step_seed, to_device
from training.config import LoopConfig, learning_rate
from training.memory import naming_memory_flags
from training.processes import Processes
from training.stage import Scores, Stage, Validated

#: What a run leaves in its folder: the means of the losses, what validation measured, and the best deliverable so far.
LOG, VALIDATION, BEST = "log.jsonl", "validation.jsonl", "best"


class Run:
    """The mutable part: weights, their average, the optimizer, and the sums waiting to be logged."""

    def __init__(self, stage: Stage, config: LoopConfig, run_dir: Path, group: Processes) -> None:
        self.stage, self.config, self.run_dir, self.group, self.device = stage, config, run_dir, group, group.device
        self.config_json = json.dumps(dataclasses.asdict(config), indent=2, default=str)
        self.modules = dict(stage.modules())
        for module in self.modules.values():
            module.to(self.device).train()
        groups: Any = list(stage.parameters())
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.average = [p.detach().clone() for p in self.learning] if config.ema else []
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.seconds = 0.0
        self.best: Scores | None = None
        self.tick = time.monotonic()

    def descend(self, step: int, drawn: Drawn, accelerator: Any) -> Mapping[str, Tensor]:
        """One step: differentiate, clip, move, average. Raises UserError where memory does not suffice."""
        batch, generator = drawn
        # dropout inside modules draws from the global state
        torch.manual_seed(step_seed(self.config.seed, step, self.group.rank))
        with naming_memory_flags(self.config, step):
            batch = to_device(batch, self.device)
            with accelerator.autocast():
                values = self.stage.loss(batch, step, generator)
            accelerator.backward(values["loss"])
        self.group.average_gradients(self.learning)  # every process holds the same weights and gives its share
        self.group.average_batch_statistics(list(self.modules.values()))
        if self.config.grad_clip:
            torch.nn.utils.clip_grad_norm_(self.learning, self.config.grad_clip)
        factor = learning_rate(self.config, step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:  # a young average forgets faster, so that the random start does not linger
            decay = min(self.config.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(self.average, [p.detach() for p in self.learning], 1 - decay)
        values = {name: value.detach().float() for name, value in values.items()}
        self.sums = {name: self.sums[name] + value if name in self.sums else value for name, value in values.items()}
        self.count += 1
        return values

    def log(self, step: int) -> dict[str, float]:
        """Append the mean of every value, since the last line and over the processes, to ``log.jsonl``; refuse to go
        on from NaN."""
        self._agree_on_sums()
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        self._expect_finite(step, means["loss"])
        self._tell_time()
        line = {"step": step, **means, "lr": self.optimizer.param_groups[0]["lr"], "seconds": self.seconds}
        if self.group.is_main:
            append_line(self.run_dir / LOG, line)
        self.sums, self.count = {}, 0
        return means

    def _agree_on_sums(self) -> None:
        """The sums become their means over the processes."""
        names = sorted(self.sums)
        self.sums = dict(zip(names, self.group.average([self.sums[name] for name in names]), strict=True))

    def _tell_time(self) -> None:
        now = time.monotonic()
        self.seconds, self.tick = self.seconds + now - self.tick, now

    def deliver(self, step: int) -> None:
        """Let the stage write its file, with the averaged weights in place."""
        if self.group.is_main:
            with self._delivered():
                self.stage.save(self.run_dir, step)

    def validate(self, step: int) -> Mapping[str, float]:
        """Measure the averaged weights on held-out clips in the main process, append a line to ``validation.jsonl``,
        and keep the deliverable in ``best`` where none before was better."""
        figures: dict[str, float] = {}
        if self.group.is_main and isinstance(self.stage, Validated):
            with self._delivered(), torch.random.fork_rng():
                scores = self.stage.validate(self.device)
                figures = {"score": scores.score, **scores.figures}
                # not >= but not <: where nothing can be told apart, the later is kept
                if self.best is None or not scores.score < self.best.score:
                    self.best = scores
                    (self.run_dir / BEST).mkdir(exist_ok=True)
                    self.stage.save(self.run_dir / BEST, step)
            append_line(self.run_dir / VALIDATION, {"step": step, **figures})
        self.group.wait()
        return figures

    def save(self, step: int) -> None:
        """The deliverable, then ``state.pt`` in one rename, so that a kill leaves the previous state whole."""
        self._agree_on_sums()
        if self.count:
            self._expect_finite(step, float(self.sums["loss"]))
        if self.group.is_main:
            self.deliver(step)
            self._tell_time()
            self._write_state(step)
        self.group.wait()

    def _write_state(self, step: int) -> None:
        state = {
            "step": step,
            "seconds": self.seconds,
            "processes": self.group.count,
            "best": None if self.best is None else {"score": self.best.score, "figures": dict(self.best.figures)},
            "config": self.config_json,
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "sums": self.sums,
            "count": self.count,
        }
        with AtomicFile(self.run_dir / "state.pt") as temporary, temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    def resume(self) -> int:
        """Take up ``state.pt`` where there is one -> the step to go on from. Log lines after it are cut away."""
        path = self.run_dir / "state.pt"
        step = 0
        if path.exists():
            state = torch.load(path, map_location="cpu", weights_only=True)
            self._expect_same_config(json.loads(state["config"]))
            self._expect_as_many_processes(state.get("processes", 1))
            for name, module in self.modules.items():
                module.load_state_dict(state["modules"][name])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = [value.to(self.device) for value in state["average"]]
            self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
            self.count, self.seconds, step = state["count"], state["seconds"], state["step"]
            self.best = Scores(**state["best"]) if state.get("best") else None
        self.group.wait()  # nobody writes before everybody has read
        if self.group.is_main:
            for name in (LOG, VALIDATION):
                cut_lines(self.run_dir / name, step)
        return step

    @contextmanager
    def _delivered(self) -> Iterator[None]:
        """The averaged weights in place and the modules in eval mode, for a while."""
        for module in self.modules.values():
            module.eval()
        with self._averaged():
            yield
        for module in self.modules.values():
            module.train()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The averaged weights in place of the learning ones, for a while."""
        kept = [p.detach().clone() for p in self.learning] if self.average else []
        with torch.no_grad():
            for p, value in zip(self.learning, self.average or self.learning, strict=True):
                p.copy_(value)
            try:
                yield
            finally:
                for p, value in zip(self.learning, kept or self.learning, strict=True):
                    p.copy_(value)

    def _expect_same_config(self, before: dict[str, Any]) -> None:
        now = json.loads(self.config_json)
        changed = [key for key in now if key not in self.config.free and before.get(key, now[key]) != now[key]]
        if changed:
            what = ", ".join(f"{key} {before[key]!r} -> {now[key]!r}" for key in changed)
            raise UserError(
                f"{self.run_dir} holds a run with another config ({what}); give the same values, or another --out."
            )

    def _expect_as_many_processes(self, before: int) -> None:
        now = self.group.count
        if before != now:
            raise UserError(
                f"{self.run_dir} holds a run of {_processes(before)}, and this is {_processes(now)}: each has batches"
                f" of its own, so another number would be another run; start {before}, or give another --out."
            )

    def _expect_finite(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"The loss is {loss} at step {step}, expected a finite number; lower --lr (the last state is kept)."
            )


def _processes(count: int) -> str:
    return f"{count} process" + ("es" if count > 1 else "")


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """Add a line of JSON."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def cut_lines(path: Path, step: int) -> None:
    """Keep the lines up to ``step``; a half-written last line goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    write_atomically(path, "".join(kept).encode())
