"""How JoyVASA hears is the reference's: golden cases of data/goldens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from joyvasa_cases import AUDIO, encoder, golden, network  # noqa: F401
from motion_goldens import MotionGolden, outputs_left

from playmate_core.diffusion.joyvasa.network import JoyVasaNetwork
from playmate_core.speech.hubert_windows import (
    WindowedHubert,
    WindowOptions,
    cut_window,
    halved,
    mirrored,
    window_count,
)


def test_padding(golden: MotionGolden) -> None:
    for name in golden.cases["pad"]["tensors"]:
        if not name.endswith("/in"):
            continue
        stem, padded = name.removesuffix("/in"), mirrored(golden(name))
        if f"{stem}/out" in golden.stored:
            golden.check(f"{stem}/out", padded)
        else:
            ends = golden(f"{stem}/out_head").shape[1]
            golden.check(f"{stem}/out_head", padded[:, :ends])
            golden.check(f"{stem}/out_tail", padded[:, -ends:])


def test_tokens_to_features(golden: MotionGolden, network: JoyVasaNetwork) -> None:
    rows = halved(golden("audio/hidden")[0])
    golden.check("audio/hidden25", rows[None])
    golden.check("audio/feat", network.audio_feature_map(rows)[None])


def test_a_waveform_to_features(golden: MotionGolden, network: JoyVasaNetwork, encoder: WindowedHubert) -> None:
    wave = golden("hubert_tiny/wave")
    with torch.inference_mode():
        hidden = encoder.module(mirrored(wave)).last_hidden_state
    probe = golden("hubert_tiny/hidden_probe")
    golden.check("hubert_tiny/hidden_probe", hidden[:, :: hidden.shape[1] // probe.shape[1], : probe.shape[2]])
    golden.check("hubert_tiny/feat", network.audio_feature_map(encoder.encode(wave[0].numpy()))[None])


def test_counts(golden: MotionGolden) -> None:
    laid = WindowOptions()
    rows = []
    for samples, total, _, _ in golden("counts/table").tolist():
        assert len(laid.padded(np.zeros(samples, np.float32))) == total
        rows.append([samples, total, *window_count(total)])
    golden.check("counts/table", torch.tensor(rows))
    counts = [[samples, *window_count(samples)] for samples, _, _ in golden("nopad/counts").tolist()]
    golden.check("nopad/counts", torch.tensor(counts))


def test_window_edges(golden: MotionGolden) -> None:
    """The totals that the case names, of those that its table has."""
    named = golden.about["counts/edges"]["note"].split("totals ")[1].split(" (")[0].split(" and ")
    present = {total: samples for samples, total, _, _ in golden("counts/table").tolist()}
    rows = []
    for total in (int(name) for name in named):
        if total not in present:
            continue
        clip = ((np.arange(present[total]) % 97 + 1) / 128).astype(np.float32)
        laid, last = WindowOptions().padded(clip), window_count(total)[0] - 1
        tails = [cut_window(laid, last, pad)[-1] for pad in ("zero", "replicate")]
        first = cut_window(laid, 0)
        rows.append([*tails, first[1279], first[1280]])
    golden.check("counts/edges", torch.tensor(np.array(rows, np.float32)))


def test_nothing_was_left_out(golden: MotionGolden) -> None:
    """Run after the others: every expected number of these groups was compared."""
    left = outputs_left(golden, AUDIO)
    if len(left) > sum(name.split("/")[0] in AUDIO for name in golden.about) // 4:
        pytest.skip("only some of the cases were run")
    assert left == []
