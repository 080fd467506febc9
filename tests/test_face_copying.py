"""What it costs G to generate where it could copy, and to copy from torn places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from playmate_core.errors import UserError
from playmate_core.face import FaceConfig, FaceModel
from training.data import Sessions
from training.face import FaceStage, FaceStageConfig
from training.pairs import resized

CARRYING = replace(FaceConfig.tiny(), spectral_norm=False, carry_picture=True)


def stage(corpus: Path, eye: Path, model: FaceConfig = CARRYING, **changes: object) -> FaceStage:
    options = {"draw_size": 32, "batch": 2, "teacher": 0.0, "steps": 4, "perceptual_weights": str(eye), **changes}
    torch.manual_seed(0)
    config = FaceStageConfig(model=model, corpus=str(corpus), **options)  # type: ignore[arg-type]
    return FaceStage(config, FaceModel(model), Sessions(corpus, "train"))


def test_generating_at_the_eyes_and_copying_from_torn_places_cost(corpus: Path, eye: Path) -> None:
    made = stage(corpus, eye, frozen="motion", copied=2.0, mixed=5.0, smooth_look=3.0)
    made.model.eval()
    last = made.model.generator.conv_img[0]
    torch.nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    batch = made.batch(torch.Generator().manual_seed(0))
    warped = made.model.warping(
        made.model.appearance(resized(batch.source, 32)), batch.source_truth.placed(), batch.driving_truth.placed()
    )
    near = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    drawn, costs = made._drawn(warped, 0 * near, near)
    share = float(torch.tensor([0.0, 2.9, 0.0]).softmax(0)[0])
    assert torch.equal(drawn, made.model.generator(warped.features, warped.canvas))
    assert float(costs["copied"].detach()) == pytest.approx(2.0 * share * float(near.mean()), rel=1e-4)
    mixture = 5.0 * share * (1.0 - share) * float(near.mean())
    assert float(costs["mixed"].detach()) == pytest.approx(mixture, rel=1e-4)
    assert float(costs["look"].detach()) == 0.0, "all neighbours are copied from neighbours"
    last.bias.data[3 * 4 : 3 * 4 + 2] = torch.tensor([0.1, -0.1])  # type: ignore[union-attr]
    _, torn = made._drawn(warped, 0 * near, near)  # x of every second row: +- 0.01 halves in turn, columns besides it 0
    ends = 0.1 * float(torch.tensor(0.1).tanh())
    rows = torch.zeros(64, 64)
    rows[0::2, 0::2], rows[0::2, 1::2] = ends, -ends
    wanted = 3.0 * 32 * (rows.diff(dim=1).abs().mean() + rows.diff(dim=0).abs().mean()) / 2  # of x and y, y is still
    assert float(torn["look"].detach()) == pytest.approx(float(wanted), rel=1e-4)


def test_the_networks_with_turning_candidates_train_in_bfloat16(corpus: Path, eye: Path) -> None:
    sizes = replace(CARRYING, turn_candidates=True, body_candidate=True)
    made = stage(corpus, eye, sizes, frozen="appearance motion warping")
    with torch.autocast("cpu", torch.bfloat16):
        values = made.loss(made.batch(torch.Generator().manual_seed(0)), 1, torch.Generator().manual_seed(0))
    values["loss"].backward()
    assert bool(values["loss"].isfinite())


def test_shares_beyond_one_are_refused(corpus: Path, eye: Path) -> None:
    with pytest.raises(UserError, match="lids must be a number from 0 to 1, got 1.5"):
        stage(corpus, eye, lids=1.5)
