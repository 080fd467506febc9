"""Times as corpora write them."""

from __future__ import annotations


def clock(text: str) -> float:
    """Seconds of "mm:ss" or "hh:mm:ss", fractions allowed in the last part. Raises ValueError for anything else."""
    parts = text.strip().split(":")
    if not 2 <= len(parts) <= 3 or any(float(part) < 0 for part in parts):
        raise ValueError(f"{text!r} is not mm:ss or hh:mm:ss")
    seconds = 0.0
    for part in parts:
        seconds = seconds * 60 + float(part)
    return seconds


def minutes_seconds(text: str) -> float:
    """Seconds of Acappella's "minutes.seconds": 2.44 is 2 min 44 s, and 1.3, a spreadsheet's 1.30, 1 min 30 s.

    Raises ValueError for anything else.
    """
    minutes, _, seconds = text.strip().partition(".")
    if not minutes.isdigit() or (seconds and not seconds.isdigit()):
        raise ValueError(f"{text!r} is not minutes.seconds")
    whole = int((seconds + "00")[:2])
    if whole > 59:
        raise ValueError(f"{text!r} has {whole} seconds in a minute")
    return 60.0 * int(minutes) + whole + (float(f"0.{seconds[2:]}") if len(seconds) > 2 else 0.0)
