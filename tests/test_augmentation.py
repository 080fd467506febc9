"""The experiment on noise augmentation: twins of equal steps, compared person by person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from playmate_core.errors import UserError
from training.corpus import CorpusConfig, make_corpus
from training.data import write_clips, write_manifest
from training.evaluate.carried_noise import Disturbance
from training.experiments import augmentation
from training.experiments.augmentation import AugmentationConfig
from training.synthetic.clips import make_clip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_corpus(CorpusConfig(out=str(root), clips=0, sessions=0, speech="formant", workers=1))
    write_clips(
        root / "train-clips-00000.safetensors", [make_clip(k, "train", (1.0, 1.2), "formant") for k in range(4)]
    )
    write_manifest(root)
    return root


def test_twins_are_trained_measured_and_compared(corpus: Path, tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--corpus", str(corpus), "--targets", "x0", "--width", "32", "--layers", "1"]
    words += ["--steps", "2", "--round", "1", "--batch", "2", "--subjects", "2", "--seconds", "6", "--takes", "1"]
    augmentation.main([*words, "--step", "train", "--only", "x0-with-0"])
    with pytest.raises(UserError, match="No weights of all of x0-with-0, x0-without-0"):
        augmentation.main([*words, "--step", "measure"])
    augmentation.main(words)
    noise = {
        arm: json.loads((tmp_path / f"x0-{arm}-0" / "config.json").read_text())["prev_noise_max"]
        for arm in ("with", "without")
    }
    assert noise == {"with": pytest.approx(0.17), "without": 0.0}
    assert sorted(path.stem for path in (tmp_path / "x0-with-0" / "at").iterdir()) == ["1", "2"]
    rows = json.loads((tmp_path / "evaluation.json").read_text())["tables"][0]["rows"]
    assert len(rows) == 12 and all("difference" in row["value"] for row in rows)


def test_the_last_step_that_all_twins_have_is_compared(tmp_path: Path) -> None:
    config = AugmentationConfig(out=str(tmp_path), targets="x0", steps=1500, round=500)
    for name, steps in (("x0-with-0", 500), ("x0-with-0", 1000), ("x0-without-0", 500)):
        path = augmentation.weights_at(config, name, steps)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert augmentation.common_steps(config) == 500


def test_a_difference_counts_where_it_is_beyond_its_error() -> None:
    chance = torch.Generator().manual_seed(0)
    with_it = 0.2 + 0.02 * torch.randn(1, 30, 3, generator=chance)
    same = with_it + 0.02 * torch.randn(1, 30, 3, generator=chance)
    asked = [Disturbance(0.3, True)]
    assert [row.met for row in augmentation.twin_rows("m", asked, with_it, same + 0.05)] == [True, True]
    assert [row.met for row in augmentation.twin_rows("m", asked, with_it, same - 0.05)] == [False, False]
    takes = torch.arange(6.0).reshape(1, 6, 1)
    assert augmentation.by_person(takes, 2).flatten().tolist() == [0.5, 2.5, 4.5]


def test_unknown_twins_and_steps_are_refused() -> None:
    with pytest.raises(UserError, match="--only is 'v-with-0', expected one of x0-with-0"):
        augmentation.main(["--only", "v-with-0"])
    with pytest.raises(UserError, match="--step is 'judge', expected one of train, measure, report, all"):
        augmentation.main(["--step", "judge"])
    assert len(augmentation.names(AugmentationConfig(seeds=2))) == 8
