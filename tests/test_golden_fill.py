"""The stand-in weights of the goldens are what the golden numbers were computed with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from golden import GOLDENS
from golden_fill import filled_state_dict, seeded_uniform
from shared_facts import SHARED

from playmate_core.face import FaceConfig, FaceModel

ORIGINAL = SHARED / "parity" / "weights.py"


def shapes() -> dict[str, tuple[int, ...]]:
    """Every kind of key: the networks of a small face, and the flat names of stitching."""
    state = FaceModel(FaceConfig.tiny()).state_dict()
    found = {key: tuple(value.shape) for key, value in state.items()}
    flat = {f"retarget_mouth_module.mlp.{i}.{name}": (5, 7) for i in (0, 6) for name in ("weight", "bias")}
    other = {"token": (3,), "embedding": (1, 4, 3), "x.gamma": (6,), "y.gamma": (1, 1, 1, 6), "y.beta": (1, 1, 1, 6)}
    return found | flat | other | {"a.b.weight_orig": (4, 3, 2), "a.b.weight_u": (4,), "a.b.weight_v": (6,)}


def test_numbers_are_drawn_as_ever() -> None:
    """Written down once: they may change on no machine and with no version."""
    filled = filled_state_dict({"first.conv.weight": (64, 3, 3, 3), "x.num_batches_tracked": ()}, 2502)
    wanted = [0.3004738986492157, -0.17977942526340485, 0.03890903666615486, -0.41379180550575256]
    assert filled["first.conv.weight"].flatten()[:4].tolist() == wanted
    assert filled["x.num_batches_tracked"].dtype == torch.int64


def test_goldens_stay_small_enough_to_ship() -> None:
    if GOLDENS.is_relative_to(Path(__file__).parent):
        assert sum(path.stat().st_size for path in GOLDENS.iterdir()) < 12e6


@pytest.mark.skipif(not ORIGINAL.is_file(), reason=f"what filled the goldens' networks is not at {ORIGINAL}")
def test_every_number_is_that_of_the_goldens_own_program() -> None:
    spec = importlib.util.spec_from_file_location("parity_weights", ORIGINAL)
    assert spec is not None and spec.loader is not None
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    for seed in (0, 2502):
        ours, theirs = filled_state_dict(shapes(), seed), original.filled_state_dict(shapes(), seed)
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert value.dtype == theirs[key].dtype and torch.equal(value, theirs[key]), key
    drawn = seeded_uniform((3, 5), 7, "noise", -2.0, 0.5)
    assert torch.equal(drawn, torch.from_numpy(original.seeded_uniform((3, 5), 7, "noise", -2.0, 0.5)))
