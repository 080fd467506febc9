"""A dialogue: who speaks in which channel, who listens, in a row or on one plate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from command_line import refused
from driven_videos import pictures, scene
from two_voices import LEFT, RATE, RIGHT, save

from playmate_core.cli import main as cli
from playmate_core.detection import detectors
from playmate_core.media.audio_files import Recording, read_sound
from playmate_core.media.video_reader import has_sound
from playmate_core.media.video_writer import VideoWriter
from playmate_core.media.voices import find_voices, mixed
from playmate_core.motion.lips_and_lids import lips_open
from playmate_core.pipelines import dialogue as room
from playmate_core.rendering.several import MovingFace


@pytest.fixture
def call(tmp_path: Path) -> Path:
    return save(tmp_path / "call.wav", [LEFT, RIGHT])


@pytest.fixture
def words(tiny_weights: list[str], tmp_path: Path) -> list[str]:
    return ["-o", str(tmp_path / "out.mp4"), *tiny_weights, "--steps", "2", "--any-picture"]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[MovingFace]:
    """The faces of the dialogue that is made."""
    found: list[MovingFace] = []
    whole = room.faces_job

    def noted(face: Any, faces: list[MovingFace], *rest: Any) -> Any:
        found.extend(faces)
        return whole(face, faces, *rest)

    monkeypatch.setattr(room, "faces_job", noted)
    return found


@pytest.fixture
def two_heads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A picture of two, and who finds them."""
    pair = (detectors.Face((20.0, 15.0, 74.0, 80.0)), detectors.Face((120.0, 20.0, 170.0, 80.0)))
    monkeypatch.setitem(detectors.DETECTORS, "pair", lambda: lambda image: pair)
    monkeypatch.setattr("playmate_core.cli.terminal.DETECTORS", detectors.DETECTORS)
    cv2.imwrite(str(tmp_path / "couple.png"), np.hstack([scene(1), scene(-1)]))
    return tmp_path / "couple.png"


def test_each_speaks_in_its_own_channel_and_listens_in_the_other(
    portrait_picture: Path, call: Path, words: list[str], moved: list[MovingFace], tmp_path: Path, capsys: Any
) -> None:
    both = ["dialogue", str(portrait_picture), str(tmp_path / "b.png"), "--speech", str(call), *words]
    cv2.imwrite(str(tmp_path / "b.png"), cv2.flip(cv2.imread(str(portrait_picture)), 1))
    assert cli.main(both) == 0, capsys.readouterr().err
    shown = pictures(tmp_path / "out.mp4")
    assert len(shown) == 100 and shown[0].shape == (64, 128, 3), "four seconds, two crops in a row"
    heard = (
        read_sound(tmp_path / "out.mp4", RATE, channel=0).waveform,
        read_sound(tmp_path / "out.mp4", RATE, 1).waveform,
    )
    assert np.abs(heard[0][: 2 * RATE]).max() > 0.1 > 0.01 > np.abs(heard[1][:RATE]).max(), "the recording as it is"
    first, second = (face.motion for face in moved)
    assert float(lips_open(first)[56:].max()) < 1e-6 < float(lips_open(first)[:50].max())
    assert float(lips_open(second)[:44].max()) < 1e-6 < float(lips_open(second)[50:].max())
    assert cli.main([*both, "--nods", "0"]) == 0
    calm = moved[2].motion
    assert torch.equal(calm.expression, first.expression)
    pitch = (first.pose.rotation - calm.pose.rotation)[:, 0]
    assert float(pitch[50:].max()) > 3 and torch.equal(first.pose.rotation[:45], calm.pose.rotation[:45])


def test_the_faces_of_one_picture_speak_from_the_left_or_as_told(
    two_heads: Path, call: Path, words: list[str], moved: list[MovingFace], tmp_path: Path, capsys: Any
) -> None:
    one = ["dialogue", str(two_heads), "--speech", str(call), *words, "--crop", "pair", "--crop-scale", "1.3"]
    assert cli.main(one) == 0, capsys.readouterr().err
    shown = np.stack(pictures(tmp_path / "out.mp4")).astype(int)
    assert shown.shape == (100, 96, 192, 3)
    assert moved[0].portrait.crop_to_image[0, 2] < moved[1].portrait.crop_to_image[0, 2]
    assert cli.main([*one, "--faces", "1", "0", "--emotions", "happy", "sad"]) == 0, capsys.readouterr().err
    assert moved[2].portrait.crop_to_image[0, 2] > moved[3].portrait.crop_to_image[0, 2]
    assert [dict(face.motion.origin)["emotion"][:3] for face in moved[2:]] == ["0:h", "0:s"]
    assert [dict(face.motion.origin)["seed"] for face in moved[2:]] == ["0", "1"], "they do not move alike"


