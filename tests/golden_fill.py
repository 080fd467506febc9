"""Stand-in weights and inputs that anybody can draw again: numbers from nothing but a key, a shape and a seed.

The golden outputs were computed with networks filled this way, so the rule may never change by a bit. Each tensor has a
PCG64 of its own, seeded by the SHA-256 of "SEED:KEY"; of it only the raw 64-bit words are taken, whose order NumPy
guarantees. The upper 53 bits of a word are a number in [-1, 1); what follows is element-wise arithmetic in float64,
rounded to float32 once. :data:`RULES` says what a tensor's numbers look like by the last part of its key.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Numbers = NDArray[np.float64]
#: Gains of layers by a piece of ".KEY", the first that fits. Heads, softmax and sigmoid inputs, modulations and the
#: last layers of branches keep their outputs in the range of a trained network's. All others have GAIN.
GAINS = {
    "fc_kp.": 0.25,
    "fc_exp.": 0.1,
    "fc_t.": 0.2,
    "fc_scale.": 0.1,
    "fc_pitch.": 1.0,
    "fc_yaw.": 1.0,
    "fc_roll.": 1.0,
    "dense_motion_network.mask.": 3.0,
    "dense_motion_network.occlusion.": 3.0,
    "retarget_shoulder_module.mlp.6.": 0.06,
    "retarget_mouth_module.mlp.6.": 0.06,
    "retarget_eye_module.mlp.10.": 0.06,
    ".mlp_gamma.": 0.5,
    ".mlp_beta.": 0.7,
    ".conv2.": 0.5,
    ".conv_1.": 0.7,
    ".conv_s.": 1.0,
    ".pwconv2.": 0.5,
}
GAIN = math.sqrt(2.0)
#: Where the biases of the scale head lie: heads are about this large.
SCALE_BIAS = ("fc_scale.", 1.3)


@dataclass(frozen=True)
class Slot:
    """A tensor to be filled."""

    key: str
    shape: tuple[int, ...]
    seed: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def fan_in(self) -> int:
        return max(1, math.prod(self.shape[1:]))

    def gain(self, otherwise: float) -> float:
        return next((gain for piece, gain in GAINS.items() if piece in f".{self.key}"), otherwise)

    def uniform(self) -> Numbers:
        """In [-1, 1)."""
        return uniform(self.count, self.seed, self.key)

    def noise(self) -> Numbers:
        """Uniform, mean 0, variance 1."""
        return math.sqrt(3.0) * self.uniform()


def uniform(count: int, seed: int, key: str) -> Numbers:
    """``count`` numbers in [-1, 1) of the stream of a key."""
    state = int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest(), "big")
    words = np.atleast_1d(np.random.PCG64(state).random_raw(count)).astype(np.uint64)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0


def direction(count: int, seed: int, key: str) -> Numbers:
    """A unit vector."""
    numbers = uniform(count, seed, key)
    return numbers / math.sqrt(math.fsum((numbers * numbers).tolist()))


def matrix(slot: Slot) -> Numbers:
    """Weights whose outputs have about the variance of their inputs, times the gain."""
    return slot.noise() * (slot.gain(GAIN) / math.sqrt(slot.fan_in))


def spectral_matrix(slot: Slot) -> Numbers:
    """``weight_orig`` of a spectral norm: c (weights + u v^T) with c in [1.5, 3.5), so that u W v is near c.

    The u and v are no singular vectors: who estimates the norm anew, or forgets it, gets other numbers.
    """
    stem = slot.key.removesuffix("_orig")
    rows, columns = slot.shape[0], slot.fan_in
    u, v = direction(rows, slot.seed, f"{stem}_u"), direction(columns, slot.seed, f"{stem}_v")
    c = 2.5 + float(uniform(1, slot.seed, f"{stem}_c")[0])
    return c * (matrix(slot).reshape(rows, columns) + u[:, None] * v[None, :])


def bias(slot: Slot) -> Numbers:
    """Around 0, or where the scale head needs it, and small where the layer's gain is."""
    offset = SCALE_BIAS[1] if SCALE_BIAS[0] in f".{slot.key}" else 0.0
    return offset + 0.1 * min(1.0, slot.gain(1.0)) * slot.noise()


def unit_vector(slot: Slot) -> Numbers:
    return direction(slot.count, slot.seed, slot.key)


def around(centre: float, reach: float) -> Callable[[Slot], Numbers]:
    return lambda slot: centre + reach * slot.uniform()


def gamma(slot: Slot) -> Numbers:
    """Of a response norm, (1, 1, 1, C), as wide as its centre; of a layer scale narrow."""
    return around(0.3, 0.3 if len(slot.shape) == 4 else 0.1)(slot)


#: By the last part of a key. Anything else is a norm's weight (one axis), or a matrix.
RULES: dict[str, Callable[[Slot], Numbers]] = {
    "weight_orig": spectral_matrix,
    "weight_u": unit_vector,
    "weight_v": unit_vector,
    "running_mean": lambda slot: 0.1 * slot.noise(),
    "running_var": around(1.0, 0.4),
    "gamma": gamma,
    "bias": bias,
    "beta": bias,
}


def seeded_uniform(shape: tuple[int, ...], seed: int, key: str, low: float = -1.0, high: float = 1.0) -> Tensor:
    """An input too large to store: float32 in [low, high)."""
    numbers = 0.5 * (low + high) + 0.5 * (high - low) * Slot(key, shape, seed).uniform()
    return torch.from_numpy(numbers.astype(np.float32).reshape(shape))


def filled_state_dict(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """A tensor for every key, float32; counters are int64 zero."""
    return {key: _filled(Slot(key, tuple(shape), seed)) for key, shape in shapes.items()}


def _filled(slot: Slot) -> Tensor:
    name = slot.key.rpartition(".")[2]
    if name == "num_batches_tracked":
        return torch.zeros(slot.shape, dtype=torch.int64)
    rule = RULES.get(name) or (around(1.0, 0.2) if len(slot.shape) <= 1 else matrix)
    return torch.from_numpy(rule(slot).astype(np.float32).reshape(slot.shape))
