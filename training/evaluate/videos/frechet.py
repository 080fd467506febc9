"""Frechet distance between the Gaussians of two sets of features, as FID and FVD are defined (docs/method.md 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Moments:
    """Running mean and covariance of feature rows in float64; memory does not grow with the number of rows."""

    def __init__(self, features: int) -> None:
        self.count = 0
        self._sum = np.zeros(features)
        self._products = np.zeros((features, features))

    def add(self, rows: NDArray[np.floating], times: int = 1) -> None:
        """Take in ``rows`` (n, F); ``times`` counts each row that often, as a still picture is shown."""
        rows = np.asarray(rows, np.float64)
        self.count += len(rows) * times
        self._sum += rows.sum(0) * times
        self._products += rows.T @ rows * times

    def merged(self, other: Moments) -> Moments:
        """The moments of both sets together."""
        both = Moments(len(self._sum))
        both.count = self.count + other.count
        both._sum = self._sum + other._sum
        both._products = self._products + other._products
        return both

    @property
    def mean(self) -> Matrix:
        """(F,)"""
        return self._sum / self.count

    @property
    def covariance(self) -> Matrix:
        """(F, F), unbiased. Raises ValueError for fewer than two rows, of which there is none."""
        if self.count < 2:
            raise ValueError(f"A covariance needs at least 2 rows, got {self.count}.")
        return (self._products - self.count * np.outer(self.mean, self.mean)) / (self.count - 1)


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    The trace of the root is taken from the eigenvalues of S1^(1/2) S2 S1^(1/2), which is symmetric: fewer rows than
    features leave S1 S2 singular, where a general matrix root is not reliable.
    """
    first, second = one.covariance, other.covariance
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    mixed = np.linalg.eigvalsh(root @ second @ root)
    apart = one.mean - other.mean
    distance = apart @ apart + np.trace(first) + np.trace(second) - 2 * np.sqrt(mixed.clip(0)).sum()
    return max(float(distance), 0.0)
