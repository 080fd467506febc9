"""The processes of a run: which one this is, what they add up to, and who starts them.

``torchrun`` and ``accelerate launch`` start one process for every device. On CPUs ``accelerate launch --num_processes 2
--cpu`` starts a single one and leaves the others to MPI, so this program starts them itself.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from playmate_core.errors import UserError

logger = logging.getLogger(__name__)

#: How long a process waits for the others. Preparing the features of a corpus takes some processes longer than others.
PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Processes:
    """This process is number ``rank`` of ``count``, and computes on ``device``. Every method is for all together."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and decides."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            torch.distributed.barrier()

    def average(self, values: Sequence[Tensor]) -> list[Tensor]:
        """The mean over the processes of tensors that have the same shapes in each, added in float32 in one message."""
        if self.count == 1 or not values:
            return list(values)
        flat = torch.cat([value.detach().to(self.device, torch.float32).flatten() for value in values])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        parts = flat.split([value.numel() for value in values])
        return [part.reshape(value.shape).to(value) for part, value in zip(parts, values, strict=True)]

    def any(self, condition: bool) -> bool:
        """Whether it is so in one of the processes."""
        return self.average([torch.tensor(float(condition))])[0].item() > 0.0

    def as_in_main(self, condition: bool) -> bool:
        """What the main process says."""
        return self.any(condition and self.is_main)

    def average_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Every gradient becomes its mean. One that no process has stays None; where only some have it, it counts as
        zero in the others."""
        if self.count == 1:
            return
        here = torch.tensor([float(p.grad is not None) for p in parameters])
        anywhere = self.average([here])[0] > 0.0
        taken = [p for p, some in zip(parameters, anywhere.tolist(), strict=True) if some]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in taken]
        for p, grad in zip(taken, self.average(grads), strict=True):
            p.grad = grad

    def average_batch_statistics(self, modules: Sequence[torch.nn.Module]) -> None:
        """Running means and variances of batch normalisation become their means, so that all processes stay alike."""
        if self.count == 1:
            return
        norms = [
            part
            for module in modules
            for part in module.modules()
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.training and part.track_running_stats
        ]
        buffers = [b for norm in norms for b in (norm.running_mean, norm.running_var) if b is not None]
        for buffer, mean in zip(buffers, self.average(buffers), strict=True):
            buffer.copy_(mean)


def processes() -> Processes:
    """The processes that were started together; on the first call they find each other."""
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Without cpu=True accelerate takes the processes that torchrun starts on a machine without accelerators for
    # runs that have nothing to do with each other.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    state = PartialState(cpu=cpu, **({"timeout": PATIENCE} if several else {}))
    device = torch.device("cpu") if state.device.type == "cpu" else state.device  # accelerate numbers CPUs, too
    return Processes(state.process_index, state.num_processes, device)


def started_the_others(argv: Sequence[str]) -> bool:
    """Whether ``accelerate launch`` left it to us to start several processes on CPUs. They have then run to their end.

    Raises UserError where it cannot be found out how many were asked for, and SystemExit where one of them failed.
    """
    if not _left_to_mpi(os.environ):
        return False
    count = _asked_of_accelerate()
    if count == 1:
        return False
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(["--standalone", "--nproc_per_node", str(count), "-m", "training", *argv])
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        raise SystemExit(max(codes, default=1) if max(codes, default=1) > 0 else 1) from None
    return True


def _left_to_mpi(environment: Mapping[str, str]) -> bool:
    """``accelerate launch`` gave several processes a meeting point, and none of them a number."""
    numbered = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    met = "ACCELERATE_MIXED_PRECISION" in environment and "MASTER_ADDR" in environment
    return met and not any(name in environment for name in numbered)


def _asked_of_accelerate() -> int:
    """``--num_processes`` of the command that started this one, or of the config file that it reads."""
    import psutil

    try:
        parent = psutil.Process().parent()
        words = parent.cmdline() if parent else []
    except psutil.Error:
        words = []
    begin = next((i for i, word in enumerate(words) if word == "launch" or "accelerate-launch" in word), None)
    if begin is None:
        begin = next((i for i, word in enumerate(words) if word.endswith(("launch.py", ".launch"))), None)
    try:
        if begin is None:
            raise ValueError("no accelerate launch in the parent's command")
        return _resolved(words[begin + 1 :])
    except (SystemExit, ValueError, AttributeError, ImportError) as problem:
        raise UserError(
            f"accelerate launch started one process on CPUs, and how many were meant cannot be told ({problem}); "
            "give `torchrun --standalone --nproc_per_node N -m training ...` instead."
        ) from problem


def _resolved(words: Sequence[str]) -> int:
    """How many processes accelerate's own reading of its flags and its config file comes to, on one machine."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    logging.getLogger("accelerate.commands.launch").setLevel(logging.ERROR)  # it has warned of its defaults before
    given, _, _ = _validate_launch_command(launch_command_parser().parse_args(list(words)))
    if (given.num_machines or 1) > 1:
        raise ValueError("several machines were asked for")
    return int(given.num_processes or 1)


def announce(name: str, group: Processes, first: int, facts: str) -> None:
    """The first line of a run's log."""
    number = "1 process" if group.count == 1 else f"{group.count} processes"
    logger.info("%s: %s on %s, from step %d: %s", name, number, group.device, first, facts)


def leave() -> None:
    """Let go of the other processes at the end, so that the interpreter can close quietly."""
    if "torch.distributed" in sys.modules and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
