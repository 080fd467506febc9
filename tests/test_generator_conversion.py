"""Published generators as one file of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from generator_copies import (  # noqa: F401
    ditto,
    elsewhere,  # noqa: F401
    joyvasa,
    same,
)
from motion_models import denoiser
from safetensors import safe_open
from safetensors.torch import save_file

from playmate_core.cli.main import main
from playmate_core.errors import UserError
from playmate_core.weights.files import save
from playmate_core.weights.generators import convert_generator, generator_kind, load_generator


def test_a_converted_file_is_the_same_generator_and_says_what_it_is(
    joyvasa: Path, ditto: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, kind in ((joyvasa, "joyvasa"), (ditto, "ditto")):
        target = tmp_path / "far" / f"{kind}.safetensors"
        assert main(["weights", "convert", str(source), "-o", str(target)]) == 0
        assert generator_kind(target) == kind and str(target) in capsys.readouterr().out
        with safe_open(str(target), "pt") as file:
            told = file.metadata()
        assert told["playmate.kind"] == kind and told["license"].startswith(("MIT", "Apache-2.0"))
        assert len(json.loads(told["playmate.source"])["sha256"]) == 64
        one, two = load_generator(source), load_generator(target)
        assert one.name == two.name and one.defaults == two.defaults
        assert all(same(a, b) for a, b in zip(one.modules, two.modules, strict=True))
        assert one.settings == two.settings  # type: ignore[attr-defined]
        again = convert_generator(target, tmp_path / "again.safetensors")
        assert load_generator(again).defaults == two.defaults
    assert isinstance(one, object) and torch.equal(one.data.limits, two.data.limits)  # type: ignore[attr-defined]
    assert torch.equal(one.data.character.keypoints, two.data.character.keypoints)  # type: ignore[attr-defined]


def test_what_cannot_be_converted_is_refused(joyvasa: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    save(denoiser(), own, license="", data="", training={})
    with pytest.raises(UserError, match="needs no conversion"):
        convert_generator(own, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match=r"\.safetensors"):
        convert_generator(joyvasa, tmp_path / "b.pt")
    made = convert_generator(joyvasa, tmp_path / "c.safetensors")
    with pytest.raises(UserError, match="file to be converted"):
        convert_generator(made, made)


def test_a_converted_file_that_was_meddled_with_is_refused(joyvasa: Path, tmp_path: Path) -> None:
    made = convert_generator(joyvasa, tmp_path / "c.safetensors")
    with safe_open(str(made), "pt") as file:
        told, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for config in ('{"settings": {"speed": 1}}', "[", '{"settings": {"positions": "x"}}'):
        save_file(tensors, made, told | {"playmate.config": config})
        with pytest.raises(UserError):
            load_generator(made)
