"""The steps of `prepare` one by one, against answers that are known beforehand."""

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
from prepare_films import Film, correlation, drawn, lips, person, voice_of, write_film
from shared_facts import MESH, needs_shared

from playmate_core.errors import UserError
from playmate_core.weights.folders import bundled
from training.prepare.corpus import HELD_OUT, Judged, split_of
from training.prepare.encode import Encode, flac
from training.prepare.entry import Entry, Item
from training.prepare.film import frames_between, read_voice
from training.prepare.filters import TESTS, Limits, reason_against
from training.prepare.motion import Look, motion_scores
from training.prepare.probe import Probe
from training.prepare.shots import Shots
from training.prepare.speech import speech_scores
from training.prepare.steps import apply, apply_all
from training.prepare.store import Result, Store
from training.prepare.summary import histograms
from training.prepare.sync import lip_opening, offset_by_envelope, voice_envelope
from training.prepare.syncnet import SyncNet, best_offset, load_syncnet, mfcc, offset_by_syncnet
from training.prepare.tracks import Track

needs_scenedetect = pytest.mark.skipif(find_spec("scenedetect") is None, reason="scenedetect is not installed")
needs_silero = pytest.mark.skipif(find_spec("silero_vad") is None, reason="silero-vad is not installed")
LIMITS = Limits(face_px=60)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    write_film(root / "steady.mp4", drawn(0), voice_of(0))
    write_film(root / "late.mp4", drawn(0), voice_of(0), Film(delay=0.4))
    return root


def probed(root: Path, store: Store, name: str, **told: Any) -> Item:
    item = apply(Probe(root), Item(Entry(name, name, "s", "mine", **told)), store, LIMITS, root)[0]
    assert not item.reason
    return item


# ---------------------------------------------------------------------------------------------------------- sync


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shift", [-5, 0, 3])
def test_the_substitute_finds_an_injected_offset(seed: int, shift: int) -> None:
    clip = person(seed)
    voice = np.roll(clip.waveform.numpy(), 640 * shift)
    found = offset_by_envelope(lip_opening(clip.motion.expression), voice_envelope(voice, len(clip)))
    assert abs(found.frames - shift) <= 1 and found.confidence > LIMITS.sync_envelope


def test_the_substitute_is_not_sure_of_a_stranger_s_voice() -> None:
    pairs = [(person(a), person(b)) for a in range(4) for b in range(4) if a != b]
    confidences = []
    for seen, heard in pairs:
        n = min(len(seen), len(heard))
        opening, envelope = lip_opening(seen.motion.expression[:n]), voice_envelope(heard.waveform.numpy(), n)
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
    assert net.eval().hear(torch.zeros(2, 1, 13, 20)).shape == (2, 1024)
    assert net.look(torch.zeros(1, 3, 5, 224, 224)).shape == (1, 1024)
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
    frames, confidence = best_offset(features[20:70], features[20 - late : 70 - late])
    assert frames == late and confidence > 3


def test_syncnet_s_answer_for_a_film_is_an_offset_and_a_confidence() -> None:
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


# ------------------------------------------------------------------------------------------------------- filters


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ({"seconds": 2.9}, "short"),
        ({"peak": 1e-4}, "silent"),
        ({"vad": 0.39}, "little_speech"),
        ({"snr": -1.0}, "noisy"),
        ({"others": 0.06}, "several_faces"),
        ({"coverage": 0.94}, "face_lost"),
        ({"coverage": 0.99, "gap": 6.0}, "face_lost"),
        ({"face_px": 159.0}, "small_face"),
        ({"face_share": 0.39}, "face_share"),
        ({"face_share": 0.81}, "face_share"),
        ({"frozen": 0.6}, "frozen"),
        ({"blur": 14.0}, "blurred"),
        ({"yaw_max": 61.0}, "turned_away"),
        ({"pitch_max": 41.0}, "turned_away"),
        ({"turn_p95": 151.0}, "fast_turn"),
        ({"sync_off": -7.0}, "out_of_sync"),
        ({"sync_c": 2.9}, "no_sync"),
        ({"sync_e": 0.24}, "no_sync"),
        ({"z": 12.5}, "unstable_motion"),
        ({"jump": 6.5}, "unstable_motion"),
    ],
)
def test_each_limit_has_a_reason(scores: dict[str, float], reason: str) -> None:
    assert reason_against(scores, Limits()) == reason
    assert reason in {name for name, _ in TESTS}


def test_what_is_within_the_limits_or_not_measured_passes() -> None:
    good = {
        **{"seconds": 3.0, "peak": 0.1, "vad": 0.4, "snr": 0.0, "others": 0.05, "coverage": 0.95, "gap": 5.0},
        **{"face_px": 160.0, "face_share": 0.45, "frozen": 0.5, "blur": 15.0, "yaw_max": 60.0, "pitch_max": 40.0},
        **{"turn_p95": 150.0, "sync_off": 6.0, "sync_c": 3.0, "sync_e": 0.25, "z": 12.0, "jump": 6.0},
    }
    assert reason_against(good, Limits()) == "" and reason_against({}, Limits()) == ""


