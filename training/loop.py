"""The one training loop. It asks a stage what learns and what the loss is, and knows no paper.

Everything random about step ``n`` comes from generators seeded by (seed, n), so the data order is no state: a run
killed at any point and started again by the same command ends in the same weights, bit for bit.
"""

from __future__ import annotations

import logging
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playmate_core.atomic_file import remove_stale, write_atomically
from playmate_core.errors import UserError
from training.batches import StepBatches, batches
from training.config import LoopConfig, check
from training.processes import announce, processes
from training.run_state import Run
from training.stage import Stage, Validated

logger = logging.getLogger(__name__)


def train(stage: Stage, config: LoopConfig, run_dir: str | Path) -> int:
    """Train ``stage`` in ``run_dir`` until ``config.steps`` or ``config.max_seconds``; the same call again resumes.

    Writes ``config.json``, ``state.pt`` (tensors and plain numbers), ``log.jsonl`` and the stage's own deliverable,
    all from the main process. Returns the step reached. Raises UserError when the folder holds a run with another
    config or of another number of processes, or the loss is not finite.
    """
    began = time.monotonic()
    run_dir = Path(run_dir)
    check(config)
    _expect_possible(stage, config)
    group = processes()
    accelerator = _accelerator(config, run_dir, group.device.type == "cpu")
    run_dir.mkdir(parents=True, exist_ok=True)
    run = Run(stage, config, run_dir, group)
    first = run.resume()
    if group.is_main:
        remove_stale(run_dir)
        write_atomically(run_dir / "config.json", run.config_json.encode())
        announce(stage.name, group, first, run.config_json)
        if config.tensorboard:
            accelerator.init_trackers("tensorboard", init_kwargs={"tensorboard": {"purge_step": first + 1}})
    bar = _bar(stage.name, first, config.steps, group.is_main)
    step = first
    drawn = batches(range(first, config.steps), StepBatches(stage.batch, config.seed, group.rank), config.workers)
    for batch in drawn:
        run.descend(step, batch, accelerator)
        step += 1
        bar.update()
        if step % config.log_every == 0 or step == config.steps:
            means = run.log(step)
            bar.set_postfix(means, refresh=False)
            accelerator.log(means, step)
        if config.validate_every and (step % config.validate_every == 0 or step == config.steps):
            accelerator.log({f"validation/{name}": value for name, value in run.validate(step).items()}, step)
        # clocks differ, so one process decides for all
        late = config.max_seconds > 0 and group.as_in_main(config.max_seconds < time.monotonic() - began)
        if step % config.save_every == 0 or step == config.steps or late:
            run.save(step)
        if late:
            if group.is_main:
                logger.info("%s: the wall budget of %g s is spent at step %d.", stage.name, config.max_seconds, step)
            break
    bar.close()
    if step == first and first > 0:
        run.deliver(step)  # a finished run asked again: the deliverable is there afterwards in any case
    for tracker in accelerator.trackers:  # end_training() would part the processes, and a verb may train twice
        tracker.finish()
    group.wait()
    return step


def _expect_possible(stage: Stage, config: LoopConfig) -> None:
    if config.validate_every and not isinstance(stage, Validated):
        raise UserError(f"--validate-every is {config.validate_every}, but {stage.name} has no validation; leave it 0.")
    if config.tensorboard and not any(find_spec(name) for name in ("tensorboard", "tensorboardX")):
        raise UserError(
            "--tensorboard needs the package tensorboard, which is not installed; install it (pip install tensorboard),"
            " or leave the flag out: log.jsonl has the same numbers."
        )


def _accelerator(config: LoopConfig, run_dir: Path, cpu: bool) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # accelerate keeps one precision for a whole process; a second run may want another
    trackers = {"log_with": "tensorboard", "project_dir": str(run_dir)} if config.tensorboard else {}
    return Accelerator(mixed_precision=config.mixed_precision, cpu=cpu, **trackers)


def _bar(name: str, first: int, steps: int, shown: bool) -> Any:
    from tqdm.auto import tqdm

    interval = 0.5 if sys.stderr.isatty() else 30.0  # a log file wants a line now and then, not a video
    return tqdm(initial=first, total=steps, desc=name, mininterval=interval, disable=not shown, dynamic_ncols=True)
