"""LivePortrait's public files, in every layout they come in, become one FaceModel, or are refused by name."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from liveportrait_files import flattened, kijai, official, parts_of, write_pth, write_safe

from benchmarks.load import WAYS, in_its_own_process, write_random
from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from playmate_core.weights import files as weights
from playmate_core.weights.liveportrait import (
    STITCHING,
    find_parts,
    is_published,
    load_published,
    read_tensors,
)

TINY = FaceConfig.tiny()


@pytest.fixture(scope="module")
def model() -> FaceModel:
    """Spectral triples and statistics that are no identity, as a trained file's are."""
    torch.manual_seed(3)
    face = FaceModel(TINY)
    with torch.no_grad():
        for key, value in face.state_dict().items():
            if value.is_floating_point() and value.ndim < 2:
                value.copy_(torch.rand_like(value) * 0.2 + (0.9 if "var" in key or "weight" in key else -0.1))
    return face.eval()


def same_function(got: FaceModel, model: FaceModel) -> None:
    """Folding rounds each kernel once, so pictures agree to round-off; everything else to the last bit."""
    assert got.stitching is not None and model.stitching is not None
    assert not got.config.spectral_norm and not got.training
    assert not any(p.requires_grad for p in got.parameters())
    assert {v.dtype for v in got.state_dict().values()} == {torch.float32, torch.int64}
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        reading = model.read(image)
        assert torch.equal(got.read(image).expression, reading.expression)
        volume = model.appearance(image)
        assert torch.equal(got.appearance(image), volume)
        x_d = got.stitching(reading.keypoints, reading.keypoints * 1.1)
        assert torch.equal(x_d, model.stitching(reading.keypoints, reading.keypoints * 1.1))
        assert torch.equal(got.stitching.lip_offset(x_d, x_d[:, 0, :2]), model.stitching.lip_offset(x_d, x_d[:, 0, :2]))
        assert torch.equal(got.stitching.eye_offset(x_d, x_d[:, 0]), model.stitching.eye_offset(x_d, x_d[:, 0]))
        drawn = model.draw(volume, reading.keypoints, x_d)
        torch.testing.assert_close(got.draw(volume, reading.keypoints, x_d), drawn, atol=2e-6, rtol=0)


@pytest.mark.parametrize("named", [".", "liveportrait", "liveportrait/base_models", "liveportrait/retargeting_models"])
def test_the_official_layout_loads_from_any_of_its_folders(model: FaceModel, tmp_path: Path, named: str) -> None:
    official(model, tmp_path)
    same_function(load_published(tmp_path / named, TINY), model)


def test_any_one_of_the_files_names_its_folder(model: FaceModel, tmp_path: Path) -> None:
    for file in official(model, tmp_path / "a").iterdir():
        same_function(load_published(file, TINY), model)
    same_function(load_published(tmp_path / f"a/liveportrait/retargeting_models/{STITCHING}.pth", TINY), model)
    same_function(load_published(kijai(model, tmp_path / "b") / "warping_module.safetensors", TINY), model)


def test_the_flattened_safetensors_layout_loads_and_is_preferred(model: FaceModel, tmp_path: Path) -> None:
    folder = kijai(model, tmp_path / "liveportrait")
    (folder / "motion_extractor.pth").write_bytes(b"not this one")
    same_function(load_published(folder, TINY), model)
    assert find_parts(folder / "motion_extractor.pth")["motion_extractor"].suffix == ".pth"


def test_animals_are_found_and_borrow_the_human_stitching(model: FaceModel, tmp_path: Path) -> None:
    torch.manual_seed(8)
    human = FaceModel(TINY)
    official(human, tmp_path)
    newest = official(model, tmp_path, "liveportrait_animals/base_models_v1.1")  # and the stitching file, again
    official(human, tmp_path / "old", "liveportrait_animals/base_models")
    same_function(load_published(newest, TINY), model)
    same_function(load_published(tmp_path / "liveportrait_animals", TINY), model)
    kijai(human, tmp_path / "kijai")
    animal = kijai(model, tmp_path / "kijai/animal")
    (animal / f"{STITCHING}.safetensors").unlink()
    parts = find_parts(animal)
    assert parts[STITCHING].parent == tmp_path / "kijai" and parts["warping_module"].parent == animal


