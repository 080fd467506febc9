"""How late the sound of a video is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from prepare_results import LIMITS
from prepare_videos import drawn, person, voice_of

from playmate_core.errors import UserError
from training.prepare.sync import lip_drop, offset_by_envelope, voice_envelope
from training.prepare.syncnet import load_syncnet, offset_by_syncnet
from training.syncnet import SyncNet, mfcc, sync_score


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shift", [-5, 0, 3])
def test_the_substitute_finds_an_injected_offset(seed: int, shift: int) -> None:
    clip = person(seed)
    voice = np.roll(clip.waveform.numpy(), 640 * shift)
    found = offset_by_envelope(lip_drop(clip.motion.expression), voice_envelope(voice, len(clip)))
    assert abs(found.frames - shift) <= 1 and found.confidence > LIMITS.sync_envelope


def test_the_substitute_is_not_sure_of_a_stranger_s_voice() -> None:
    pairs = [(person(a), person(b)) for a in range(4) for b in range(4) if a != b]
    confidences = []
    for seen, heard in pairs:
        n = min(len(seen), len(heard))
        opening, envelope = lip_drop(seen.motion.expression[:n]), voice_envelope(heard.waveform.numpy(), n)
        found = offset_by_envelope(opening, envelope)
        confidences.append(found.confidence if abs(found.frames) <= LIMITS.offset else 0.0)
    assert np.mean(np.array(confidences) > LIMITS.sync_envelope) < 0.7 and np.mean(confidences) < 0.35


def test_silence_has_no_offset() -> None:
    found = offset_by_envelope(np.sin(np.arange(90.0)), np.zeros(90))
    assert found.confidence == 0.0


def test_syncnet_has_the_published_shapes_and_is_loaded_strictly(tmp_path: Path) -> None:
    net = SyncNet()
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes["netcnnaud.0.weight"] == (64, 1, 3, 3) and shapes["netcnnaud.18.weight"] == (512, 256, 5, 4)
    assert shapes["netcnnlip.0.weight"] == (96, 3, 5, 7, 7) and shapes["netcnnlip.18.weight"] == (512, 256, 1, 6, 6)
    assert shapes["netfclip.3.weight"] == shapes["netfcaud.3.weight"] == (1024, 512)
    assert net.eval().embed_audio(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
    assert net.embed_frames(torch.zeros(1, 3, 5, 224, 224)).shape == (1, 1024)
    path = tmp_path / "syncnet_v2.model"
    torch.save({k: v for k, v in net.state_dict().items() if "num_batches" not in k}, path)
    loaded = load_syncnet(path)
    assert torch.equal(loaded.netfclip[3].weight, net.netfclip[3].weight) and not loaded.training
    torch.save({**net.state_dict(), "netfclip.3.weight": torch.zeros(1, 512)}, path)
    with pytest.raises(UserError, match="netfclip.3.weight does not fit"):
        load_syncnet(path)
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match="is not SyncNet's"):
        load_syncnet(path)


@pytest.mark.parametrize("late", [-4, 0, 6])
def test_the_offset_of_least_distance_says_how_late_the_sound_is(late: int) -> None:
    features = torch.randn(90, 32, generator=torch.Generator().manual_seed(0))
    score = sync_score(features[20:70], features[20 - late : 70 - late])
    assert score.offset == late and score.confidence > 3


def test_syncnet_s_answer_for_a_video_is_an_offset_and_a_confidence() -> None:
    torch.manual_seed(0)
    pictures = [(picture, index / 25) for index, picture in enumerate(drawn(0)[:12])]
    net = SyncNet().eval().requires_grad_(False)
    frames, confidence = offset_by_syncnet(
        net, pictures, [192.0, 144.0, 230.0], 12, voice_of(0)[:7680] / np.float32(32768)
    )
    assert -15 <= frames <= 15 and math.isfinite(confidence)
    with pytest.raises(UserError, match="at least 6 frames"):
        offset_by_syncnet(net, pictures[:4], [192.0, 144.0, 230.0], 4, np.zeros(2560, np.float32))


def test_mfcc_of_a_tone_against_the_definition_written_out() -> None:
    voice = 0.3 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000).astype(np.float32)
    got = mfcc(voice)
    assert got.shape == (13, 49)
    signal = voice.astype(np.float64) * 32768
    emphasised = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    power = np.abs(np.fft.rfft(emphasised[1600:2000], 512)) ** 2 / 512  # the eleventh window
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    bins = [int(513 * (700 * (10 ** (m / 2595) - 1)) / 16000) for m in mel]
    bands = np.zeros((26, 257))
    for band in range(26):
        for k in range(bins[band], bins[band + 1]):
            bands[band, k] = (k - bins[band]) / (bins[band + 1] - bins[band])
        for k in range(bins[band + 1], bins[band + 2]):
            bands[band, k] = (bins[band + 2] - k) / (bins[band + 2] - bins[band + 1])
    logs = np.log(np.maximum(bands @ power, np.finfo(float).eps))
    wanted = [
        math.sqrt((1 if n == 0 else 2) / 26)
        * sum(logs[k] * math.cos(math.pi * n * (2 * k + 1) / 52) for k in range(26))
        for n in range(13)
    ]
    wanted = [value * (1 + 11 * math.sin(math.pi * n / 22)) for n, value in enumerate(wanted)]
    wanted[0] = math.log(power.sum())
    np.testing.assert_allclose(got[:, 10], wanted, rtol=1e-4, atol=1e-3)
