"""The one training loop. It asks a stage what learns and what the loss is, and knows no paper.

Everything random about step ``n`` comes from generators seeded by (seed, n), so the data order is no state: a run
killed at any point and started again by the same command ends in the same weights, bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from playmate_core.atomic_file import AtomicFile, write_atomically
from playmate_core.errors import UserError
from training.config import LoopConfig, check, learning_rate

logger = logging.getLogger(__name__)


class Stage(Protocol):
    """What a stage answers. ``batch`` must draw from the generator alone; ``loss`` returns at least the key "loss"."""

    @property
    def name(self) -> str: ...

    def modules(self) -> Mapping[str, nn.Module]:
        """What learns; placed, saved, restored and averaged by the loop."""
        ...

    def parameters(self) -> Iterable[nn.Parameter] | Iterable[dict[str, Any]]:
        """The parameters that learn, or optimizer groups of them (a group's "lr" replaces the config's)."""
        ...

    def batch(self, generator: torch.Generator) -> Any:
        """A frozen dataclass of CPU tensors; the loop moves it."""
        ...

    def loss(self, batch: Any, step: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Scalars by name, for the log; "loss" is what is minimised. ``generator`` lives on the CPU."""
        ...

    def save(self, run_dir: Path, step: int) -> None:
        """Write the deliverable. Called with the averaged weights in place and the modules in eval mode."""
        ...


def train(stage: Stage, config: LoopConfig, run_dir: str | Path) -> int:
    """Train ``stage`` in ``run_dir`` until ``config.steps`` or ``config.max_seconds``; the same call again resumes.

    Writes ``config.json``, ``state.pt`` (tensors and plain numbers), ``log.jsonl`` and the stage's own deliverable.
    Returns the step reached. Raises UserError when the folder holds a run with another config, or the loss is
    not finite.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    began = time.monotonic()
    run_dir = Path(run_dir)
    check(config)
    run_dir.mkdir(parents=True, exist_ok=True)
    AcceleratorState._reset_state()  # accelerate keeps one precision for a whole process; a second run may want another
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    run = _Run(stage, config, run_dir, accelerator.device)
    first = run.resume()
    if accelerator.is_main_process:
        write_atomically(run_dir / "config.json", run.config_json.encode())
        logger.info("%s on %s from step %d: %s", stage.name, accelerator.device, first, run.config_json)
    bar = _bar(stage.name, first, config.steps, accelerator.is_main_process)
    step, saved = first, False
    while step < config.steps:
        values = run.descend(step, accelerator)
        step += 1
        bar.update()
        if step % config.log_every == 0 or step == config.steps:
            bar.set_postfix(run.log(step, values, accelerator.is_main_process), refresh=False)
        late = 0 < config.max_seconds < time.monotonic() - began
        saved = step % config.save_every == 0 or step == config.steps or late
        if saved and accelerator.is_main_process:
            run.save(step)
        if late:
            logger.info("%s: the wall budget of %g s is spent at step %d.", stage.name, config.max_seconds, step)
            break
    bar.close()
    if step == first and first > 0 and accelerator.is_main_process:
        run.deliver(step)  # a finished run asked again: the deliverable is there afterwards in any case
    return step


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """A 32-bit seed for one step of one process (splitmix64; torch's CPU generator reads the low 32 bits only)."""
    mask = (1 << 64) - 1
    z = (seed * 0x9E3779B97F4A7C15 + step * 0xD1B54A32D192ED03 + rank * 0x8CB92BA72F3D8DD7 + 0x632BE59BD9B4E019) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return (z ^ (z >> 31)) >> 32


class _Run:
    """The mutable part: weights, their average, the optimizer, and the sums waiting to be logged."""

    def __init__(self, stage: Stage, config: LoopConfig, run_dir: Path, device: torch.device) -> None:
        self.stage, self.config, self.run_dir, self.device = stage, config, run_dir, device
        self.config_json = json.dumps(dataclasses.asdict(config), indent=2, default=str)
        self.modules = dict(stage.modules())
        for module in self.modules.values():
            module.to(device).train()
        groups: Any = list(stage.parameters())
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        self.average = [p.detach().clone() for p in self.learning] if config.ema else []
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.seconds = 0.0
        self.tick = time.monotonic()

    def descend(self, step: int, accelerator: Any) -> Mapping[str, Tensor]:
        """One step: draw, differentiate, clip, move, average."""
        seed = step_seed(self.config.seed, step, accelerator.process_index)
        torch.manual_seed(seed)  # dropout inside modules draws from the global state
        generator = torch.Generator().manual_seed(seed)
        batch = to_device(self.stage.batch(generator), self.device)
        with accelerator.autocast():
            values = self.stage.loss(batch, step, generator)
        accelerator.backward(values["loss"])
        if accelerator.num_processes > 1:  # every process holds the same weights and hands in its share
            for p in self.learning:
                if p.grad is not None:
                    p.grad = accelerator.reduce(p.grad, reduction="mean")
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

    def log(self, step: int, values: Mapping[str, Tensor], write: bool) -> dict[str, float]:
        """Append the mean of every value since the last line to ``log.jsonl``; refuse to go on from NaN."""
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        self._expect_finite(step, means["loss"])
        now = time.monotonic()
        self.seconds, self.tick = self.seconds + now - self.tick, now
        if write:
            line = {"step": step, **means, "lr": self.optimizer.param_groups[0]["lr"], "seconds": self.seconds}
            with (self.run_dir / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        self.sums, self.count = {}, 0
        return means

    def deliver(self, step: int) -> None:
        """Let the stage write its file, with the averaged weights in place."""
        for module in self.modules.values():
            module.eval()
        with self._averaged():
            self.stage.save(self.run_dir, step)
        for module in self.modules.values():
            module.train()

    def save(self, step: int) -> None:
        """The deliverable, then ``state.pt`` in one rename, so that a kill leaves the previous state whole."""
        if self.count:
            self._expect_finite(step, float(self.sums["loss"]))
        self.deliver(step)
        now = time.monotonic()
        self.seconds, self.tick = self.seconds + now - self.tick, now
        state = {
            "step": step,
            "seconds": self.seconds,
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
            for name, module in self.modules.items():
                module.load_state_dict(state["modules"][name])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average = [value.to(self.device) for value in state["average"]]
            self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
            self.count, self.seconds, step = state["count"], state["seconds"], state["step"]
        _cut_log(self.run_dir / "log.jsonl", step)
        return step

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

    def _expect_finite(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"The loss is {loss} at step {step}, expected a finite number; lower --lr (the last state is kept)."
            )


def to_device(value: Any, device: torch.device) -> Any:
    """``value`` with every tensor in it on ``device``; dataclasses, mappings and sequences are walked."""
    if device.type == "cpu":
        return value
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        moved = {f.name: to_device(getattr(value, f.name), device) for f in dataclasses.fields(value) if f.init}
        return dataclasses.replace(value, **moved)
    if isinstance(value, Mapping):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_device(item, device) for item in value)
    return value


def _bar(name: str, first: int, steps: int, shown: bool) -> Any:
    from tqdm.auto import tqdm

    interval = 0.5 if sys.stderr.isatty() else 30.0  # a log file wants a line now and then, not a video
    return tqdm(initial=first, total=steps, desc=name, mininterval=interval, disable=not shown, dynamic_ncols=True)


def _cut_log(path: Path, step: int) -> None:
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