def test_two_of_a_video_are_dubbed(
    two_heads: Path, call: Path, words: list[str], moved: list[MovingFace], tmp_path: Path, capsys: Any
) -> None:
    film = tmp_path / "film.mp4"
    with VideoWriter(film, 25.0, None) as writer:
        for i in range(8):
            writer.write(torch.from_numpy(np.hstack([scene(i % 3), scene(-(i % 3))]))[None])
    one = ["dialogue", str(film), "--speech", str(call), *words, "--crop", "pair", "--crop-scale", "1.3"]
    assert cli.main([*one, "--video-fit", "loop"]) == 0, capsys.readouterr().err
    assert len(pictures(tmp_path / "out.mp4")) == 100
    own = moved[0].portrait.video.motion  # type: ignore[attr-defined]
    assert torch.equal(moved[0].motion.pose.rotation, own.pose.rotation[torch.arange(100) % 8]), "lips only"


def test_voices_are_channels_tracks_or_files(call: Path, tmp_path: Path) -> None:
    assert [voice.channel for voice in find_voices(call)] == [0, 1]
    assert np.abs(find_voices(call)[1].read().waveform[:RATE]).max() < 1e-3
    three = save(tmp_path / "three.wav", [LEFT, RIGHT, 0.5 * LEFT])
    voices = find_voices(three)
    assert [voice.channel for voice in voices] == [0, 1, 2]
    assert voices[2].read().waveform[:RATE].std() == pytest.approx(0.5 * 32000 / 32768 * LEFT[:RATE].std(), rel=0.01)
    mono = find_voices(save(tmp_path / "mono.wav", [LEFT]))
    assert [voice.channel for voice in mono] == [None]
    sound = mixed([*mono, *find_voices(save(tmp_path / "other.wav", [RIGHT[: 3 * RATE]]))])
    assert isinstance(sound, Recording) and sound.seconds == pytest.approx(4.0, abs=0.01)
    assert np.abs(sound.samples[:, : 2 * 48_000]).max() > 0.1 and np.abs(sound.samples).max() <= 1.0
    with av.open(str(tmp_path / "tracks.mka"), "w") as container:
        for _ in range(2):
            container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for stream, voice in zip(container.streams.audio, (LEFT, RIGHT), strict=True):
            frame = av.AudioFrame.from_ndarray((voice[None] * 32000).astype(np.int16), format="s16", layout="mono")
            frame.sample_rate = RATE
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    tracks = find_voices(tmp_path / "tracks.mka")
    assert [voice.source.track for voice in tracks] == [0, 1]
    assert np.abs(tracks[0].read().waveform[:RATE]).max() > 0.1 > np.abs(tracks[1].read().waveform[:RATE]).max()


def test_one_file_for_each_voice_is_mixed_into_the_video(
    portrait_picture: Path, words: list[str], tmp_path: Path, capsys: Any
) -> None:
    files = [save(tmp_path / "a.wav", [LEFT]), save(tmp_path / "b.wav", [RIGHT[: 3 * RATE]])]
    cv2.imwrite(str(tmp_path / "b.png"), cv2.imread(str(portrait_picture)))
    both = ["dialogue", str(portrait_picture), str(tmp_path / "b.png"), "--speech", *map(str, files), *words]
    assert cli.main([*both, "--paste-back"]) == 0, capsys.readouterr().err
    assert has_sound(tmp_path / "out.mp4") and pictures(tmp_path / "out.mp4")[0].shape == (96, 192, 3)
    sound = read_sound(tmp_path / "out.mp4").waveform
    assert np.abs(sound[:RATE]).max() > 0.1 and np.abs(sound[2 * RATE : 3 * RATE]).max() > 0.1


def test_what_does_not_go_together_is_refused(
    portrait_picture: Path, two_heads: Path, call: Path, words: list[str], tmp_path: Path, capsys: Any
) -> None:
    def said(portraits: list[Path], speech: list[Path], *more: str) -> str:
        return refused(["dialogue", *map(str, portraits), "--speech", *map(str, speech), *words, *more], capsys)

    mono, same = save(tmp_path / "mono.wav", [LEFT]), save(tmp_path / "same.wav", [LEFT, LEFT])
    one, other = portrait_picture, two_heads
    assert "has one voice" in said([one, other], [mono])
    assert "hold the same sound" in said([one, other], [same])
    third = tmp_path / "third.png"
    third.write_bytes(one.read_bytes())
    assert "3 portraits and 2 voices" in said([one, other, third], [call])
    assert "3 emotions and 2 voices" in said([one, other], [call], "--emotions", "happy", "sad", "fear")
    assert "Got 2 faces for 2 voices and 2 portraits" in said([one, other], [call], "--faces", "0", "1")
    lone = ["--crop", "pair", "--faces", "0", "2"]
    assert "Face number 2 was asked for" in said([other], [call], *lone)
    assert list(tmp_path.glob("*.mp4")) == []
