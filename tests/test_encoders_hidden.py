"""The wav2vec2 family, on tiny random models: two tokens a frame, chunks, layer mixes, and refused weights."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from playmate_core.errors import UserError
from playmate_core.speech import ENCODERS, SAMPLE_RATE, Backend, Speech, frame_count, make_encoder
from playmate_core.speech.encoders import HiddenStates
from playmate_core.speech.waveform import FRAME

HIDDEN, DEPTH = 16, 3


def babble(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """Noise that starts and stops like syllables, about -23 dB, with pauses."""
    time = np.arange(round(seconds * rate)) / rate
    envelope = np.clip(np.sin(2 * np.pi * 2.3 * time), 0.003, 1) * np.clip(3 * np.sin(2 * np.pi * 0.3 * time), 0.003, 1)
    tone = np.sin(2 * np.pi * 180 * time) + 0.5 * np.sin(2 * np.pi * 900 * time)
    return (0.1 * envelope * (tone + 0.1 * np.random.default_rng(1).standard_normal(len(time)))).astype(np.float32)


def tiny_config(kind: str = "Wav2Vec2", **changes: Any) -> Any:
    options: dict[str, Any] = dict(
        hidden_size=HIDDEN,
        num_hidden_layers=DEPTH,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        vocab_size=8,
    )
    return getattr(transformers, f"{kind}Config")(**options | changes)


def fill(model: Any, seed: int = 0) -> Any:
    """Random weights that depend on the seed and their names only, not on the order in which a version of transformers
    draws them, scaled as the published initialisation is."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "pos_conv_embed" not in name:
                scale = 0.02 if "encoder.layers" in name else (2 / weight[0].numel()) ** 0.5
                weight.copy_(scale * normal(f"{seed} {name}", weight.shape))
        model.feature_projection.projection.bias.zero_()
        place = model.encoder.pos_conv_embed.conv  # normalised: assigning sets both its length and its direction
        place.weight = 2 * (place.kernel_size[0] * place.in_channels) ** -0.5 * normal(f"{seed}", place.weight.shape)
    return model


def normal(name: str, shape: torch.Size) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


def save_tiny(folder: Path, kind: str = "Wav2Vec2", seed: int = 0, **changes: Any) -> Path:
    fill(getattr(transformers, f"{kind}Model")(tiny_config(kind, **changes)).eval(), seed).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("wav2vec2"))


