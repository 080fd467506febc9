"""The steps that read videos: stretches, voices, shots, crops."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prepare_results import LIMITS
from prepare_videos import VideoSpec, correlation, drawn, lips, person, voice_of, write_sound_with_gap, write_video
from shared_facts import MESH, needs_shared

from playmate_core.weights.folders import bundled
from training.prepare.encode import Encode, flac
from training.prepare.entry import Entry, Item
from training.prepare.motion import CropStatistics, motion_scores
from training.prepare.probe import ProbeFile
from training.prepare.shards import write_shards
from training.prepare.shots import Shots
from training.prepare.source_video import frames_between, read_voice
from training.prepare.speech import speech_scores
from training.prepare.steps import apply, apply_all
from training.prepare.store import Store
from training.prepare.tracks import Track

needs_scenedetect = pytest.mark.skipif(find_spec("scenedetect") is None, reason="scenedetect is not installed")


needs_silero = pytest.mark.skipif(find_spec("silero_vad") is None, reason="silero-vad is not installed")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    write_video(root / "steady.mp4", drawn(0), voice_of(0))
    write_video(root / "late.mp4", drawn(0), voice_of(0), VideoSpec(delay=0.4))
    return root


def probed(root: Path, store: Store, name: str, **told: Any) -> Item:
    item = apply(ProbeFile(root), Item(Entry(name, name, "s", "mine", **told)), store, LIMITS, root)[0]
    assert not item.reason
    return item


def test_a_stretch_of_a_video_is_read_at_its_times(videos: Path) -> None:
    path = videos / "steady.mp4"
    some = list(frames_between(path, 0.5, 1.5, 25.0))
    assert len(some) == 26 and some[0].time == pytest.approx(-0.02)  # what is shown at 0.5 s began at 0.48 s
    every = list(frames_between(path, 0.0, math.inf, 25.0))
    assert len(every) == len(drawn(0)) and np.array_equal(every[13].picture, some[1].picture)


def test_fast_videos_are_read_every_other_frame(tmp_path: Path) -> None:
    from fractions import Fraction

    path = write_video(tmp_path / "fast.mp4", drawn(0)[:40], None, VideoSpec(Fraction(60)))
    assert len(list(frames_between(path, 0.0, math.inf, 60.0))) == 20


def test_a_voice_is_cut_at_the_very_sample_and_silent_beyond(videos: Path) -> None:
    said = voice_of(0) / np.float32(32768)
    whole = read_voice(videos / "steady.mp4", 0.0, len(said) / 16000, 0.0)
    assert len(whole) == len(said) and np.corrcoef(whole, said)[0, 1] > 0.99
    part = read_voice(videos / "steady.mp4", 1.0, 2.0, 0.0)
    np.testing.assert_allclose(part, whole[16000:32000], atol=1e-4)
    outside = read_voice(videos / "steady.mp4", -0.5, 0.5, 0.0)
    assert not outside[:7000].any() and len(outside) == 16000
    np.testing.assert_allclose(outside[8000:], whole[:8000], atol=1e-4)


@needs_silero
def test_speech_and_noise_are_told_apart() -> None:
    spoken = speech_scores(voice_of(0) / np.float32(32768))
    assert spoken["vad"] > 0.4 and spoken["snr"] > 5
    noise = speech_scores(np.random.default_rng(0).normal(0, 0.05, 48000).astype(np.float32))
    assert noise["vad"] < 0.2 and speech_scores(np.zeros(48000, np.float32)) == {"peak": 0.0, "vad": 0.0}


@needs_scenedetect
@needs_silero
def test_long_shots_are_cut_in_pauses(tmp_path: Path) -> None:
    pause = np.zeros(9600, np.int16)
    voice = np.concatenate([voice_of(0), pause, voice_of(1), pause, voice_of(4)])
    frames = [np.minimum(drawn(0)[0], 250) + np.uint8(k % 3) for k in range(len(voice) // 640)]
    write_video(tmp_path / "long.mp4", frames, voice)
    store = Store(tmp_path / "store")
    item = probed(tmp_path, store, "long.mp4")
    pieces = apply(Shots(tmp_path, 2.0, 5.0), item, store, replace(LIMITS, shortest=2.0), tmp_path)
    assert all(2.0 <= piece.end - piece.begin <= 5.0 and not piece.reason for piece in pieces)
    assert pieces[0].begin == 0.0 and [a.end for a in pieces[:-1]] == [b.begin for b in pieces[1:]]
    quiet = [len(voice_of(0)) / 16000, (len(voice_of(0)) + 9600 + len(voice_of(1))) / 16000]
    assert quiet[0] - 0.6 < pieces[0].end < quiet[0] + 1.2


@needs_scenedetect
def test_a_video_s_own_end_and_an_entry_s_stretch_are_kept(videos: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = apply(Shots(videos, 1.0, 30.0), probed(videos, store, "steady.mp4"), store, LIMITS, videos)[0]
    assert (whole.begin, whole.end) == (0.0, pytest.approx(len(drawn(0)) / 25, abs=1e-3))
    part = probed(videos, store, "steady.mp4", begin=0.5, end=2.5)
    cut = apply(Shots(videos, 1.0, 30.0), part, store, replace(LIMITS, shortest=1.0), videos)[0]
    assert (cut.begin, cut.end) == (0.5, 2.5) and cut.frames == 50


def test_blur_and_stillness_are_noted() -> None:
    import cv2

    sharp, soft, still = CropStatistics(), CropStatistics(), CropStatistics()
    for index in range(4):
        picture = drawn(0)[10 * index]
        sharp.note(torch.from_numpy(picture[:, 48:336]).float() / 255)
        soft.note(torch.from_numpy(cv2.GaussianBlur(picture, (0, 0), 6)[:, 48:336]).float() / 255)
        still.note(torch.from_numpy(drawn(0)[0][:, 48:336]).float() / 255)
    assert min(sharp.blur) > LIMITS.blur > max(soft.blur)
    assert sharp.longest_still == 0 and still.longest_still == 3


def test_turning_is_measured_by_the_clock_not_by_the_frame() -> None:
    motion = person(0).motion
    times = torch.arange(len(motion), dtype=torch.float64) / 25
    slow, fast = motion_scores(motion, times), motion_scores(motion, times / 2)
    assert fast["turn_p95"] == pytest.approx(2 * slow["turn_p95"]) and fast["yaw_max"] == slow["yaw_max"]


@needs_shared
@pytest.mark.skipif(find_spec("mediapipe") is None, reason="mediapipe is not installed")
def test_mediapipe_s_crop_reads_the_same_head(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from playmate_core.detection.detect import detector
    from playmate_core.weights.files import load_face, tensor_hash
    from training.prepare.motion import ReadMotion
    from training.prepare.speech import DetectSpeech

    (tmp_path / "models" / "detection").mkdir(parents=True)
    (tmp_path / "models" / "detection" / MESH.name).write_bytes(MESH.read_bytes())
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    face = bundled("face.safetensors")
    store, steps = (
        Store(tmp_path / "store"),
        [
            Shots(videos, 3.0, 30.0),
            DetectSpeech(videos),
            Track(videos, "mediapipe", lambda: detector("mediapipe")),
            ReadMotion(videos, str(face), tensor_hash(load_face(face).motion), "cpu"),
        ],
    )
    item = apply_all(steps, [probed(videos, store, "steady.mp4")], store, LIMITS, videos)[0]
    assert not item.reason and item.scores["coverage"] == 1.0 and 60 < item.scores["face_px"] < 130
    from safetensors.torch import load_file

    read = load_file(store.file(item.keys["motion"], "safetensors"))
    truth = person(0).motion
    n = min(len(truth), len(read["pose"]))
    assert float((read["pose"][:n, 1] - truth.pose.rotation[:n, 1]).abs().mean()) <= 1.5
    assert correlation(lips(read["expression"].float())[:n], lips(truth.expression[:n])) >= 0.95


def test_flac_loses_nothing() -> None:
    import soundfile

    voice = np.random.default_rng(0).uniform(-1, 1, 6400).astype(np.float32)
    back, rate = soundfile.read(io.BytesIO(flac(voice)), dtype="int16")
    assert rate == 16000 and np.array_equal(back, np.round(voice * 32767).astype(np.int16))
    assert flac(voice) == flac(voice)


def test_the_video_of_a_crop_is_intra_coded_at_25_frames_a_second(videos: Path, tmp_path: Path) -> None:
    import av

    store = Store(tmp_path)
    item = replace(
        probed(videos, store, "late.mp4"), begin=0.0, end=1.0, scores={"sync_off": 10.0}, keys={"motion": "motion-v1/0"}
    )
    item = replace(item, facts={**item.facts, "crop": [192.0, 144.0, 230.4]})
    step = Encode(videos, pixels=128)
    done = apply(step, item, store, LIMITS, videos)[0]
    path = store.file(done.keys["encode"], "mp4")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert len(packets) == 25 and all(packet.is_keyframe for packet in packets)
        assert container.streams.video[0].width == 128
    voice = read_voice(videos / "steady.mp4", 0.0, 1.0, 0.0)
    import soundfile

    heard, _ = soundfile.read(io.BytesIO(store.file(done.keys["encode"], "flac").read_bytes()), dtype="float32")
    assert np.corrcoef(heard, voice)[0, 1] > 0.98  # 0.4 s late in the file, and put right
    again = step.run(item, store)[0]
    assert again.files["mp4"] == path.read_bytes()


def test_a_probe_knows_sound_and_rates(videos: Path, tmp_path: Path) -> None:
    item = probed(videos, Store(tmp_path), "steady.mp4")
    assert item.facts["fps"] == 25.0 and item.facts["sound"] == "steady.mp4" and len(item.digest) == 64
    assert str(videos) not in item.to_json()


def test_a_gap_in_the_sound_becomes_silence_of_its_length(tmp_path: Path) -> None:
    tone = (np.sin(2 * np.pi * 440 * np.arange(48000) / 16000) * 8000).astype(np.int16)
    path = write_sound_with_gap(tmp_path / "gap.mkv", tone, 16384, 1.5)
    true = np.concatenate([tone[:16384], np.zeros(24000, np.int16), tone[16384:]]) / np.float32(32768)
    whole = read_voice(path, 0.0, 4.5, 0.0)
    np.testing.assert_allclose(whole, true, atol=1e-3)
    np.testing.assert_allclose(read_voice(path, 3.5, 4.5, 0.0), true[56000:], atol=1e-3)
    np.testing.assert_allclose(read_voice(path, 1.5, 3.0, 0.0), true[24000:48000], atol=1e-3)


def test_speech_after_a_gap_of_more_than_a_minute_keeps_its_time(tmp_path: Path) -> None:
    tone = (np.sin(2 * np.pi * 440 * np.arange(48000) / 16000) * 8000).astype(np.int16)
    path = write_sound_with_gap(tmp_path / "gap.mkv", tone, 16384, 70.0)
    after = read_voice(path, 71.524, 72.024, 0.0)
    np.testing.assert_allclose(after, tone[24384:32384] / np.float32(32768), atol=1e-3)
    assert not read_voice(path, 40.0, 41.0, 0.0).any()


def test_only_shards_are_deleted(tmp_path: Path) -> None:
    stale, foreign = tmp_path / "train-00003.tar", tmp_path / "backup.tar"
    for path in (stale, foreign):
        path.write_bytes(b"")
    write_shards(tmp_path, [], Store(tmp_path / "store"), 10, 10.0)
    assert foreign.exists() and not stale.exists()