def test_splits_depend_on_the_speaker_alone_and_hold_a_part_out() -> None:
    names = [split_of(f"speaker {k}") for k in range(3600)]
    assert names == [split_of(f"speaker {k}") for k in range(3600)]
    for held in ("val", "test"):
        assert names.count(held) == pytest.approx(3600 / HELD_OUT, rel=0.2)


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.filterwarnings("error")
def test_histograms_of_one_value_and_of_nothing_are_drawn() -> None:
    scores = {"face_px": 104.7, "vad": 0.4, "yaw_p95": 3.0}
    clips = [Judged(Item(Entry("a", "a", "s", "mine"), scores=scores, reason=reason), "train") for reason in ("", "x")]
    pictures = [histograms(some, Limits()) for some in (clips, clips[:1], [])]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures) and len(set(pictures)) == 3


# ------------------------------------------------------------------------------------------------- store and apply


class Counting:
    """A step that counts how often it really runs."""

    name, version, gpu = "counting", 1, False

    def __init__(self, problem: Exception | None = None) -> None:
        self.runs, self.problem = 0, problem

    def inputs(self, item: Item) -> list[Any]:
        return [item.entry.name]

    def run(self, item: Item, store: Store) -> list[Result]:
        self.runs += 1
        if self.problem:
            raise self.problem
        return [Result(scores={"vad": 0.5}, files={"txt": b"kept"})]


def test_a_step_runs_once_for_a_key_and_again_for_another_version(tmp_path: Path) -> None:
    step, store, item = Counting(), Store(tmp_path), Item(Entry("a", "a.mp4", "s", "mine"))
    first = apply(step, item, store, LIMITS, tmp_path)[0]
    assert apply(step, item, store, LIMITS, tmp_path) == [first] and step.runs == 1
    assert store.file(first.keys["counting"], "txt").read_bytes() == b"kept"
    store.file(first.keys["counting"], "json").write_text("[{")  # a disk that lost the end of a file
    assert apply(step, item, store, LIMITS, tmp_path) == [first] and step.runs == 2
    step.version = 2
    apply(step, item, store, LIMITS, tmp_path)
    assert step.runs == 3
    assert apply(step, item, store, Limits(speech=0.6), tmp_path)[0].reason == "little_speech" and step.runs == 3


def test_a_bad_file_is_remembered_and_an_accident_is_not(tmp_path: Path) -> None:
    item, store = Item(Entry("a", "a.mp4", "s", "mine")), Store(tmp_path / "store")
    bad = Counting(UserError(f"{tmp_path}/a.mp4 is damaged."))
    for _ in range(2):
        found = apply(bad, item, store, LIMITS, tmp_path)[0]
        assert (found.reason, found.detail) == ("unreadable", "a.mp4 is damaged.") and bad.runs == 1
    accident = Counting(RuntimeError("a net has fallen over"))
    accident.version = 2
    for _ in range(2):
        assert apply(accident, item, store, LIMITS, tmp_path)[0].reason == "failed"
    assert accident.runs == 2
    assert apply(accident, item.rejected("short"), store, LIMITS, tmp_path)[0].reason == "short" and accident.runs == 2


# ------------------------------------------------------------------------------------------- film, shots, speech


def test_a_stretch_of_a_film_is_read_at_its_times(films: Path) -> None:
    path = films / "steady.mp4"
    some = list(frames_between(path, 0.5, 1.5, 25.0))
    assert len(some) == 26 and some[0].time == pytest.approx(-0.02)  # what is shown at 0.5 s began at 0.48 s
    every = list(frames_between(path, 0.0, math.inf, 25.0))
    assert len(every) == len(drawn(0)) and np.array_equal(every[13].picture, some[1].picture)


def test_fast_films_are_read_every_other_frame(tmp_path: Path) -> None:
    from fractions import Fraction

    path = write_film(tmp_path / "fast.mp4", drawn(0)[:40], None, Film(Fraction(60)))
    assert len(list(frames_between(path, 0.0, math.inf, 60.0))) == 20


def test_a_voice_is_cut_at_the_very_sample_and_silent_beyond(films: Path) -> None:
    said = voice_of(0) / np.float32(32768)
    whole = read_voice(films / "steady.mp4", 0.0, len(said) / 16000, 0.0)
    assert len(whole) == len(said) and np.corrcoef(whole, said)[0, 1] > 0.99
    part = read_voice(films / "steady.mp4", 1.0, 2.0, 0.0)
    np.testing.assert_allclose(part, whole[16000:32000], atol=1e-4)
    outside = read_voice(films / "steady.mp4", -0.5, 0.5, 0.0)
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
    write_film(tmp_path / "long.mp4", frames, voice)
    store = Store(tmp_path / "store")
    item = probed(tmp_path, store, "long.mp4")
    pieces = apply(Shots(tmp_path, 2.0, 5.0), item, store, replace(LIMITS, shortest=2.0), tmp_path)
    assert all(2.0 <= piece.end - piece.begin <= 5.0 and not piece.reason for piece in pieces)
    assert pieces[0].begin == 0.0 and [a.end for a in pieces[:-1]] == [b.begin for b in pieces[1:]]
    quiet = [len(voice_of(0)) / 16000, (len(voice_of(0)) + 9600 + len(voice_of(1))) / 16000]
    assert quiet[0] - 0.6 < pieces[0].end < quiet[0] + 1.2


