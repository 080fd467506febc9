"""Read pickles of plain data safely.

Supports dicts, lists, tuples, numbers, strings and numpy arrays, as numpy 1 and 2 write them. Nothing a pickle names is
imported or called: the classes of arrays are replaced by inert stand-ins, anything else is refused before unpickling.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Opcodes of plain data; all others, which can call and import, are refused.
_HARMLESS = frozenset(
    "PROTO FRAME STOP MARK MEMOIZE BINGET LONG_BINGET BINPUT LONG_BINPUT NONE NEWTRUE NEWFALSE BININT BININT1 BININT2"
    " LONG1 BINFLOAT SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 EMPTY_DICT EMPTY_LIST"
    " EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS SETITEM SETITEMS GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)
_NUMBERS = {
    "f2": np.float16,
    "f4": np.float32,
    "f8": np.float64,
    "i4": np.int32,
    "i8": np.int64,
    "u1": np.uint8,
    "b1": np.bool_,
}
#: Exceptions that a damaged or foreign file may raise.
PROBLEMS = (
    pickle.UnpicklingError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    EOFError,
    OverflowError,
    RecursionError,
)


def unpickled(data: bytes) -> Any:
    """The content of a pickle; its arrays are objects whose ``value`` is float32. Raises one of PROBLEMS."""
    for operation, argument, _ in pickletools.genops(data):
        if operation.name not in _HARMLESS:
            raise pickle.UnpicklingError(f"it holds the instruction {operation.name}")
        if operation.name == "LONG_BINPUT" and int(argument or 0) > len(data):  # would allocate a memo of that length
            raise pickle.UnpicklingError("it is damaged")
    return _Reader(io.BytesIO(data), _stand_ins()).load()


def array(value: Any) -> NDArray[np.float32]:
    """An array or number of a pickle. Raises TypeError for anything else."""
    if isinstance(value, (int, float)):
        return np.asarray(value, np.float32)
    if not isinstance(getattr(value, "value", None), np.ndarray):
        raise TypeError(f"it holds {type(value).__name__} in place of numbers")
    return value.value


def is_array(value: Any) -> bool:
    """Whether an object of a pickle stands for a NumPy array."""
    return isinstance(getattr(value, "value", None), np.ndarray)


def mapping(value: Any) -> Mapping[str, Any]:
    """A dict of a pickle. Raises TypeError for anything else."""
    if not isinstance(value, dict):
        raise TypeError(f"it holds {type(value).__name__} in place of a dict")
    return value


class _Reader(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, known: dict[tuple[str, str], Any]) -> None:
        super().__init__(file)
        self._known = known

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module.replace("numpy._core", "numpy.core"), name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _stand_ins() -> dict[tuple[str, str], Any]:
    """Inert replacements of the globals in an array's pickle, created per file so that files cannot affect each
    other."""

    class Kind:
        """In place of numpy.dtype: numbers of one to eight bytes, little-endian."""

        def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
            if code not in _NUMBERS:
                raise ValueError(f"it holds an array of {code}")
            self.code = code

        def __setstate__(self, state: tuple) -> None:
            if state[1] not in ("<", "|"):
                raise ValueError("its numbers are in foreign byte order")

    class Array:
        """In place of numpy.ndarray: numbers without behaviour."""

        value: NDArray[np.float32]

        def __setstate__(self, state: tuple) -> None:
            _, shape, kind, fortran, content = state
            self.value = _shaped(content, kind.code, shape, fortran)

    def reconstruct(kind: Any, shape: tuple, code: bytes) -> Array:
        return Array()

    def from_buffer(content: bytes, kind: Kind, shape: tuple, order: str) -> Array:
        made = Array()
        made.value = _shaped(content, kind.code, shape, order == "F")
        return made

    def scalar(kind: Kind, content: bytes) -> float:
        return float(np.frombuffer(content, _NUMBERS[kind.code])[0])

    def encode(text: str, encoding: str) -> bytes:
        return text.encode("latin1")  # how older pickles write bytes

    stand_ins: dict[tuple[str, str], Callable] = {
        ("numpy.core.multiarray", "_reconstruct"): reconstruct,
        ("numpy.core.multiarray", "scalar"): scalar,
        ("numpy.core.numeric", "_frombuffer"): from_buffer,
        ("numpy", "ndarray"): Array,
        ("numpy", "dtype"): Kind,
        ("_codecs", "encode"): encode,
    }
    return stand_ins


def _shaped(content: bytes, code: str, shape: tuple, fortran: bool) -> NDArray[np.float32]:
    flat: NDArray[Any] = np.frombuffer(content, _NUMBERS[code])
    if math.prod(shape) != len(flat):
        raise ValueError("an array is not as long as it says")
    return flat.reshape(shape, order="F" if fortran else "C").astype(np.float32)
