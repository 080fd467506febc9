"""The command line from end to end, on weights of random numbers: what it makes, what it refuses, what it leaves."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
import torch
from command_line import refused

from playmate_core.cli import main as cli
from playmate_core.cli.talk import request_from
from playmate_core.cli.terminal import Bars
from playmate_core.diffusion.request import joined
from playmate_core.errors import UserError
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines import stages, talk
from playmate_core.pipelines.models import Weights
from playmate_core.pipelines.talk import TalkRequest
from playmate_core.rendering import write_video as video
from playmate_core.values import EMOTIONS, Motion, Pose

#: The speech of conftest lasts 1.31 s.
FRAMES = math.ceil(1.31 * 25)


@pytest.fixture
def words(
    portrait_picture: Path, speech_wave: Path, tiny_face: Path, tiny_motion: Path, tiny_emotion: Path, tmp_path: Path
) -> list[str]:
    """A talk command that works, writing to ``tmp_path / "out.mp4"``."""
    weights = ["--face-weights", tiny_face, "--motion-weights", tiny_motion, "--emotion-weights", tiny_emotion]
    files = [portrait_picture, speech_wave, "-o", tmp_path / "out.mp4", *weights]
    return ["talk", *map(str, files), "--steps", "3", "--any-picture"]


@pytest.fixture
def motions(monkeypatch: pytest.MonkeyPatch) -> list[Motion]:
    """The motions that were drawn, in order; of each the first frame is drawn alone."""
    drawn: list[Motion] = []
    parts: list[Motion] = []
    render = video.render

    def remember(face, portrait, motion, *rest):
        parts.append(motion)
        if len(parts) == 2:
            drawn.append(joined([parts.pop(0), parts.pop()]))
        return render(face, portrait, motion, *rest)

    monkeypatch.setattr(video, "render", remember)
    return drawn


def video_frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_talk_makes_a_video_with_the_very_speech(words: list[str], tmp_path: Path, capsys) -> None:
    assert cli.main([*words, "--emotion", "happy", "--plot", str(tmp_path / "curves.png")]) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert picture.average_rate == 25 and picture.frames == FRAMES
        assert sound.codec_context.sample_rate == 22050 and sound.codec_context.layout.nb_channels == 2
    assert sorted(file.name for file in tmp_path.iterdir()) == ["curves.png", "out.mp4"]
    said = capsys.readouterr().out
    for part in (str(tmp_path / "out.mp4"), f"{FRAMES / 25:.2f} s", "generate motion", "render and encode"):
        assert part in said


def test_the_seed_decides_and_the_batch_does_not(words: list[str], motions: list[Motion]) -> None:
    for extra in (["--seed", "7"], ["--seed", "7", "--batch", "3"], ["--seed", "8"]):
        assert cli.main([*words, *extra]) == 0
    assert torch.equal(motions[0].expression, motions[1].expression)
    assert torch.equal(motions[0].pose.rotation, motions[1].pose.rotation)
    assert not torch.equal(motions[0].expression, motions[2].expression)


def test_pose_comes_from_where_it_is_asked(words: list[str], motions: list[Motion], tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    assert cli.main([*words, "-o", str(video)]) == 0
    assert cli.main([*words, "--pose", "still"]) == 0
    assert cli.main([*words, "--pose", str(video), "--pose-fit", "loop", "--paste-back"]) == 0
    generated, held, driven = motions
    assert held.pose.rotation.diff(dim=0).abs().max() == 0
    assert torch.equal(held.expression, generated.expression)
    assert torch.allclose(driven.pose.rotation[0], held.pose.rotation[0], atol=1e-3)
    assert len(driven) == FRAMES
    assert torch.equal(driven.pose.translation, held.pose.translation)


@pytest.mark.parametrize("rate", [24, 29.97, 30, 60])
def test_a_pose_video_of_any_rate_is_held_within_limits(
    words: list[str], rate: float, motions: list[Motion], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    video = tmp_path / "film.mp4"
    with VideoWriter(video, rate) as writer:
        writer.write(torch.zeros(round(1.0 * rate), 64, 64, 3))

    def turning(face, pictures, fps, **_: object) -> Motion:
        seconds = torch.arange(sum(1 for _ in pictures)) / fps
        turn = torch.stack([0 * seconds, 60 * seconds, 0 * seconds], 1)  # 60 degrees of yaw a second
        return Motion(Pose(turn, turn * 0, torch.ones(len(turn), 1), fps), torch.zeros(len(turn), 21, 3))

    monkeypatch.setattr(stages, "read_timed_motion", turning)
    assert cli.main([*words, "--pose", str(video), "--steps", "1"]) == 0
    yaw = motions[0].pose.rotation[:, 1]
    assert len(yaw) == FRAMES and float(yaw.max()) == 35.0
    assert torch.allclose(yaw[1:10].diff(), torch.tensor(60 / 25), atol=0.2)
    assert "held there" in caplog.text


@pytest.mark.parametrize("emotion", ["none", "0:neutral,0.6:sad@0.5"])
def test_any_emotion_score_runs(words: list[str], emotion: str, tmp_path: Path) -> None:
    assert cli.main([*words, "--emotion", emotion]) == 0
    assert len(video_frames(tmp_path / "out.mp4")) == FRAMES


def test_flags_have_the_defaults_of_the_dataclasses(tmp_path: Path) -> None:
    options = cli.parser().parse_args(["talk", "a.png", "b.wav", "-o", "c.mp4"])
    expected = TalkRequest(Path("a.png"), Path("b.wav"), Path("c.mp4"))
    assert request_from(options, options.portrait, options.speech) == expected


def test_ctrl_c_leaves_nothing(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def press(bars: Bars, name: str, done: int, total: int) -> None:
        if name == "render and encode" and done > 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(Bars, "__call__", press)
    assert cli.main(words) == cli.INTERRUPTED
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in capsys.readouterr().err


def test_a_stop_while_drawing_takes_the_plot_along(words: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(talk, "write_video", Mock(side_effect=KeyboardInterrupt()))
    assert cli.main([*words, "--plot", str(tmp_path / "curves.png")]) == cli.INTERRUPTED
    assert list(tmp_path.iterdir()) == []


def test_an_old_video_stands_until_the_new_one_is_whole(words: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "out.mp4").write_bytes(b"the old one")
    with monkeypatch.context() as patch:
        patch.setattr(video, "render", Mock(side_effect=UserError("The renderer is out of paint; please buy some.")))
        refused(words, capsys)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.mp4", b"the old one")]
    assert cli.main(words) == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert "Playmate" in container.metadata["comment"] and "ynthetic" in container.metadata["comment"]


#: Files of this process may not grow beyond 4000 bytes from the beginning, or from the first frame on.
LIMITED = """
import resource, sys
from playmate_core.cli.main import main
from playmate_core.pipelines import talk
limit, write = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)), talk.write_video
talk.write_video = lambda *a, **k: (limit(), write(*a, **k))[1]
sys.exit((sys.argv.pop(1) == "all" and limit()) or main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("files", "says"), [("all", "The speech could not be kept"), ("video", "disk is full")])
def test_files_too_large_for_the_disk_are_one_sentence(words: list[str], tmp_path: Path, files: str, says: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, files, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (cli.MISTAKE, False)
    assert says in done.stderr.splitlines()[-1] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--emotion", "joyful"], ", ".join(EMOTIONS)),
        (["--intensity", "1.5"], "from 0 to 1"),
        (["--pose", "no_such_film.mp4"], "neither generated nor still"),
        (["--steps", "0"], "steps"),
        (["--pose-amplitude", "1,2"], "six for pitch"),
        (["--pose-amplitude", "wide"], "not a number"),
        (["--cfg-audio", "loud"], "write a number, or a timeline like 0:1.5,2.5:3"),
        (["--steps", "many"], "a whole number from 1 to 1000"),
        (["--sampler", "euler"], "choose from"),
        (["--batch", "0"], "batch"),
        (["--crop", "1,2,three,4"], "left,top,right,bottom"),
        (["--crop", "10,10,5,5"], "inside the 96 x 96 picture"),
        (["--crop", "middle"], "auto, whole"),
        (["--plot", "curves.jpg"], "must end in .png"),
        (["--device", "abacus"], "cannot be used here"),
        (["--face-weights", "none.safetensors"], "no model file"),
        (["--colour", "blue"], "Unrecognized arguments: --colour blue"),
    ],
)
def test_bad_flags_get_one_sentence_and_leave_nothing(
    words: list[str], extra: list[str], says: str, tmp_path: Path, capsys
) -> None:
    assert says in refused([*words, *extra], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", ["portrait", "speech"])
@pytest.mark.parametrize("content", [None, b"", b"this is neither a picture nor a sound" * 20])
def test_bad_files_get_one_sentence_and_leave_nothing(
    words: list[str], role: str, content: bytes | None, tmp_path: Path, capsys
) -> None:
    bad = tmp_path / "bad.bin"
    if content is not None:
        bad.write_bytes(content)
    words[1 if role == "portrait" else 2] = str(bad)
    assert str(bad) in refused(words, capsys)
    assert [file.name for file in tmp_path.iterdir()] == ([] if content is None else ["bad.bin"])


def test_kinds_of_weights_are_not_confused(words: list[str], tiny_face: Path, tmp_path: Path, capsys) -> None:
    assert "kind face" in refused([*words, "--motion-weights", str(tiny_face)], capsys)
    assert list(tmp_path.iterdir()) == []


def test_nothing_overwrites_an_input(words: list[str], portrait_picture: Path, tmp_path: Path, capsys) -> None:
    video = tmp_path / "out.mp4"
    assert cli.main(words) == 0
    capsys.readouterr()
    before = video.read_bytes()
    assert "overwrite the pose video" in refused([*words, "--pose", str(video)], capsys)
    assert "overwrite the portrait" in refused([*words, "--plot", str(portrait_picture)], capsys)
    assert video.read_bytes() == before


@pytest.mark.parametrize("flag", ["-o", "--plot"])
def test_a_folder_that_cannot_be_written(words: list[str], flag: str, portrait_picture: Path, capsys) -> None:
    name = "out.mp4" if flag == "-o" else "out.png"
    assert "does not exist" in refused([*words, flag, str(portrait_picture / name)], capsys)
    if Path("/proc/self").is_dir():
        assert "cannot be written" in refused([*words, flag, f"/proc/{name}"], capsys)


def test_output_must_have_a_place(words: list[str], tmp_path: Path, capsys) -> None:
    assert "does not exist" in refused([*words, "-o", str(tmp_path / "nowhere" / "out.mp4")], capsys)
    assert "must end in .mp4" in refused([*words, "-o", str(tmp_path / "out.avi")], capsys)


def test_output_never_overwrites_the_speech(words: list[str], tmp_path: Path, capsys) -> None:
    assert cli.main(words) == 0
    before = (tmp_path / "out.mp4").read_bytes()
    capsys.readouterr()
    words[2] = str(tmp_path / "out.mp4")
    assert "overwrite the speech" in refused(words, capsys)
    assert (tmp_path / "out.mp4").read_bytes() == before


def test_a_full_disk_is_said_in_one_sentence(words: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    full = OSError(28, "No space left on device", str(tmp_path / "curves.png"))
    monkeypatch.setattr(talk, "write_plot", Mock(side_effect=full))
    assert "No space left on device" in refused([*words, "--plot", str(tmp_path / "curves.png")], capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--help"], ["talk", "--help"], ["demo", "--help"], ["describe", "--help"]])
def test_help_is_there(words: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(words)
    assert done.value.code == 0 and "usage: playmate" in capsys.readouterr().out


def test_progress_names_every_slow_stage(
    portrait_picture: Path, speech_wave: Path, tiny_face: Path, tiny_motion: Path, tmp_path: Path
) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    request = TalkRequest(
        portrait_picture,
        speech_wave,
        tmp_path / "out.mp4",
        emotion="none",
        weights=Weights(tiny_face, tiny_motion),
        limits=None,
    )
    report = talk.talk(request, lambda name, done, total: told.setdefault(name, []).append((done, total)))
    assert report.frames == FRAMES and report.path.is_file()
    assert {"listen", "generate motion", "render and encode"} <= told.keys() <= {name for name, _ in report.stages}
    for steps in told.values():
        assert steps[-1][0] == steps[-1][1] and steps == sorted(steps)


def test_a_picture_that_is_no_face_says_what_to_do(
    portrait_picture: Path, speech_wave: Path, tiny_face: Path, tiny_motion: Path, tmp_path: Path
) -> None:
    request = TalkRequest(
        portrait_picture, speech_wave, tmp_path / "out.mp4", emotion="none", weights=Weights(tiny_face, tiny_motion)
    )
    strict = replace(request.limits, reconstruction=99.0) if request.limits else None
    with pytest.raises(UserError, match="give a picture of one face"):
        talk.talk(replace(request, limits=strict))
    assert list(tmp_path.iterdir()) == []
