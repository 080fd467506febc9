"""Config files: the shipped ones, sections for several verbs, and what is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from playmate_core.diffusion.samplers import Schedule
from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from training import stage1, stage2, standin
from training.config import parse
from training.config_files import SHIPPED, from_file
from training.data import write_clips
from training.stage1 import Stage1Config
from training.stage2 import Stage2Config
from training.synthetic.clips import make_clip


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of a corpus."""
    root = tmp_path_factory.mktemp("speaking")
    clips = [make_clip(seed, "train", (2.0, 2.5), "formant") for seed in range(3)]
    write_clips(root / "train-clips-00000.safetensors", clips)
    return root


@pytest.mark.parametrize("name", sorted(path.name for path in SHIPPED.glob("*.json")))
def test_every_section_of_a_shipped_config_is_taken_and_both_stages_fit(name: str) -> None:
    first = parse(Stage1Config, ["--config", name], "", section="stage1")
    second = parse(Stage2Config, ["--config", name], "", section="stage2")
    assert first.model.width == second.model.width
    assert first == from_file(Stage1Config(), SHIPPED / name, "stage1")
    assert parse(Stage1Config, ["--config", name.removesuffix(".json")], "", section="stage1") == first


def test_the_papers_config_says_what_the_paper_says() -> None:
    config = parse(Stage1Config, ["--config", "paper.json"], "", section="stage1")
    model = config.model
    assert (model.layers, model.width, model.audio_encoder, model.audio_layers) == (8, 512, "wav2vec2", 12)
    assert (
        model.target == "epsilon"
        and config.snr_limit == 0
        and config.lip_weight == 1
        and len(Schedule.linear()) == 1000
    )
    second = parse(Stage2Config, ["--config", "paper.json"], "", section="stage2")
    assert second.model.blocks == 2 and min(second.drop_identity, second.drop_emotion, second.drop_both) > 0


def test_a_flag_overrides_the_file_at_every_depth() -> None:
    words = ["--config", "paper.json", "--steps", "2", "--model-layers", "3", "--betas", "0.5", "0.6"]
    config = parse(Stage1Config, words, "", section="stage1")
    assert (config.steps, config.model.layers, config.betas, config.model.width) == (2, 3, (0.5, 0.6), 512)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"learning_rate": 1}, "unknown key 'learning_rate'"),
        ({"stage1": {"model": {"depth": 8}}}, "stage1: model has the unknown key 'depth'"),
        ({"stage1": {}, "stage3": {}}, "unknown section 'stage3'"),
        ({"stage2": {}}, "has no section 'stage1'"),
        ({"steps": "many"}, "steps is 'many', expected a whole number"),
        ({"steps": 1.5}, "expected a whole number"),
        ({"steps": True}, "expected a whole number"),
        ({"lr": "fast"}, "lr is 'fast', expected a number"),
        ({"corpus": 3}, "corpus is 3, expected text"),
        ({"betas": 0.9}, "betas is 0.9, expected a list"),
        ({"model": 512}, "model is 512, expected an object"),
        ({"model": {"kernel": 4}}, "kernel must be odd"),
        ([1, 2], "holds a list"),
    ],
)
def test_what_no_field_takes_is_refused_in_one_sentence(tmp_path: Path, content: object, says: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=says) as refused:
        parse(Stage1Config, ["--config", str(path)], "", section="stage1")
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_config_that_is_not_there_names_the_shipped_ones() -> None:
    with pytest.raises(UserError, match="one of paper.json, small.json"):
        parse(Stage1Config, ["--config", "papers.json"], "", section="stage1")
    with pytest.raises(UserError, match="kernel must be odd"):
        parse(Stage1Config, ["--model-kernel", "4"], "")


def test_a_runs_own_config_is_read_back(tmp_path: Path, speaking: Path) -> None:
    words = ["--corpus", str(speaking), "--steps", "1", "--model-width", "32", "--model-layers", "1", "--batch", "2"]
    stage1.main([*words, "--out", str(tmp_path / "run")])
    again = parse(Stage1Config, ["--config", str(tmp_path / "run" / "config.json")], "", section="stage1")
    assert again == parse(Stage1Config, [*words, "--out", str(tmp_path / "run")], "")


def test_a_folder_of_other_weights_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"mine")
    with pytest.raises(UserError, match="is not empty"):
        standin.write_random_wav2vec2(tmp_path, 0)
    assert not standin.is_random(tmp_path) and not standin.is_random(tmp_path / "nowhere")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_papers_config_runs_two_steps_of_both_stages(tmp_path: Path, speaking: Path) -> None:
    torch.set_num_threads(2)
    heard = tmp_path / "audio"
    standin.main(["--out", str(heard)])
    few = ["--corpus", str(speaking), "--steps", "2", "--batch", "2", "--audio-weights", str(heard)]
    stage1.main(["--config", "paper.json", *few, "--out", str(tmp_path / "one")])
    motion = tmp_path / "one" / "motion.safetensors"
    stage2.main(["--config", "paper.json", *few, "--base", str(motion), "--out", str(tmp_path / "two")])
    base = weights.load_motion(motion)
    assert base.config.layers == 8 and base.config.width == 512 and base.config.target == "epsilon"
    weights.load_emotion(tmp_path / "two" / "emotion.safetensors", base)
    assert "RANDOM audio weights" in weights.describe(motion).data