@pytest.fixture(autouse=True)
def tiny_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third backend costs one row."""
    monkeypatch.setitem(ENCODERS, "tiny", Backend(layers=DEPTH, width=2 * HIDDEN, build=HiddenStates))


def test_two_tokens_a_frame_for_every_length(weights: Path) -> None:
    model = transformers.AutoModel.from_pretrained(weights)
    frames = torch.arange(1, 501)
    tokens = model._get_feat_extract_output_lengths(frames * FRAME + 2 * HiddenStates.margin)
    assert torch.equal(tokens, 2 * frames)
    assert not torch.equal(model._get_feat_extract_output_lengths(frames * FRAME), 2 * frames)  # why there is a margin


@pytest.mark.parametrize("samples", [1, 160, 640, 641, 6401, 40000])
def test_hidden_states_have_a_row_per_frame(weights: Path, samples: int) -> None:
    heard = make_encoder("tiny", weights).listen(babble(3.0)[:samples], SAMPLE_RATE)
    assert heard.features.shape == (frame_count(samples, SAMPLE_RATE), DEPTH, 2 * HIDDEN)
    assert bool(heard.features.isfinite().all())


def test_hidden_states_are_those_of_the_model(weights: Path) -> None:
    """Layer order, token order and scaling against the model called by hand."""
    sound = babble(2.0)
    heard = make_encoder("tiny", weights).listen(sound, SAMPLE_RATE).features
    model = transformers.AutoModel.from_pretrained(weights).eval()
    scaled = torch.from_numpy((sound - sound.mean()) / np.sqrt(sound.var() + 1e-7))
    with torch.no_grad():
        states = model(torch.nn.functional.pad(scaled, (40, 40))[None], output_hidden_states=True).hidden_states
    for layer in range(DEPTH):
        expected = torch.cat([states[layer + 1][0, 0::2], states[layer + 1][0, 1::2]], dim=-1)
        torch.testing.assert_close(heard[:, layer], expected, atol=1e-4, rtol=1e-4)


def test_a_mix_is_the_weighted_sum(weights: Path) -> None:
    sound = babble(1.0)
    every = make_encoder("tiny", weights).listen(sound, SAMPLE_RATE).features
    encoder = make_encoder("tiny", weights, mix=(0.2, 0.3, 0.5))
    mixed = encoder.listen(sound, SAMPLE_RATE).features
    assert mixed.shape[1] == encoder.layers == 1
    torch.testing.assert_close(mixed[:, 0], torch.einsum("tld,l->td", every, torch.tensor([0.2, 0.3, 0.5])))
    with pytest.raises(UserError, match="3 layers"):
        make_encoder("tiny", weights, mix=(1.0,))


def test_each_token_hears_its_own_frame(tmp_path: Path) -> None:
    """Through the convolutions alone: a click at the centre of token j moves token j most."""
    extractor = transformers.Wav2Vec2Model(tiny_config(feat_extract_norm="layer")).feature_extractor.eval()
    speech = Speech(np.zeros(10 * FRAME, np.float32))
    base = extractor(torch.from_numpy(speech.cut(0, 10, HiddenStates.margin))[None])
    for token in range(20):
        sound = np.zeros(10 * FRAME, np.float32)
        sound[320 * token + 159 : 320 * token + 161] = 1.0
        moved = extractor(torch.from_numpy(Speech(sound).cut(0, 10, HiddenStates.margin))[None])
        change = (moved - base).abs().sum(dim=1)[0]
        assert int(change.argmax()) == token
        assert int((change > 0).sum()) == 1  # 400 samples of receptive field end before the neighbours' centres


def chunks_and_whole(encoder: Any) -> tuple[float, float]:
    """The error of chunks against the whole clip, and that of rows one frame off, in standard deviations."""
    sound = babble(24.0)
    encoder.chunk_frames = 10**6
    whole = encoder.listen(sound, SAMPLE_RATE).features
    encoder.chunk_frames = 300
    parts = encoder.listen(sound, SAMPLE_RATE).features
    assert parts.shape == whole.shape
    off = parts[1:] - whole[:-1]
    return tuple(float(d.pow(2).mean().sqrt() / whole.std()) for d in (parts - whole, off))  # type: ignore[return-value]


@pytest.mark.parametrize("seed", range(4))
def test_hidden_state_chunks_are_nearly_the_whole(tmp_path: Path, seed: int) -> None:
    """What chunks differ by, 0.13 to 0.35 with random weights, is the first convolution's norm over time, which takes
    the mean and variance of what it is given: with those of the whole clip the difference is gone."""
    encoder: Any = make_encoder("tiny", save_tiny(tmp_path, seed=seed))
    error, shifted = chunks_and_whole(encoder)
    assert shifted > 3 * error

    norm = encoder.model.feature_extractor.conv_layers[0].layer_norm
    whole: list[torch.Tensor] = []

    def with_statistics_of_the_whole(module: Any, given: tuple[torch.Tensor], _made: torch.Tensor) -> torch.Tensor:
        if not whole:
            whole.extend((given[0].mean(-1, keepdim=True), given[0].var(-1, correction=0, keepdim=True)))
        scaled = (given[0] - whole[0]) / (whole[1] + module.eps).sqrt()
        return scaled * module.weight[:, None] + module.bias[:, None]

    norm.register_forward_hook(with_statistics_of_the_whole)
    error, shifted = chunks_and_whole(encoder)
    assert error < 1e-3 and shifted > 1000 * error


def test_chunks_of_a_norm_over_channels_are_the_whole(tmp_path: Path) -> None:
    error, _ = chunks_and_whole(make_encoder("tiny", save_tiny(tmp_path, feat_extract_norm="layer")))
    assert error < 1e-3


def test_a_third_family_is_one_row(tmp_path: Path) -> None:
    save_tiny(tmp_path, "Hubert")
    assert make_encoder("tiny", tmp_path).listen(babble(1.0), SAMPLE_RATE).features.shape == (25, DEPTH, 2 * HIDDEN)


def test_silence_is_finite_for_hidden_states(weights: Path) -> None:
    heard = make_encoder("tiny", weights).listen(np.zeros(9000, np.float32), SAMPLE_RATE)
    assert bool(heard.features.isfinite().all())
    assert float(heard.energy.max()) == 0.0


def test_missing_weights_say_what_to_do(tmp_path: Path) -> None:
    encoder = make_encoder("wav2vec2", tmp_path / "nowhere")
    with pytest.raises(UserError, match="local folder .*logmel"):
        encoder.listen(babble(1.0), SAMPLE_RATE)


def test_weights_of_another_shape_are_refused(weights: Path) -> None:
    with pytest.raises(UserError, match="3 layers of 32 .* needs 12 of 1536"):
        make_encoder("wav2vec2", weights).listen(babble(1.0), SAMPLE_RATE)


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = save_tiny(tmp_path) / "model.safetensors"
    state = load_file(file)
    key = next(key for key in state if "q_proj.weight" in key)
    save_file({**state, key: torch.full_like(state[key], float("nan"))}, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match="NaN"):
        make_encoder("tiny", tmp_path).listen(babble(1.0), SAMPLE_RATE)
    save_file({k: v for k, v in state.items() if k != key}, file, metadata={"format": "pt"})
    with pytest.raises(UserError, match="lacks 1 tensors"):
        make_encoder("tiny", tmp_path).listen(babble(1.0), SAMPLE_RATE)
    file.write_bytes(b"\x00" * 100)
    with pytest.raises(UserError, match="No usable"):
        make_encoder("tiny", tmp_path).listen(babble(1.0), SAMPLE_RATE)
