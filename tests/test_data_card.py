"""What a model says of the data it has seen, and clips that nobody labelled."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stored_clips import stored

from playmate_core.errors import UserError
from playmate_core.weights import files as weights
from training import stage1, stage2
from training.clip import UNLABELLED, Clip
from training.data_card import UNSTATED, DataCard, data_card
from training.synthetic.clips import DESCRIPTION, SyntheticClip, make_clip

SMALL = ["--model-width", "32", "--model-layers", "1", "--model-window", "12", "--batch", "4", "--steps", "2"]


@pytest.fixture(scope="module")
def clips() -> list[SyntheticClip]:
    return [make_clip(seed, "train", seconds=(2.0, 3.0), backend="formant") for seed in range(4)]


def recorded(clip: SyntheticClip, **changes: object) -> Clip:
    return replace(clip, license_tag="mine", **changes)  # type: ignore[arg-type]


def test_synthetic_clips_say_that_they_are(clips: list[SyntheticClip], tmp_path: Path) -> None:
    card = data_card(tmp_path, clips)
    assert card.license == "Apache-2.0" and card.description == DESCRIPTION
    assert card.hours == pytest.approx(sum(map(len, clips)) / 25 / 3600, abs=1e-4)
    assert card.speakers == len({clip.identity_seed for clip in clips})


def test_a_corpus_tells_its_own_description_and_every_licence_binds(clips: list[SyntheticClip], tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_text(json.dumps({"hash": "0", "description": "my own videos"}))
    card = data_card(tmp_path, [recorded(clips[0]), clips[1]])
    assert card.data.startswith("my own videos; ") and card.license_tags == ("Apache-2.0", "mine")
    assert card.license == "all of: Apache-2.0; mine"


def test_nothing_known_is_said_to_be_unstated(tmp_path: Path) -> None:
    assert data_card(tmp_path, []).license == UNSTATED and DataCard().license == UNSTATED


def test_stage_two_is_bound_by_its_base_as_well(clips: list[SyntheticClip], tmp_path: Path) -> None:
    mine = stored([recorded(clip) for clip in clips], tmp_path)
    built = stage1.build(stage1.Stage1Config(corpus=str(tmp_path)), mine)
    built.save(tmp_path, 0)
    facts = weights.describe(tmp_path / "motion.safetensors")
    assert facts.license == "mine" and facts.training["speakers"] == len({c.speaker for c in clips})
    assert "no recorded person" in facts.data  # the clips are the generator's; only their tag was changed
    assert "training.license_tags: ['mine']" in str(facts) and "training.hours: 0.00" in str(facts)
    assert data_card(tmp_path, clips).on_top_of(facts).license == "all of: Apache-2.0; mine"


def test_clips_without_an_emotion_train_stage_one_and_not_stage_two(clips: list[SyntheticClip], tmp_path: Path) -> None:
    without = [recorded(clip, emotion=UNLABELLED, intensity=math.nan) for clip in clips]
    unlabelled = stored(without, tmp_path)
    config = stage1.Stage1Config(corpus=str(tmp_path), batch=4)
    stage = stage1.build(config, unlabelled)
    generator = torch.Generator().manual_seed(0)
    batch = stage.batch(generator)
    assert bool((batch.emotion == -1).all()) and bool(stage.loss(batch, 0, generator)["loss"].isfinite())
    second = stage2.Stage2Config(corpus=str(tmp_path), model=replace(stage2.Stage2Config().model, width=96))
    with pytest.raises(UserError, match="None of the 4 training clips"):
        stage2.build(replace(second, model=replace(second.model, width=config.model.width)), stage.denoiser, unlabelled)
    some = stage2.build(
        replace(second, model=replace(second.model, width=config.model.width)),
        stage.denoiser,
        stored([*without, clips[0]], tmp_path),
    )
    assert some.sampler.frames == len(clips[0]) and some.seen.speakers == 1


def test_an_unknown_intensity_is_one_of_three_levels() -> None:
    given = torch.tensor([0.25, math.nan] * 60)
    drawn = stage2.drawn_where_unknown(given, torch.Generator().manual_seed(1))
    assert bool((drawn[::2] == 0.25).all())
    assert sorted({round(float(value), 3) for value in drawn[1::2]}) == [0.333, 0.667, 1.0]
    assert stage2.drawn_where_unknown(drawn, torch.Generator()) is drawn
