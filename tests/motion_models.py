"""Small motion models and inputs for the tests of what is built on them. Every parameter is random: none is zero."""

from __future__ import annotations

import torch
from torch import nn

from playmate_core.diffusion.denoiser import MotionConfig, MotionDenoiser, WindowContext
from playmate_core.diffusion.emotion import EmotionConfig, EmotionController
from playmate_core.values import AudioFeatures, Motion, Pose

WINDOW, PREVIOUS, AUDIO = 12, 4, 6
SMALL = MotionConfig(
    width=16,
    layers=2,
    heads=2,
    kernel=5,
    window=WINDOW,
    previous=PREVIOUS,
    audio_encoder="logmel",
    audio_layers=1,
    audio_width=AUDIO,
    target="x0",  # epsilon of an untrained network is no noise: every sample would end at its limits
)


def shaken(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module with noise on all parameters, gates included, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def denoiser(config: MotionConfig = SMALL, seed: int = 0) -> MotionDenoiser:
    """Statistics that no two channels share."""
    torch.manual_seed(seed)
    model = MotionDenoiser(config)
    s = model.statistics
    s.expression_mean.copy_(torch.linspace(-0.1, 0.1, 63))
    s.expression_std.copy_(torch.linspace(0.01, 0.05, 63))
    s.live[5] = False
    s.pose_typical_std.copy_(torch.tensor([1.0, 2.0, 0.5, 0.01, 0.02, 0.01]))
    s.silence.fill_(-1.5)
    shaken(model, seed)
    return model


def fresh_controller() -> EmotionController:
    """As before its first training step."""
    torch.manual_seed(0)
    return EmotionController(EmotionConfig(width=16, heads=2)).eval()


def controller(seed: int = 0) -> EmotionController:
    model = fresh_controller()
    shaken(model, seed)
    return model


def context(rows: int = 3, config: MotionConfig = SMALL, seed: int = 0) -> WindowContext:
    generator = torch.Generator().manual_seed(seed)
    length = config.previous + config.window
    return WindowContext(
        audio=torch.randn(rows, length, config.audio_layers, config.audio_width, generator=generator),
        previous=torch.randn(rows, config.previous, 69, generator=generator),
        identity=torch.randn(rows, 63, generator=generator),
        start=torch.zeros(rows, dtype=torch.bool),
        drop_audio=torch.zeros(rows, dtype=torch.bool),
        drop_identity=torch.zeros(rows, dtype=torch.bool),
        valid=torch.ones(rows, config.window, dtype=torch.bool),
    )


def noisy(rows: int = 3, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, WINDOW, 69, generator=generator), torch.randint(0, 1000, (rows,), generator=generator)


def voice(frames: int, seed: int = 0) -> AudioFeatures:
    features = torch.randn(frames, 1, AUDIO, generator=torch.Generator().manual_seed(seed))
    return AudioFeatures(features, torch.zeros(frames), "logmel")


def rest(yaw: float = 8.0) -> Motion:
    pose = Pose(torch.tensor([[3.0, yaw, -2.0]]), torch.tensor([[0.03, -0.05, 0.4]]), torch.tensor([[1.37]]))
    return Motion(pose, torch.full((1, 21, 3), 0.01))
