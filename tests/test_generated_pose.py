"""The generated head: amplitude, centre, limits."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest
import torch
from generated_motion import BASE, FACE, FAST, talk
from motion_models import SMALL, WINDOW, denoiser, rest, voice

from playmate_core.diffusion.generate import generate
from playmate_core.diffusion.request import GenerationRequest


def test_amplitude_scales_the_head_linearly_and_nothing_else() -> None:
    own = rest().pose
    full, half = talk(), talk(pose_amplitude=0.5)
    assert torch.equal(full.expression, half.expression)
    for part in ("rotation", "translation"):
        moved, less = (getattr(m.pose, part) - getattr(own, part) for m in (full, half))
        assert float(moved.abs().max()) > 1e-3
        assert torch.allclose(0.5 * moved, less, atol=2e-6)
    ratio = [(m.pose.scale / own.scale).log() for m in (full, half)]
    assert torch.allclose(0.5 * ratio[0], ratio[1], atol=1e-6)
    only_yaw = talk(pose_amplitude=(0.0, 1.0, 0.0, 0.0, 0.0, 0.0)).pose
    assert torch.equal(only_yaw.rotation[:, 1], full.pose.rotation[:, 1])
    assert torch.equal(only_yaw.rotation[:, 0], own.rotation[:, 0].expand(2 * WINDOW))


def test_amplitude_0_is_the_portraits_pose_to_the_last_bit() -> None:
    own, got = rest().pose, talk(pose_amplitude=0.0, start="portrait").pose
    for part in ("rotation", "translation", "scale"):
        assert torch.equal(getattr(got, part), getattr(own, part).expand(2 * WINDOW, -1))


def test_the_head_may_face_the_camera_or_begin_in_the_portraits_pose() -> None:
    source, frontal = talk().pose, talk(pose_mean="frontal").pose
    assert torch.allclose(source.rotation - frontal.rotation, rest().pose.rotation.expand(2 * WINDOW, 3), atol=1e-5)
    assert torch.equal(source.translation, frontal.translation)
    anchored = talk(pose_anchor="first").pose
    assert torch.equal(anchored.rotation[:1], rest().pose.rotation)
    assert torch.equal(anchored.scale[:1], rest().pose.scale)
    assert torch.allclose(anchored.rotation.diff(dim=0), source.rotation.diff(dim=0), atol=1e-4)


def test_the_head_is_held_inside_limits_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    own = rest().pose.rotation
    quiet = talk().pose.rotation - own
    assert bool((quiet.abs() <= 3.5 * torch.tensor([1.0, 2.0, 0.5]) + 1e-4).all()) and not caplog.records
    with caplog.at_level(logging.WARNING):
        wild = talk(pose_amplitude=100.0).pose
    assert bool((wild.rotation.abs() <= torch.tensor([25.0, 35.0, 25.0])).all())
    assert len(caplog.records) == 1 and "held" in caplog.text


def test_a_portrait_beyond_the_limit_keeps_its_pose() -> None:
    still = replace(FAST, pose_amplitude=0.0)
    turned = generate(BASE, None, GenerationRequest(FACE, rest(yaw=50.0), voice(5), None, still))
    assert bool((turned.pose.rotation[:, 1] == 50.0).all())


def test_dead_channels_are_their_mean_and_the_global_ablation_runs() -> None:
    assert bool((talk().expression.flatten(1)[:, 5] == BASE.statistics.expression_mean[5]).all())
    ablation = denoiser(replace(SMALL, pose_normalisation="global"))
    ablation.statistics.pose_global_mean[1] = -12.0
    still = talk(base=ablation, felt_by=None, pose_amplitude=0.0).pose
    assert bool((still.rotation[:, 1] == -12.0).all())
