"""The files of the catalogue, and one that is in none."""

from __future__ import annotations

import hashlib

import pytest

from playmate_core.weights.catalogue import SETS, ModelFile

EVERY = [file for one in SETS.values() for file in one.files]


CONTENT = bytes(range(256)) * 4096  # 1 MiB


REVISION = "0123456789" * 4


@pytest.fixture
def file() -> ModelFile:
    return ModelFile(
        folder="playmate",
        name="sub/other.safetensors",
        license="MIT",
        repository="someone/models",
        revision=REVISION,
        source="deep/other.safetensors",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