@needs_scenedetect
def test_a_film_s_own_end_and_an_entry_s_stretch_are_kept(films: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    whole = apply(Shots(films, 1.0, 30.0), probed(films, store, "steady.mp4"), store, LIMITS, films)[0]
    assert (whole.begin, whole.end) == (0.0, pytest.approx(len(drawn(0)) / 25, abs=1e-3))
    part = probed(films, store, "steady.mp4", begin=0.5, end=2.5)
    cut = apply(Shots(films, 1.0, 30.0), part, store, replace(LIMITS, shortest=1.0), films)[0]
    assert (cut.begin, cut.end) == (0.5, 2.5) and cut.frames == 50


# ----------------------------------------------------------------------------------------------- pictures, motion


def test_blur_and_stillness_are_noted() -> None:
    import cv2

    sharp, soft, still = Look(), Look(), Look()
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
def test_mediapipe_s_crop_reads_the_same_head(films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from playmate_core.detection.detect import detector
    from playmate_core.weights.files import load_face, tensor_hash
    from training.prepare.motion import ReadMotion
    from training.prepare.speech import Speech

    (tmp_path / "models" / "detection").mkdir(parents=True)
    (tmp_path / "models" / "detection" / MESH.name).write_bytes(MESH.read_bytes())
    monkeypatch.setenv("PLAYMATE_MODELS", str(tmp_path / "models"))
    face = bundled("face.safetensors")
    store, steps = (
        Store(tmp_path / "store"),
        [
            Shots(films, 3.0, 30.0),
            Speech(films),
            Track(films, "mediapipe", lambda: detector("mediapipe")),
            ReadMotion(films, str(face), tensor_hash(load_face(face).motion), "cpu"),
        ],
    )
    item = apply_all(steps, [probed(films, store, "steady.mp4")], store, LIMITS, films)[0]
    assert not item.reason and item.scores["coverage"] == 1.0 and 60 < item.scores["face_px"] < 130
    from safetensors.torch import load_file

    read = load_file(store.file(item.keys["motion"], "safetensors"))
    truth = person(0).motion
    n = min(len(truth), len(read["pose"]))
    assert float((read["pose"][:n, 1] - truth.pose.rotation[:n, 1]).abs().mean()) <= 1.5
    assert correlation(lips(read["expression"].float())[:n], lips(truth.expression[:n])) >= 0.95


# ------------------------------------------------------------------------------------------------------- encoding


def test_flac_loses_nothing() -> None:
    import soundfile

    voice = np.random.default_rng(0).uniform(-1, 1, 6400).astype(np.float32)
    back, rate = soundfile.read(io.BytesIO(flac(voice)), dtype="int16")
    assert rate == 16000 and np.array_equal(back, np.round(voice * 32767).astype(np.int16))
    assert flac(voice) == flac(voice)


def test_the_film_of_a_crop_is_intra_coded_at_25_frames_a_second(films: Path, tmp_path: Path) -> None:
    import av

    store = Store(tmp_path)
    item = replace(
        probed(films, store, "late.mp4"), begin=0.0, end=1.0, scores={"sync_off": 10.0}, keys={"motion": "motion-v1/0"}
    )
    item = replace(item, facts={**item.facts, "crop": [192.0, 144.0, 230.4]})
    step = Encode(films, pixels=128)
    done = apply(step, item, store, LIMITS, films)[0]
    path = store.file(done.keys["encode"], "mp4")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert len(packets) == 25 and all(packet.is_keyframe for packet in packets)
        assert container.streams.video[0].width == 128
    voice = read_voice(films / "steady.mp4", 0.0, 1.0, 0.0)
    import soundfile

    heard, _ = soundfile.read(io.BytesIO(store.file(done.keys["encode"], "flac").read_bytes()), dtype="float32")
    assert np.corrcoef(heard, voice)[0, 1] > 0.98  # 0.4 s late in the file, and put right
    again = step.run(item, store)[0]
    assert again.files["mp4"] == path.read_bytes()


def test_a_probe_knows_sound_and_rates(films: Path, tmp_path: Path) -> None:
    item = probed(films, Store(tmp_path), "steady.mp4")
    assert item.facts["fps"] == 25.0 and item.facts["sound"] == "steady.mp4" and len(item.digest) == 64
    assert str(films) not in item.to_json()