def test_prefixes_wrappers_halves_and_missing_counters_are_taken(model: FaceModel, tmp_path: Path) -> None:
    for name, tensors in parts_of(model).items():
        if name == STITCHING:
            continue
        lean = {f"module.{k}": v.contiguous() for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
        write_pth({"state_dict": lean, "epoch": 3}, tmp_path / f"{name}.pth")
    write_safe(flattened(parts_of(model)[STITCHING]), tmp_path / f"{STITCHING}.safetensors")
    same_function(load_published(tmp_path, TINY), model)
    half = {k: v.half() for k, v in parts_of(model)["warping_module"].items() if v.is_floating_point()}
    write_safe(half, tmp_path / "warping_module.safetensors")
    loaded = load_published(tmp_path, TINY)
    assert {v.dtype for v in loaded.warping.state_dict().values()} == {torch.float32, torch.int64}


def test_files_of_before_pytorch_1_6_load_too(model: FaceModel, tmp_path: Path) -> None:
    base = official(model, tmp_path)
    old = base / "spade_generator.pth"
    torch.save(model.generator.state_dict(), old, _use_new_zipfile_serialization=False)
    same_function(load_published(tmp_path, TINY), model)


def test_folding_divides_by_the_stored_vectors(model: FaceModel, tmp_path: Path) -> None:
    got = load_published(official(model, tmp_path), TINY)
    spectral = model.generator.get_submodule("G_middle_0.conv_0")
    plain = got.generator.get_submodule("G_middle_0.conv_0")
    kernel, sigma = spectral.weight_orig.detach(), spectral.sigma().detach()  # type: ignore[operator, union-attr]
    assert abs(float(sigma - torch.linalg.matrix_norm(kernel.flatten(1), 2))) > 1e-3
    torch.testing.assert_close(plain.weight.detach(), kernel / sigma)
    assert not [key for key in got.state_dict() if "weight_orig" in key]


def test_without_the_stitching_file_faces_are_drawn_and_it_is_said(
    model: FaceModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = kijai(model, tmp_path)
    (folder / f"{STITCHING}.safetensors").unlink()
    with caplog.at_level(logging.WARNING):
        assert load_published(folder, TINY).stitching is None
    assert STITCHING in caplog.text


def refusal(path: Path, load: Callable[[Path], object] | None = None) -> str:
    with pytest.raises(UserError) as caught:
        (load or (lambda p: load_published(p, TINY)))(path)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_a_wrong_file_is_refused_by_name_with_what_it_seems_to_be(model: FaceModel, tmp_path: Path) -> None:
    folder, parts = kijai(model, tmp_path), parts_of(model)
    write_safe(parts["spade_generator"], folder / "warping_module.safetensors")
    said = refusal(folder)
    assert "warping_module.safetensors" in said and "it seems to be LivePortrait's generator" in said
    write_safe({"encoder.layers.0.attention.k_proj.weight": torch.zeros(1)}, folder / "warping_module.safetensors")
    assert "wav2vec2" in refusal(folder)
    lacking = {k: v for k, v in parts["warping_module"].items() if k != "third.conv.bias"}
    write_safe(lacking, folder / "warping_module.safetensors")
    assert "misses third.conv.bias" in refusal(folder) and "seems" not in refusal(folder)
    write_safe(
        parts["warping_module"] | {"fourth.bias": torch.full((8,), torch.nan)}, folder / "warping_module.safetensors"
    )
    assert "NaN" in refusal(folder)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_what_is_no_model_at_all_is_named_too(model: FaceModel, tmp_path: Path, suffix: str) -> None:
    folder = official(model, tmp_path) if suffix == "pth" else kijai(model, tmp_path)
    write_safe({"x": torch.zeros(1)}, tmp_path / "safe")
    write_pth({"x": torch.zeros(1)}, tmp_path / "torch")
    safe, packed = (tmp_path / "safe").read_bytes(), (tmp_path / "torch").read_bytes()
    other = (safe, "a .safetensors file") if suffix == "pth" else (packed, "a PyTorch file")
    cut = (packed[:300], "a PyTorch file") if suffix == "pth" else (safe[:40], "a .safetensors file")
    for content, seems in (
        (b"", "empty"),
        (b"<!DOCTYPE html><html>" * 20, "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"PK\x03\x04" + bytes(60), "a zip archive"),
        (pickle.dumps(Code(tmp_path / "ran")), "a Python pickle"),
        other,
        cut,
    ):
        (folder / f"warping_module.{suffix}").write_bytes(content)
        said = refusal(folder)
        assert f"warping_module.{suffix}" in said and f"it seems to be {seems}" in said
    assert not (tmp_path / "ran").exists()
    ours = tmp_path / "ours.safetensors"
    weights.save(model, ours, license="none", data="none", training={})
    (folder / f"warping_module.{suffix}").unlink()
    (folder / "warping_module.safetensors").write_bytes(ours.read_bytes())
    assert "it seems to be a Playmate face model" in refusal(folder)


def test_a_spectral_triple_that_is_not_whole_is_refused(model: FaceModel, tmp_path: Path) -> None:
    folder, tensors = kijai(model, tmp_path), parts_of(model)["spade_generator"]
    lacking = {k: v for k, v in tensors.items() if k != "up_0.conv_0.weight_u"}
    write_safe(lacking, folder / "spade_generator.safetensors")
    assert "spectral norm is not whole" in refusal(folder) and "spade_generator.safetensors" in refusal(folder)


def test_missing_files_are_named(model: FaceModel, tmp_path: Path) -> None:
    folder = kijai(model, tmp_path)
    (folder / "warping_module.safetensors").unlink()
    assert "warping_module is not there" in refusal(folder)
    assert "no model file or folder" in refusal(kijai(model, tmp_path / "b") / "typo.pth")  # not what lies beside it
    (tmp_path / "empty").mkdir()
    assert "no model file of LivePortrait" in refusal(tmp_path / "empty", weights.load_face)


class Code:
    """What a malicious pickle is: unpickling it runs something."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


def test_code_in_a_pickle_never_runs(model: FaceModel, tmp_path: Path) -> None:
    base, mark = official(model, tmp_path), tmp_path / "ran"
    torch.save({"x": Code(mark)}, base / "warping_module.pth")
    assert "holds code, which is never run" in refusal(base)
    (base / "warping_module.pth").write_bytes(pickle.dumps(Code(mark), protocol=2))
    assert "warping_module.pth" in refusal(base)
    assert not mark.exists()
    (base / "warping_module.pth").write_bytes((base / "spade_generator.pth").read_bytes()[:-400])
    assert "damaged" in refusal(base)


def test_a_pickle_of_another_name_is_told_apart(model: FaceModel, tmp_path: Path) -> None:
    write_pth(parts_of(model)["motion_extractor"], tmp_path / "M.pth")
    said = refusal(tmp_path / "M.pth", weights.load_face)
    assert "M.pth" in said and "it seems to be LivePortrait's motion extractor" in said


def test_one_function_loads_ours_and_theirs(model: FaceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playmate_core.weights.liveportrait.FaceConfig", FaceConfig.tiny)
    theirs = weights.load_face(official(model, tmp_path))
    same_function(theirs, model)
    path = tmp_path / "face.safetensors"
    weights.save(theirs, path, license="MIT", data="LivePortrait", training={})
    assert not is_published(path)
    ours = weights.load_face(path)
    assert weights.tensor_hash(ours) == weights.tensor_hash(theirs) and ours.config == theirs.config


def test_reading_does_not_hang_on_to_the_file(model: FaceModel, tmp_path: Path) -> None:
    path = tmp_path / "warping_module.safetensors"
    write_safe(parts_of(model)["warping_module"], path)
    tensors = read_tensors(path)
    before = {key: value.clone() for key, value in tensors.items()}
    with path.open("r+b") as file:
        file.seek(0)
        file.write(b"\0" * path.stat().st_size)
    assert all(torch.equal(tensors[key], before[key]) for key in before)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc here to read memory from")
def test_loading_takes_half_the_memory_of_a_naive_load(tmp_path: Path) -> None:
    """The kernel's peak over the model's own size, each in its own process: 1.2 at most, against 1.8 and more."""
    large = replace(TINY, hourglass_expansion=64, hourglass_levels=3, hourglass_max=512, generator_middle=256)
    folder = write_random(tmp_path, large)
    peaks = {way: in_its_own_process(way, folder, large).peak for way in WAYS}
    assert peaks["ours"] < 1.2 and peaks["naive"] > 1.8, peaks
