"""The files of others: the table's facts."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
from catalogue_files import (
    EVERY,
)

from playmate_core.weights.catalogue import LIVEPORTRAIT_HUMAN, NEWEST, ModelFile
from playmate_core.weights.liveportrait import GROUPS, PARTS, STITCHING

ROOT = Path(__file__).resolve().parent.parent


KEYS = json.loads((ROOT / "tests" / "data" / "liveportrait_keys.json").read_text())


@pytest.mark.parametrize("file", EVERY, ids=lambda file: file.below_models)
def test_facts_have_the_form_of_facts(file: ModelFile) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}|", file.sha256)
    assert bool(file.repository) != bool(file.address)
    if file.repository:
        assert re.fullmatch(r"[0-9a-f]{40}", file.revision) or (file.revision == NEWEST and file.size)
        assert file.source
        assert file.url.endswith(f"{file.repository}/resolve/{file.revision}/{file.source}")
    assert file.license and file.size >= 0 and bool(file.size) >= bool(file.sha256)


def test_no_two_files_have_one_place() -> None:
    assert len({file.below_models for file in EVERY}) == len(EVERY)


def safetensors_size(shapes: dict[str, list[int]]) -> int:
    """Bytes of a file as safetensors writes it from PyTorch: wide types first, then by name; counters are int64."""
    order = sorted(shapes, key=lambda key: (not key.endswith("num_batches_tracked"), key))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in order:
        counter = key.endswith("num_batches_tracked")
        start, end = end, end + math.prod(shapes[key]) * (8 if counter else 4)
        header[key] = {"dtype": "I64" if counter else "F32", "shape": shapes[key], "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"))
    return 8 + -(-len(text) // 8) * 8 + end


@pytest.mark.parametrize("file", LIVEPORTRAIT_HUMAN.files, ids=lambda file: file.name)
def test_stated_sizes_are_to_the_byte_those_of_the_keys_we_load(file: ModelFile) -> None:
    """A file with our keys and shapes would have the published size: no key of the public files is other than ours."""
    name = file.name.removesuffix(".safetensors")
    if name == STITCHING:
        groups = {theirs: KEYS[f"stitching.{ours}"]["shapes"] for theirs, ours in GROUPS.items()}
        shapes = {f"{theirs}_module.{key}": shape for theirs, group in groups.items() for key, shape in group.items()}
    else:
        shapes = KEYS[PARTS[name][0]]["shapes"]
    assert safetensors_size(shapes) == file.size


def test_only_the_fetching_file_can_download_and_the_archive_leaves_it_out() -> None:
    ignored = (ROOT / ".comfyignore").read_text().split()
    assert "playmate_core/weights/download.py" in ignored
    able = [p.name for p in (ROOT / "playmate_core").rglob("*.py") if "huggingface_hub" in p.read_text()]
    assert able == ["download.py"]
    users = [p.name for p in (ROOT / "playmate_core").rglob("*.py") if "weights.download import" in p.read_text()]
    assert users == ["weights.py"]
