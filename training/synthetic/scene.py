"""Where a synthetic head stands: the background and the light (docs/method.md 4.1). All backgrounds are soft on
purpose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BACKGROUNDS = ("gradient", "bokeh", "texture", "panel")


@dataclass(frozen=True)
class Scene:
    """A background kind with its two colours, and a light: unit direction towards the key light, strengths, warmth."""

    seed: int
    background: str
    near: tuple[float, float, float]
    far: tuple[float, float, float]
    key_direction: tuple[float, float, float]
    key: float
    fill: float
    warm: float

    @property
    def light(self) -> tuple[float, ...]:
        """key_x, key_y, key_z, key, fill, warm."""
        return (*self.key_direction, self.key, self.fill, self.warm)


def make_scene(seed: int) -> Scene:
    """The scene of that seed; the same seed gives the same scene on every machine."""
    rng = np.random.default_rng([seed, 0x5CE])
    hue, value, depth = rng.uniform(0, 1), rng.uniform(0.45, 0.85), rng.uniform(0.5, 0.8)
    phase = 2 * np.pi * (hue + np.array([0.0, 1 / 3, 2 / 3]))
    near = np.clip(value + 0.16 * np.cos(phase), 0.05, 0.97)
    far = np.clip(depth * value + 0.14 * np.cos(phase + rng.uniform(-1.5, 1.5)), 0.04, 0.95)
    side = rng.choice([-1.0, 1.0]) * rng.uniform(0.25, 0.75)
    key = np.array([side, -rng.uniform(0.35, 0.75), -1.0])
    key /= np.linalg.norm(key)
    return Scene(
        seed=seed,
        background=BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))],
        near=(float(near[0]), float(near[1]), float(near[2])),
        far=(float(far[0]), float(far[1]), float(far[2])),
        key_direction=(float(key[0]), float(key[1]), float(key[2])),
        key=float(rng.uniform(0.75, 1.0)),
        fill=float(rng.uniform(0.28, 0.45)),
        warm=float(rng.uniform(-0.06, 0.08)),
    )


def _pattern(scene: Scene, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the far colour, about 0..1, at pixel centres in -1..1."""
    rng = np.random.default_rng([scene.seed, 0xBAC])
    angle = rng.uniform(0, 2 * np.pi)
    slope = 0.5 + 0.35 * (x * np.cos(angle) + y * np.sin(angle))
    if scene.background == "gradient":
        return np.asarray(slope)
    if scene.background == "bokeh":
        for _ in range(7):
            cx, cy, radius, weight = (
                rng.uniform(-1, 1),
                rng.uniform(-1, 0.6),
                rng.uniform(0.15, 0.4),
                rng.uniform(-0.5, 0.5),
            )
            slope = slope + weight / (1 + np.exp((np.hypot(x - cx, y - cy) - radius) / 0.035))
        return np.asarray(slope)
    if scene.background == "texture":
        for _ in range(5):
            fx, fy, shift = rng.uniform(-9, 9), rng.uniform(-9, 9), rng.uniform(0, 6.3)
            slope = slope + 0.10 * np.sin(fx * x + fy * y + shift)
        return np.asarray(slope)
    edge, level = rng.uniform(-0.75, 0.75), rng.uniform(0.1, 0.6)
    wall = 1 / (1 + np.exp(-(x - edge) / 0.012))
    panel = 1 / (1 + np.exp(-(y - level) / 0.012))
    return np.asarray(0.5 * slope + 0.45 * wall - 0.35 * panel)


@lru_cache(maxsize=16)
def background(scene: Scene, size: int) -> NDArray[np.float32]:
    """The empty scene in linear light, (size, size, 3); do not write into it."""
    line = (np.arange(size) + 0.5) * 2 / size - 1
    share = np.clip(_pattern(scene, line[None, :], line[:, None]) + np.zeros((size, size)), 0, 1)[..., None]
    colour = np.asarray(scene.near) * (1 - share) + np.asarray(scene.far) * share
    picture = (colour * colour).astype(np.float32)
    picture.setflags(write=False)
    return picture
