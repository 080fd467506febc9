"""Validation of widget values, typed or linked.

ComfyUI checks what was typed. A linked widget is None while a prompt is validated and holds its value only in
``execute``, where ComfyUI checks nothing. :func:`checked` therefore judges every widget of a node's schema again at the
beginning of ``execute``: numbers by their type and range, choices by their options, texts by their length, times by how
they are written (``execute`` gets their seconds), and whatever the node's own ``validate_inputs`` judges by that, with
the same sentence.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io

from ..playmate_core.errors import UserError, elided, suggestion
from ..playmate_core.times import read_seconds
from ..playmate_core.values import FPS, AudioFeatures, Motion, Pose
from . import sockets

#: Characters of a text: more than an hour of keyframes, one a frame.
LONGEST_TEXT = 1_000_000


def checked(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """``node``, whose ``execute`` first judges the values of its widgets. Raises UserError for one that does not do."""
    run = node.execute.__func__
    ours = node.mro()[: node.mro().index(io.ComfyNode)]  # ComfyUI's own class has one that judges nothing
    validate = next((one.__dict__["validate_inputs"] for one in ours if "validate_inputs" in one.__dict__), None)
    judged = inspect.getfullargspec(validate.__func__).args[1:] if validate else []
    assert len(judged) <= 1, f"validate_inputs of {node.__name__} asks for more than one widget"

    @functools.wraps(run)
    def execute(cls: type[io.ComfyNode], **given: Any) -> Any:
        schema, fps = node.define_schema(), _rate(given)
        for put in schema.inputs:
            accept = functools.partial(_seconds, fps) if isinstance(put, sockets.Time) else _acceptance(put)
            if accept is None or put.id not in given:
                continue
            if put.id in judged and given[put.id] is not None:
                if (answer := cls.validate_inputs(**{put.id: given[put.id]})) is not True:
                    raise UserError(str(answer))
                given[put.id] = str(given[put.id])
                continue
            try:
                given[put.id] = accept(put, given[put.id])
            except UserError as refusal:
                raise UserError(f"{schema.display_name}: {refusal}") from None
        return run(cls, **given)

    setattr(node, "execute", classmethod(execute))  # noqa: B010
    return node


def verdict(check: Callable[[str], object], value: Any) -> str | bool:
    """For the ``validate_inputs`` of one text or choice: True, or the error message of ``check`` for ``value``.

    None is a linked widget, which is judged when its value is there. One widget a node: ComfyUI shows what is said on
    each widget that ``validate_inputs`` asks for.
    """
    if value is None:
        return True
    try:
        text = _text(value)
    except UserError as refusal:
        return f"The value {refusal}"
    try:
        check(text)
    except UserError as refusal:
        return str(refusal)
    return True


def _acceptance(put: Any) -> Callable[[Any, Any], Any] | None:
    """The validator of an input; None for a socket without a widget."""
    kinds = ((io.Int, _whole), (io.Float, _number), (io.Boolean, _switch), (io.Combo, _choice), (io.String, _written))
    return next((accept for kind, accept in kinds if isinstance(put, kind.Input)), None)


def _rate(given: dict[str, Any]) -> float:
    """Frames a second of what a node works on, in which a time may be counted."""
    for kind in (Motion, Pose, AudioFeatures):
        for value in given.values():
            if isinstance(value, kind):
                return float(value.fps)
    return FPS


def _seconds(fps: float, put: Any, value: Any) -> float:
    try:
        return read_seconds(value, put.low, put.high, fps)
    except UserError as refusal:
        raise UserError(f"{put.id} {refusal}") from None


def _number(put: Any, value: Any, wanted: str = "a number") -> float:
    """``value`` as a number within the widget's range, read as ComfyUI reads what is typed."""
    try:
        number = math.nan if isinstance(value, (bytes, bytearray)) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: a tensor of several numbers
        number = math.nan
    if not put.min <= number <= put.max:
        wanted = f"{wanted} from {_said(put.min)} to {_said(put.max)}"
        raise UserError(f"{put.id} must be {wanted}, got {_said(value)}; please change it.")
    return number


def _whole(put: Any, value: Any) -> int:
    if isinstance(value, int) and put.min <= value <= put.max:  # float would round a seed
        return int(value)
    number = _number(put, value, "a whole number")
    if number != int(number):
        raise UserError(f"{put.id} must be a whole number, got {_said(value)}; please change it.")
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else int(number)


def _switch(put: Any, value: Any) -> bool:
    try:
        number = math.nan if isinstance(value, (str, bytes, bytearray)) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if number not in (0, 1):
        raise UserError(f"{put.id} must be true or false, got {_said(value)}; please change it.")
    return bool(number)


def _choice(put: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise UserError(f"{put.id} must be one of the names it lists, got {_said(value)}; please change it.")
    if value not in put.options:
        listed = elided(", ".join(put.options), 300)
        raise UserError(f"{put.id} must be one of {listed}, got {_said(value)}{suggestion(value, put.options)}.")
    return value


def _written(put: Any, value: Any) -> str:
    try:
        return _text(value)
    except UserError as refusal:
        raise UserError(f"{put.id} {refusal}") from None


def _text(value: Any) -> str:
    """``value`` as text; a number is taken as it is written."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise UserError(f"must be text, got {_said(value)}; please change it.")
    if len(text := str(value)) > LONGEST_TEXT:
        raise UserError(f"must have at most {LONGEST_TEXT:,} characters, got {len(text):,}; please shorten it.")
    return text


def _said(value: Any) -> str:
    """A value as a sentence names it."""
    if value is None:
        return "nothing"
    if isinstance(value, (bool, int, float, str)):
        return elided(f"{value:g}" if isinstance(value, float) else repr(value))
    return f"a value of type {type(value).__name__}"
