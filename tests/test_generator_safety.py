"""Generator files that are not what they seem: told by what they hold, and no code of theirs is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from generator_copies import (  # noqa: F401
    ditto,
    elsewhere,  # noqa: F401
    joyvasa,
)
from generator_models import (
    ditto_run,
    ditto_tensors,
    joyvasa_tensors,
    template_arrays,
    write_ditto,
    write_joyvasa,
)
from motion_models import denoiser
from safetensors.torch import save_file

from playmate_core.errors import UserError
from playmate_core.weights.files import save
from playmate_core.weights.generators import generator_kind, load_generator
from playmate_core.weights.plain_pickle import array, unpickled


def test_a_file_is_what_it_holds_whatever_its_name(joyvasa: Path, ditto: Path, tmp_path: Path) -> None:
    renamed = [tmp_path / "a.pth", tmp_path / "b.pt", tmp_path / "c.safetensors", tmp_path / "d.safetensors"]
    renamed[0].write_bytes(joyvasa.read_bytes())
    renamed[1].write_bytes(ditto.read_bytes())
    save_file(dict(ditto_tensors()), renamed[2])
    save(denoiser(), renamed[3], license="", data="", training={})
    assert [generator_kind(path) for path in renamed] == ["joyvasa", "ditto", "ditto", "playmate"]
    assert load_generator(renamed[3]).name == "playmate"
    assert load_generator(renamed[3]).keypoint_space == "playmate-demo"


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_an_unknown_layout_says_what_was_found_and_what_is_known(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".pt"):
        torch.save({"some.weight": torch.zeros(2)}, path)
    else:
        save_file({"some.weight": torch.zeros(2)}, path)
    assert generator_kind(path) == ""
    with pytest.raises(UserError, match=r"tensors such as some.weight; known are Playmate's.*JoyVASA's.*Ditto's"):
        load_generator(path)


def test_what_is_no_model_at_all_is_refused(tmp_path: Path) -> None:
    for name, content in (("a.pt", b""), ("b.safetensors", b"<html>"), ("c.pt", b"PK\x03\x04 cut short")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError):
            load_generator(tmp_path / name)
    with pytest.raises(UserError, match="no motion generator"):
        load_generator(tmp_path / "none.pt")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


def test_no_code_of_a_file_is_ever_run(tmp_path: Path) -> None:
    blown = tmp_path / "blown"
    model = write_joyvasa(tmp_path)
    torch.save({"args": Bomb(blown), "model": joyvasa_tensors(), "iter": 1}, model)
    with pytest.raises(UserError, match="never run"):
        load_generator(model)
    write_joyvasa(tmp_path, template=template_arrays() | {"x": Bomb(blown)})
    with pytest.raises(UserError, match="not JoyVASA's motion template"):
        load_generator(write_joyvasa(tmp_path, template=template_arrays() | {"x": Bomb(blown)}))
    with pytest.raises(UserError, match="not a configuration of Ditto's"):
        load_generator(write_ditto(tmp_path, run=ditto_run() | {"x": Bomb(blown)}))
    assert not blown.exists()


def test_what_was_allowed_for_one_file_is_not_for_the_next(joyvasa: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    load_generator(joyvasa)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(joyvasa, weights_only=True)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_arrays_are_read_as_numpy_writes_them(protocol: int) -> None:
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    held = {"a": numbers, "b": [np.float64(2.5), (1, None, True)], "c": np.int64(3)}
    for spelling in (b"numpy._core", b"numpy.core"):
        data = pickle.dumps(held, protocol)
        if protocol < 4:  # lengths are written before the text of newer protocols
            data = data.replace(b"numpy._core", spelling)
        read = unpickled(data)
        assert np.array_equal(array(read["a"]), numbers) and read["b"] == [2.5, (1, None, True)] and read["c"] == 3


@pytest.mark.parametrize("spoilt", [
    {"std_exp": np.zeros(5, np.float32)}, {"max_t": "three"}, {"max_t": np.array(["a", "b", "c"])},
])  # fmt: skip
def test_a_template_that_is_none_is_refused(tmp_path: Path, spoilt: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="motion_template.pkl again"):
        load_generator(write_joyvasa(tmp_path, template=template_arrays() | spoilt))
    short = {name: value for name, value in template_arrays().items() if name not in spoilt}
    with pytest.raises(UserError, match=f"lacks {next(iter(spoilt))}"):
        load_generator(write_joyvasa(tmp_path, template=short))
