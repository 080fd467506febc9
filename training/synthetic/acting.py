"""What a head does besides speaking: emotion, blinks, gaze, and how it moves (docs/method.md 4.1). Tracks run at 100
Hz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from playmate_core.values import EMOTIONS

from .identity import Identity
from .rig import RIG
from .speech import Manner
from .visemes import MOUTH, TRACK_RATE, Mouth

RigTrack = NDArray[np.float64]
#: Lowest and highest value of each rig parameter.
LOW = np.array(
    [{"lid_left": -0.5, "lid_right": -0.5}.get(n, 0.0 if n in (*MOUTH, "brow_low", "nose") else -1.0) for n in RIG]
)
LOW[RIG.index("wide")] = -1.0
HIGH = np.ones(len(RIG))

#: What each emotion adds to the face at intensity 1, far from every other and from what speech does.
EMOTION_RIGS: dict[str, dict[str, float]] = {
    "angry": {"brow_low": 0.9, "brow_inner": -0.5, "lids": -0.2, "press": 0.15, "smile": -0.35, "nose": 0.25},
    "disgusted": {"nose": 0.95, "upper": 0.35, "smile": -0.3, "brow_low": 0.4, "lids": 0.3, "wide": -0.1},
    "contempt": {"smile_right": 0.8, "smile_left": -0.1, "asymmetry": 0.7, "lids": 0.25, "brow_outer": 0.15},
    "fear": {"brow_inner": 0.85, "brow_outer": 0.25, "brow_low": 0.3, "lids": -0.4, "wide": 0.45, "smile": -0.3},
    "happy": {"smile": 0.9, "lids": 0.2, "wide": 0.25, "brow_outer": 0.2},
    "sad": {"smile": -0.8, "brow_inner": 0.85, "brow_outer": -0.5, "lids": 0.3, "gaze_y": 0.35},
    "surprised": {"brow_inner": 0.75, "brow_outer": 0.95, "lids": -0.45, "wide": -0.2, "jaw": 0.12, "upper": 0.1},
    "neutral": {},
}
#: How a voice shows the same, where prosody follows emotion.
MANNERS: dict[str, Manner] = {
    "angry": Manner(1.05, 1.4, 1.1),
    "disgusted": Manner(0.85, 0.9, 0.9),
    "contempt": Manner(0.9, 0.7, 0.92),
    "fear": Manner(1.3, 0.8, 1.15),
    "happy": Manner(1.25, 1.35, 1.05),
    "sad": Manner(0.8, 0.55, 0.82),
    "surprised": Manner(1.35, 1.5, 1.0),
    "neutral": Manner(),
}
_BOTH = {"smile": ("smile_left", "smile_right"), "lids": ("lid_left", "lid_right")}
#: Small life of its own: deviation of each parameter's slow drift.
_MICRO = {"smile_left": 0.03, "smile_right": 0.03, "brow_inner": 0.04, "brow_outer": 0.04, "asymmetry": 0.03}
_MICRO |= {"jaw_side": 0.02, "gaze_x": 0.16, "gaze_y": 0.10}
#: Blink: 80 ms down, 40 ms shut, 160 ms up.
_BLINK = np.interp(np.arange(28), [0, 8, 12, 27], [0.0, 1.0, 1.0, 0.0])
_REFRACTORY = 0.5


def pattern(emotion: str) -> NDArray[np.float64]:
    """The fixed offset (16,) of an emotion at intensity 1; zero for neutral."""
    offset = np.zeros(len(RIG))
    for name, value in EMOTION_RIGS[emotion].items():
        for single in _BOTH.get(name, (name,)):
            offset[RIG.index(single)] = value
    return offset


assert tuple(EMOTION_RIGS) == EMOTIONS, "every emotion of the core has a face here, in the core's order"


def smooth_process(rng: Generator, count: int, correlation_seconds: float, channels: int = 1) -> RigTrack:
    """Stationary noise of unit deviation through a two-pole low pass -> (count, channels).

    A head is a mass that muscles push: its velocity has no jumps. The autocorrelation (1 + |t|/c) exp(-|t|/c) falls
    to 1/e at ``correlation_seconds`` = 2.146 c.
    """
    constant = correlation_seconds / 2.146 * TRACK_RATE
    age = np.arange(int(12 * constant))
    kernel = age * np.exp(-age / constant)
    kernel = kernel / np.linalg.norm(kernel)
    noise = rng.standard_normal((count + len(kernel) - 1, channels))
    return np.stack([np.convolve(noise[:, c], kernel, mode="valid") for c in range(channels)], -1)


def blinks(rng: Generator, count: int, rate: float) -> RigTrack:
    """Lid closure (count,) of Poisson blinks, ``rate`` a second, at least half a second apart."""
    closed = np.zeros(count + len(_BLINK))
    now = rng.exponential(1.0 / rate)
    while (at := int(now * TRACK_RATE)) < count:
        closed[at : at + len(_BLINK)] = np.maximum(closed[at : at + len(_BLINK)], _BLINK)
        now += _REFRACTORY + rng.exponential(1.0 / rate)
    return closed[:count]


def blink_rate(identity: Identity) -> float:
    """Blinks a second of this person, 0.15 to 0.45."""
    return float(np.random.default_rng([identity.seed, 0xB114]).uniform(0.15, 0.45))


def face_track(
    rng: Generator, identity: Identity, mouth: Mouth, stresses: Sequence[float], emotion: str, intensity: float
) -> RigTrack:
    """The whole rig (N, 16): speech, plus the emotion under a slow envelope, plus blinks, gaze and small motion."""
    count = len(mouth.closure)
    rig = np.zeros((count, len(RIG)))
    for column, name in enumerate(MOUTH):
        rig[:, RIG.index(name)] = mouth.targets[:, column]
    envelope = 0.92 + 0.06 * np.tanh(smooth_process(rng, count, 1.0)[:, 0])
    emotional = intensity * envelope[:, None] * pattern(emotion)
    for name in ("jaw", "upper"):  # lips that must meet do so in every mood
        emotional[:, RIG.index(name)] *= 1.0 - mouth.closure
    rig += emotional
    for name, deviation in _MICRO.items():
        rig[:, RIG.index(name)] += deviation * smooth_process(rng, count, 0.5)[:, 0]
    raised = _bumps(count, [s for s in stresses if rng.random() < 0.3], 0.12)
    rig[:, RIG.index("brow_outer")] += 0.12 * raised
    shut = blinks(rng, count, blink_rate(identity))
    for name in _BOTH["lids"]:
        lid = rig[:, RIG.index(name)]
        rig[:, RIG.index(name)] = lid + (1.0 - lid) * shut
    return rig.clip(LOW, HIGH)


@dataclass(frozen=True)
class Carriage:
    """How the head moves in one clip: ``track`` (N, 6) pitch, yaw, roll (degrees), t_x, t_y, log s; and its kind."""

    track: RigTrack
    style: str  # "calm", "static" or "shaking"


def head_track(rng: Generator, identity: Identity, count: int, stresses: Sequence[float]) -> Carriage:
    """Motion around where this person holds the head in this clip: far apart between clips, small within one.

    Nods fall on stressed syllables; one clip in twenty is held static, one in twenty shakes.
    """
    rest = np.array([*identity.rest_rotation, *identity.rest_translation[:2], np.log(identity.rest_scale)])
    rest = rest + rng.normal(0, 1, 6).clip(-2, 2) * [1.5, 4.0, 1.5, 0.02, 0.02, 0.03]
    deviation = np.array(identity.pose_std) * np.exp(rng.normal(0, 0.15))
    moves = smooth_process(rng, count, rng.uniform(0.4, 0.6), 6)
    nodding = [s + 0.04 for s in stresses if rng.random() < 0.7]
    nod = _bumps(count, nodding, 0.11)
    moves[:, 0] = 0.9 * moves[:, 0] + rng.uniform(0.6, 1.1) * (nod - nod.mean())
    u, style = rng.random(), "calm"
    if u < 0.05:
        style, moves = "static", moves * 0.02
    elif u < 0.10:
        style = "shaking"
        time = np.arange(count) / TRACK_RATE
        burst = smooth_process(rng, count, 0.8)[:, 0].clip(0.0, 1.5)
        moves[:, 1] += 2.0 * burst * np.sin(2 * np.pi * rng.uniform(1.5, 2.2) * time)
    return Carriage(rest + moves * deviation, style)


def _bumps(count: int, times: Sequence[float], width: float) -> RigTrack:
    """Sum of unit Gaussians of ``width`` seconds at ``times`` -> (count,)."""
    clock = (np.arange(count) + 0.5) / TRACK_RATE
    total = np.zeros(count)
    for time in times:
        total += np.exp(-0.5 * ((clock - time) / width) ** 2)
    return total
