"""Worker processes that end with their parent, compute on one thread, and leave Ctrl-C to it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor

import torch


def worker_pool(count: int) -> ProcessPoolExecutor:
    """``count`` fresh processes."""
    return ProcessPoolExecutor(
        count, multiprocessing.get_context("spawn"), initializer=start_worker, initargs=(os.getpid(),)
    )


def start_worker(parent: int) -> None:
    """One thread of arithmetic; Ctrl-C is the parent's; a worker whose parent was killed ends."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
