"""Values for every widget of every node, made from the schemas, so that a new widget is tried the day it is added.

Used inside the subprocess of test_linked_widgets.py, on the fakes, and by test_comfy_linked.py for a real server.
"""

from __future__ import annotations

import math
from typing import Any

WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
#: No widget takes these, whatever its kind.
HOSTILE: dict[str, Any] = {"nothing": None, "list": [1, 2], "dict": {"a": 1}, "bytes": b"1"}
NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "huge": 10**400, "word": "many", "hex": "0x1f"}
TEXTS = {"null byte": "a\0b", "traversal": "../../../etc/passwd", "long": "x" * 300, "book": "x" * 2_000_000}


def widgets(described: dict[str, Any]) -> dict[str, list[Any]]:
    """By name, the (kind, options) of a node's inputs that have a widget."""
    groups = described["input"].values()
    every = ((name, spec) for group in groups for name, spec in group.items())
    return {name: spec for name, spec in every if isinstance(spec[0], list) or spec[0] in WIDGETS}


def is_time(options: dict[str, Any]) -> bool:
    """Text that numbers may be linked to."""
    return "linkable" in options


def bad_values(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    """Values that a widget must refuse, by what is wrong with them."""
    if kind in ("INT", "FLOAT"):
        beyond = {"below": options["min"] - 1, "above": options["max"] + 1, **NUMBERS}
        return {**HOSTILE, **beyond, **({"half": options["min"] + 0.5} if kind == "INT" else {})}
    if is_time(options):
        beyond = {"above": 1e6, "below": -11, "late": "24:00:01", "unit": "5x", "half": "1.5f"}
        return {**HOSTILE, **TEXTS, **NUMBERS, **beyond, "empty": "", "blank": " \n"}
    if kind == "BOOLEAN":
        return {**HOSTILE, "two": 2, "word": "false", "nan": math.nan}
    if kind == "COMBO":
        return {**HOSTILE, **TEXTS, "unknown": "nosuch", "empty": "", "number": 7}
    return {**HOSTILE, **TEXTS, "empty": "", "blank": " \n", "flag": True}


def good_value(kind: str, options: dict[str, Any]) -> Any:
    """What another node may send: the default, numbers as the other kind of number."""
    default = options["default"]
    if is_time(options):
        return float(default)
    if kind == "INT":
        return float(default) if default < 2**53 else default
    return int(default) if kind == "FLOAT" and default == int(default) else default
