"""Convert wide-gamut and HDR pictures to sRGB: primaries are converted, HLG and PQ are tone-mapped.

Sources: ITU-R BT.2100 (HLG, PQ), BT.2408 (reference white at 203 cd/m2), BT.2020, SMPTE EG 432-1 (P3), IEC 61966-2-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .input_files import Bytes, Floats

_PQ, _HLG = 16, 18
_BT2020, _P3_DCI, _P3_D65 = 9, 11, 12
#: Reference white in HDR and the luminance mapped to white, in cd/m2.
_WHITE, _PEAK = 203.0, 1000.0
#: Linear share of white up to which tones are unchanged; skin tones are below.
_KNEE = 0.6
#: Linear RGB with the D65 white of BT.2020, or P3, to BT.709.
_TO_BT709 = {
    _BT2020: ((1.660491, -0.587641, -0.072850), (-0.124550, 1.132900, -0.008349), (-0.018151, -0.100579, 1.118730)),
    _P3_D65: ((1.224940, -0.224940, 0.0), (-0.042057, 1.042057, 0.0), (-0.019638, -0.078636, 1.098274)),
}


@dataclass(frozen=True)
class WideColour:
    """A colour space with the ``primaries`` and the ``transfer`` function of these code points."""

    primaries: int
    transfer: int

    def to_srgb(self, picture: NDArray[Any]) -> Bytes:
        """(H, W, 3) uint16 -> uint8 sRGB."""
        light = self._linear[picture]
        if self.transfer == _HLG:  # scene light; the display adds its own gamma of 1.2 at 1000 cd/m2
            luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
            light *= (_PEAK / _WHITE * np.maximum(luminance, 1e-6) ** 0.2)[..., None]
        light = light @ np.array(_TO_BT709[self.primaries], np.float32).T
        if self.transfer in (_PQ, _HLG):
            light *= _compression(light.max(-1))[..., None]
        return srgb_from_linear(light)

    @cached_property
    def _linear(self) -> Floats:
        """Linear light for each of the 65536 code values: scene light for HLG, else 1 is white."""
        code = np.arange(65536) / 65535
        if self.transfer == _HLG:
            a, b, c = 0.17883277, 0.28466892, 0.55991073
            low = code**2 / 3
            return np.where(code <= 0.5, low, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
        if self.transfer == _PQ:
            root = code ** (1 / 78.84375)
            nits = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
            return (nits / _WHITE).astype(np.float32)
        return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4).astype(np.float32)


def srgb_from_linear(light: Floats) -> Bytes:
    """Linear light (H, W, 3), 1 is white -> uint8 sRGB."""
    return _SRGB[(light.clip(0, 1) * 65535 + 0.5).astype(np.uint16)]


def wide_colour(primaries: int, transfer: int) -> WideColour | None:
    """The colour space of these code points if it is wider than sRGB, else None."""
    if primaries not in (_BT2020, _P3_DCI, _P3_D65):
        if transfer not in (_PQ, _HLG):
            return None
        primaries = _BT2020  # untagged primaries with an HDR transfer
    return WideColour(_P3_D65 if primaries == _P3_DCI else primaries, transfer)


def _compression(brightest: Floats) -> Floats:
    """Factor for light (H, W) that maps the peak to white: the extended Reinhard curve above the knee."""
    span, reach = 1 - _KNEE, _PEAK / _WHITE - _KNEE
    above = np.maximum(brightest - _KNEE, 0) / span
    limit = reach / span
    mapped = _KNEE + span * above * (1 + above / limit**2) / (1 + above)
    return np.where(brightest > _KNEE, np.minimum(mapped, 1) / np.maximum(brightest, 1e-6), 1).astype(np.float32)


def _srgb_codes() -> Bytes:
    light = np.arange(65536) / 65535
    code = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(code * 255).astype(np.uint8)


_SRGB = _srgb_codes()
