"""The judge's second look: what it is shown, what it may read, and its training in miniature."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from playmate_core.errors import UserError
from playmate_core.face.front import HEAD_HALF_AXES, HeadPlacement, frontal_view
from playmate_core.geometry import place
from training.close_probe import CloseProbe, CloseProbeConfig, load_close_probe
from training.close_stage import CloseStage, CloseStageConfig
from training.data import Sessions
from training.loop import train
from training.probe import Probe, ProbeConfig, save_probe
from training.probe_stage import emotion_target

PROBE = ProbeConfig(size=32, widths=(4, 8), embedding=6)
CLOSE = CloseProbeConfig(size=16, widths=(4, 8), hidden=6, where=4)


def coordinates(side: int) -> Tensor:
    """A picture whose first two channels say where each pixel is, x and y in -1..1."""
    axis = (torch.arange(side) + 0.5) * 2.0 / side - 1.0
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])[None]


def test_the_turned_face_is_looked_up_where_the_ellipsoids_skin_is_placed() -> None:
    where = HeadPlacement(torch.tensor([[8.0, -20.0, 5.0]]), torch.tensor([[0.1, -0.05, 0.0]]), torch.tensor([[1.2]]))
    seen = frontal_view(coordinates(64), where, 9)[0, :2]
    tip = torch.tensor([[[0.0, (-0.27 + 0.36) / 2, 0.0]]])
    tip[..., 2] = -HEAD_HALF_AXES[2] * (1.0 - (tip[0, 0, 1] / HEAD_HALF_AXES[1]) ** 2).sqrt()
    placed = place(tip, where.rotation, torch.zeros_like(tip), where.translation, where.scale)[0, 0, :2]
    torch.testing.assert_close(seen[:, 4, 4], placed, atol=2e-3, rtol=0)


def test_heads_in_every_pose_are_shown_alike(sessions: Sessions) -> None:
    """Of a picture painted on the ellipsoid itself the turned face is the same from every side."""
    pose = torch.tensor([[0.0, 0.0, 0.0], [10.0, 15.0, -10.0]])
    where = HeadPlacement(pose, torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.05, 0.0]]), torch.tensor([[1.3], [1.1]]))
    seen = frontal_view(coordinates(64).expand(2, -1, -1, -1), where, 9)[:, :2].flatten(2).transpose(1, 2)
    moved = (seen - where.translation[:, None, :2]) / where.scale[:, None]
    assert float((moved[0] - moved[1]).abs().max()) < 0.15  # what a turn of 15 degrees moves, seen from the front


def trained(corpus: Path, sessions: Sessions, out: Path, *stops: int) -> CloseProbe:
    torch.manual_seed(0)
    probe = Probe(PROBE)
    made = CloseProbe(CLOSE, probe)
    start = {name: value.clone() for name, value in made.state_dict().items()}
    for stop in stops:
        torch.manual_seed(0)
        made = CloseProbe(CLOSE, probe)
        made.load_state_dict(start)
        config = CloseStageConfig(
            corpus=str(corpus), split="train", steps=stop, batch=3, schedule="constant", warmup=1, softened=1.0
        )
        train(CloseStage(config, made, sessions), config, out)
    return made.eval()


def test_the_second_look_trains_resumes_and_leaves_the_first_one_alone(
    corpus: Path, sessions: Sessions, tmp_path: Path
) -> None:
    once = trained(corpus, sessions, tmp_path / "a", 2)
    twice = trained(corpus, sessions, tmp_path / "b", 1, 2)
    for name, value in once.state_dict().items():
        torch.testing.assert_close(twice.state_dict()[name], value)
    torch.manual_seed(0)
    first = Probe(PROBE)
    for name, value in first.state_dict().items():
        assert torch.equal(once.probe.state_dict()[name], value)
    back = load_close_probe(tmp_path / "a" / "close.safetensors", first)
    image = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(back(image).rig, once(image).rig)
        assert not torch.equal(back(image).rotation, first.eval()(image).rotation)
        torch.testing.assert_close(back(image).identity, first(image).identity)


def test_a_file_that_is_no_second_look_is_refused(tmp_path: Path) -> None:
    save_probe(Probe(PROBE), tmp_path / "probe.safetensors")
    with pytest.raises(UserError, match="holds probe, expected a close probe"):
        load_close_probe(tmp_path / "probe.safetensors", Probe(PROBE))
    with pytest.raises(UserError, match="Cannot read"):
        load_close_probe(tmp_path / "none.safetensors", Probe(PROBE))


def test_what_an_emotion_leaves_is_neutral(sessions: Sessions) -> None:
    session = sessions[0]
    half = replace(
        session, intensity=torch.full_like(session.intensity, 0.25), emotion=torch.zeros_like(session.emotion)
    )
    target = emotion_target([(half, 0)])[0]
    assert float(target[0]) == pytest.approx(0.25) and float(target.sum()) == pytest.approx(1.0)
    assert float(target[-1]) == pytest.approx(0.75)  # neutral is the last of the eight
