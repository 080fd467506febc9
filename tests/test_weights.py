"""A model file says what it is, loads exactly, and is refused in one sentence when it is anything else."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser
from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights import files as weights


def make(seed: int = 0) -> FaceModel:
    torch.manual_seed(seed)
    return FaceModel(FaceConfig.tiny())


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "face.safetensors"
    weights.save(make(), path, license="Apache-2.0", data="synthetic", training={"seed": 7, "steps": 10})
    return path


def rewrite(path: Path, tensors: dict[str, torch.Tensor] | None = None, **metadata: str) -> None:
    """The same file with other tensors or other metadata."""
    with safe_open(str(path), framework="pt") as file:
        kept = dict(file.metadata())
    kept.update({name.replace("__", "."): value for name, value in metadata.items()})
    save_file(tensors if tensors is not None else load_file(path), path, metadata=kept)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        weights.load_face(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_what_is_loaded_is_what_was_saved_to_the_last_bit(saved: Path) -> None:
    model, loaded = make(), weights.load_face(saved)
    assert loaded.config == model.config
    assert weights.tensor_hash(loaded) == weights.tensor_hash(model) == weights.describe(saved).tensors
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    assert all(value.device.type == "cpu" for value in loaded.state_dict().values())
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(loaded.appearance(image), model.eval().appearance(image))


def test_half_storage_is_smaller_and_loads_as_float32(saved: Path, tmp_path: Path) -> None:
    half, again = tmp_path / "half.safetensors", tmp_path / "again.safetensors"
    weights.save(make(), half, license="", data="", training={}, dtype=torch.float16)
    loaded = weights.load_face(half)
    model = make()
    model.register_buffer("statistics", torch.full((2, 2), 1e-9))
    statistics = tmp_path / "statistics.safetensors"
    weights.save(model, statistics, license="", data="", training={}, dtype=torch.float16)
    assert load_file(statistics)["statistics"].dtype == torch.float32
    assert half.stat().st_size < 0.75 * saved.stat().st_size
    assert {v.dtype for v in loaded.state_dict().values()} == {torch.float32, torch.int64}
    weights.save(loaded, again, license="", data="", training={}, dtype=torch.float16)
    assert weights.describe(again).tensors == weights.describe(half).tensors == weights.tensor_hash(loaded)


def test_the_hash_sees_one_flipped_number_and_nothing_else() -> None:
    one = make()
    assert weights.tensor_hash(one) == weights.tensor_hash(make())
    with torch.no_grad():
        one.generator.fc.bias[0] += 1e-6
    assert weights.tensor_hash(one) != weights.tensor_hash(make())


def test_describe_tells_everything_without_loading(saved: Path) -> None:
    facts = weights.describe(saved)
    assert (facts.kind, facts.license, facts.data) == ("face", "Apache-2.0", "synthetic")
    assert facts.training == {"seed": 7, "steps": 10}
    assert facts.config["image_size"] == FaceConfig.tiny().image_size
    assert facts.numbers == sum(v.numel() for v in make().state_dict().values())
    assert "config.image_size: 32" in str(facts)


def test_wrong_kinds_and_foreign_files_are_named(saved: Path, tmp_path: Path) -> None:
    rewrite(saved, playmate__kind="motion")
    assert "kind motion" in refusal(saved) and "face model belongs here" in refusal(saved)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"detector.downsample_layers.0.0.weight": torch.zeros(1)}, foreign)
    assert "LivePortrait's motion extractor; give the folder" in refusal(foreign)
    save_file({"x": torch.zeros(1)}, foreign)
    assert "not a Playmate model" in refusal(foreign)


def test_unknown_fields_versions_and_values_are_refused(saved: Path) -> None:
    config = json.loads(json.dumps(weights.describe(saved).config))
    rewrite(saved, playmate__config=json.dumps(config | {"wings": 2}))
    assert "wings" in refusal(saved)
    rewrite(saved, playmate__config=json.dumps(config | {"mask_kernel": 4}))
    assert "odd" in refusal(saved)
    rewrite(saved, playmate__config="[")
    assert "JSON" in refusal(saved)
    rewrite(saved, playmate__config=json.dumps(config), playmate__version="2")
    assert "version '2'" in refusal(saved)


def test_missing_extra_and_misshapen_keys_are_named(saved: Path) -> None:
    good = load_file(saved)
    rewrite(saved, {k: v for k, v in good.items() if k != "generator.fc.bias"})
    assert "misses generator.fc.bias" in refusal(saved)
    rewrite(saved, good | {"generator.fc.scale": torch.zeros(1)})
    assert "unknown generator.fc.scale" in refusal(saved)
    rewrite(saved, good | {"generator.fc.bias": torch.zeros(3)})
    assert "generator.fc.bias (3,) instead of (8,)" in refusal(saved)


def test_numbers_that_are_none_or_not_the_saved_ones_are_refused(saved: Path) -> None:
    good = load_file(saved)
    rewrite(saved, good | {"generator.fc.bias": torch.full((8,), float("nan"))})
    assert "NaN" in refusal(saved) and "generator.fc.bias" in refusal(saved)
    rewrite(saved, good | {"generator.fc.bias": torch.zeros(8)})
    assert "checksum" in refusal(saved)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not ours", b"\xff" * 64, None])
def test_truncated_and_other_files_are_refused(saved: Path, content: bytes | None) -> None:
    saved.write_bytes(saved.read_bytes()[:-100] if content is None else content)
    assert "not a complete safetensors file" in refusal(saved)


def test_an_absent_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no model file" in refusal(tmp_path / "none.safetensors")
    assert "no model file" in refusal(tmp_path)


def test_nan_weights_are_not_saved(tmp_path: Path) -> None:
    model = make()
    with torch.no_grad():
        model.generator.fc.bias[0] = float("inf")
    with pytest.raises(UserError, match=re.escape("generator.fc.bias")):
        weights.save(model, tmp_path / "x.safetensors", license="", data="", training={})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    before = saved.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # the write really fails after 4 KB
    try:
        with pytest.raises(UserError, match="could not be written"):
            weights.save(make(1), saved, license="", data="", training={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()] == [saved.name]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        weights.save(make(1), saved, license="", data="", training={})
    assert saved.read_bytes() == before and [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_a_name_that_is_a_folder_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError, match="could not be written"):
        weights.save(make(), tmp_path / "taken", license="", data="", training={})
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_an_emotion_model_goes_with_its_base_only(tmp_path: Path) -> None:
    base, other = MotionDenoiser(MotionConfig.tiny()), MotionDenoiser(MotionConfig.tiny())
    model, path = EmotionController(EmotionConfig.tiny()), tmp_path / "emotion.safetensors"
    with pytest.raises(ValueError, match="base"):
        weights.save(model, path, license="", data="", training={})
    weights.save(model, path, license="", data="", training={}, base=base)
    loaded = weights.load_emotion(path, base).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in model.state_dict().items())
    with pytest.raises(UserError, match=weights.tensor_hash(base)[:12]):
        weights.load_emotion(path, other)


def test_the_config_survives_json() -> None:
    small = FaceConfig.small()
    assert FaceConfig(**json.loads(json.dumps(small.__dict__))) == small
