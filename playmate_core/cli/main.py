"""The command line: parse arguments, call the pipelines, print the result."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

from ..errors import UserError, elided
from ..version import version
from .animate import add_animate_commands
from .describe import register_describe
from .dialogue import add_dialogue_command
from .talk import add_talk_commands
from .terminal import Parser, close_streams, join_negative_values, open_streams, say
from .weights import register_weights, search_first

#: Exit codes: user error, as in argparse, and Ctrl-C, as in shells.
MISTAKE, INTERRUPTED = 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. User errors are one sentence on stderr, never a traceback."""
    open_streams()
    try:
        return _run(words)
    finally:
        close_streams()


def _handle_termination() -> None:
    """Handle termination signals as Ctrl-C; further ones are ignored so that cleanup can finish.

    Signals that are ignored already, as SIGHUP under `nohup`, stay ignored.
    """
    termination_signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
    termination_signals = [one for one in termination_signals if signal.getsignal(one) != signal.SIG_IGN]

    def stop(number: int, frame: object) -> NoReturn:
        for one in termination_signals:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in termination_signals:
        signal.signal(one, stop)


def _run(words: Sequence[str] | None) -> int:
    options = argparse.Namespace()
    try:
        if threading.current_thread() is threading.main_thread():
            _handle_termination()
        options = parser().parse_args(join_negative_values(sys.argv[1:] if words is None else words))
        search_first(options)
        code: int | None = options.run(options)
        return code or 0
    except UserError as problem:
        say(f"playmate: {problem}", sys.stderr)
        return MISTAKE
    except OSError as problem:  # a full disk, a file that vanished
        where = elided(str(problem.filename or "while reading or writing"), 300)
        say(f"playmate: {UserError(f'{problem.strerror or problem}: {where}')}.", sys.stderr)
        return MISTAKE
    except MemoryError:
        say("playmate: The memory is full; please take a smaller --batch or split the speech.", sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        left = "what is drawn is kept for --resume" if getattr(options, "resume", False) else "nothing was left behind"
        say(f"playmate: stopped; {left}.", sys.stderr)
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The argument parser; defaults and ranges are read from the dataclasses they belong to."""
    top = Parser(prog="playmate", description="A still portrait and a voice become a talking video.")
    top.add_argument("--version", action="version", version=f"playmate {version()}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    add_talk_commands(commands)
    add_dialogue_command(commands)
    add_animate_commands(commands)
    register_describe(commands)
    register_weights(commands)
    return top
