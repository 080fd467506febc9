"""Intensities that an emotion model needs: measured curves inverted, stored in its file, applied when sampling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from generated_motion import BASE, CONTROLLER, talk
from motion_models import WINDOW, controller
from safetensors import safe_open

from playmate_core.diffusion.emotion import IntensityCalibration
from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS, EmotionCurve
from playmate_core.weights import files as weights
from training.calibrate import ASKED, CalibrateConfig, calibrated, chosen, inverted, uncalibrated

DOUBLED = IntensityCalibration(EMOTIONS, ((0.5, 0.8, 1.2),) * 8, "by hand, for a test")


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "emotion.safetensors"
    weights.save(CONTROLLER, path, license="Apache-2.0", data="none", training={}, base=BASE)
    return path


def test_a_curve_is_inverted_and_rises_even_where_it_was_measured_flat() -> None:
    straight = inverted(ASKED, (1 / 3, 2 / 3, 1.0))
    assert straight == pytest.approx((0.333, 0.667, 1.0), abs=1e-3)
    bent = [a * a for a in ASKED]
    assert inverted(bent, (bent[1], bent[2], bent[-1])) == pytest.approx((ASKED[1], ASKED[2], ASKED[-1]), abs=1e-3)
    beyond = inverted(bent, (0.25, 3.0, 4.0))
    assert beyond[1] == ASKED[-1] < beyond[2], "what is not reached gets the most that was measured"
    flat = inverted([0.0] * (len(ASKED) - 2) + [0.5, 0.4], (0.0, 0.4, 0.5))
    assert list(flat) == sorted(set(flat))


def test_one_value_that_is_too_large_by_accident_does_not_lift_those_behind_it() -> None:
    shown = list(ASKED)
    shown[1] = shown[2] + 0.1  # the nearest rising curve is flat between these two, at their mean
    level = (shown[1] + shown[2]) / 2
    needed = inverted(shown, (level - 0.01, level + 0.01, 1.0))
    assert needed[0] < ASKED[1] and needed[1] > ASKED[2]


def test_every_intensity_that_is_measured_may_be_asked_for_and_arrives_as_it_is() -> None:
    weights_of = torch.zeros(len(ASKED), 8)
    weights_of[:, 0] = 1.0
    shares = torch.tensor(ASKED) / ASKED[-1]
    assert bool((shares <= 1.0).all()), "the generator refuses more"
    assert torch.allclose(uncalibrated(EMOTIONS).network_intensity(weights_of, shares), torch.tensor(ASKED), atol=1e-5)


def test_intensity_goes_through_the_levels_in_straight_lines() -> None:
    weights_of = torch.zeros(5, 8)
    weights_of[:, 0] = 1.0
    given = DOUBLED.network_intensity(weights_of, torch.tensor([0.0, 1 / 6, 1 / 3, 5 / 6, 1.0]))
    assert torch.allclose(given, torch.tensor([0.0, 0.25, 0.5, 1.0, 1.2]), atol=1e-5)
    assert bool((DOUBLED.network_intensity(torch.zeros(5, 8), torch.ones(5)) == 0).all())
    for wrong in (((0.5, 0.4, 1.0),) * 8, ((0.5, 0.6, 1.0),) * 7, ((0.0, 0.6, 1.0),) * 8, ((0.1, 0.6, 3.0),) * 8):
        with pytest.raises(ValueError, match="rising"):
            IntensityCalibration(EMOTIONS, wrong)


def test_the_file_keeps_its_tensors_and_the_generator_follows_the_calibration(tmp_path: Path) -> None:
    plain = saved(tmp_path)
    assert weights.load_emotion(plain, BASE).calibration is None
    path = tmp_path / "calibrated.safetensors"
    path.write_bytes(calibrated(plain, DOUBLED))
    model = weights.load_emotion(path, BASE)
    assert model.calibration == DOUBLED and weights.tensor_hash(model) == weights.tensor_hash(CONTROLLER)

    def felt(by: object, intensity: float) -> torch.Tensor:
        return talk(WINDOW, EmotionCurve.constant("happy", intensity, WINDOW), felt_by=by).expression

    bare = controller()
    assert torch.allclose(felt(model, 1 / 3), felt(bare, 0.5), atol=1e-5)
    assert not torch.allclose(felt(model, 1 / 3), felt(bare, 1 / 3), atol=1e-4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"emotions": list(EMOTIONS), "needed": [[0.5, 0.4, 1.0]] * 8}, "rising"),
        ({"emotions": ["happy"], "needed": [[0.5, 0.8, 1.0]]}, "other emotions"),
        ({"feelings": 3}, "refused"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(tmp_path: Path, values: dict[str, object], words: str) -> None:
    path = saved(tmp_path)
    blob = calibrated(path, DOUBLED)
    path.write_bytes(blob)
    with safe_open(path, "pt") as file:
        metadata, tensors = dict(file.metadata()), {key: file.get_tensor(key) for key in file.keys()}
    from safetensors.torch import save

    path.write_bytes(save(tensors, {**metadata, weights.CALIBRATION: json.dumps(values)}))
    with pytest.raises(UserError, match=words):
        weights.load_emotion(path, BASE)


def test_some_emotions_are_measured_again_and_the_others_keep_what_the_file_has() -> None:
    model = controller()
    assert chosen(CalibrateConfig(), model) == EMOTIONS
    with pytest.raises(UserError, match="the file has none"):
        chosen(CalibrateConfig(only="happy"), model)
    model.calibration = DOUBLED
    assert chosen(CalibrateConfig(only="happy sad"), model) == ("happy", "sad")
    with pytest.raises(UserError, match="'hapy'"):
        chosen(CalibrateConfig(only="hapy"), model)
