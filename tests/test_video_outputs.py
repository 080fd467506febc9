"""What a video cannot be written to or as is said before the first frame is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from playmate_core.cli.main import parser
from playmate_core.cli.output import encoding, paste
from playmate_core.detection.paste_options import PasteOptions
from playmate_core.errors import UserError
from playmate_core.media import video_formats
from playmate_core.media.video_formats import CODECS, VIDEO_FORMATS, VideoFormat, check_video_output, format_of
from playmate_core.media.video_options import VideoOptions


@pytest.mark.parametrize("row", VIDEO_FORMATS, ids=lambda row: row.name)
def test_an_encoder_that_is_missing_is_a_sentence(
    tmp_path: Path, row: VideoFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the codecs that are there."""
    monkeypatch.setattr(video_formats, "has_encoder", lambda name: name != row.encoder)
    others = [name for name in CODECS if name != row.name]
    with pytest.raises(UserError, match=f"no encoder {row.encoder}; please choose one of {', '.join(others)}"):
        VideoOptions(codec=row.name).check(tmp_path / f"out{row.suffixes[0]}")
    assert not list(tmp_path.iterdir())


def test_this_pyav_has_every_encoder() -> None:
    assert all(video_formats.has_encoder(name) for row in VIDEO_FORMATS for name in (row.encoder, row.sound) if name)
    assert not video_formats.has_encoder("no_such_encoder")


@pytest.mark.parametrize(
    ("name", "codec", "words"),
    [
        ("out.avi", None, "must end in .mp4, .mov, .webm, .gif, or in / for a folder"),
        ("out.webm", "h264", "cannot hold h264; please let its name end in .mp4 or .mov"),
        ("out.mp4", "prores", "let its name end in .mov"),
        ("out.mp4", "h265", "no codec 'h265'.*choose from h264, hevc"),
    ],
)
def test_a_codec_fits_its_container(tmp_path: Path, name: str, codec: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_video_output(tmp_path / name, codec)


def test_suffixes_have_a_usual_codec() -> None:
    names = {"a.mp4": "h264", "a.MOV": "prores", "a.webm": "vp9", "a.gif": "gif"}
    assert {name: format_of(name).name for name in names} == names
    assert format_of("a.mov", "hevc").name == "hevc" and format_of("frames.v2", "png").name == "png"


def test_a_name_without_a_suffix_is_a_slip_unless_it_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must end in .mp4"):
        format_of(tmp_path / "out")
    (tmp_path / "out").mkdir()
    assert format_of(tmp_path / "out").name == "png"


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    check_video_output(folder, "png")
    folder.mkdir()
    check_video_output(folder)
    (folder / "mine.txt").write_text("")
    with pytest.raises(UserError, match="holds mine.txt already"):
        check_video_output(folder)
    with pytest.raises(UserError, match="is a file"):
        check_video_output(folder / "mine.txt", "png")


def test_a_gif_is_not_faster_than_players_show_it(tmp_path: Path) -> None:
    VideoOptions().check(tmp_path / "a.gif", 50.0)
    with pytest.raises(UserError, match="gif holds at most 50 frames a second, got 60"):
        VideoOptions().check(tmp_path / "a.gif", 60.0)


@pytest.mark.parametrize("row", VIDEO_FORMATS, ids=lambda row: row.name)
def test_alpha_that_must_be_kept_is_refused_where_there_is_none(tmp_path: Path, row: VideoFormat) -> None:
    options = VideoOptions(codec=row.name, alpha="keep")
    path = tmp_path / f"out{row.suffixes[0]}"
    if not row.alpha:
        with pytest.raises(UserError, match="holds no transparency; please choose one of prores, vp9, png"):
            options.check(path)
        return
    found = options.check(path)
    assert options.keeps_alpha(found, True)
    with pytest.raises(UserError, match="no transparent pixels"):
        options.keeps_alpha(found, False)


@pytest.mark.parametrize("command", ["talk", "demo", "animate", "render"])
def test_the_flags_make_the_options(tmp_path: Path, command: str) -> None:
    """A name that ends in a slash is a folder; all else is as it is given."""
    files = {"talk": ["a.png", "a.wav"], "demo": [], "animate": ["a.png", "b.mp4"], "render": ["a.png", "b.pkl"]}
    words = [command, *files[command], "-o", f"{tmp_path}/frames.v2/"]
    plain = parser().parse_args(words)
    assert encoding(plain) == VideoOptions(codec="png") and paste(plain) == PasteOptions()
    more = ["--codec", "prores", "--crf", "3", "--ping-pong", "--alpha", "keep", "--background", "#0f0"]
    chosen = parser().parse_args([*words[:-1], "o.mov", *more, "--paste-feather", "2", "--paste-shape", "ditto"])
    assert encoding(chosen) == VideoOptions(3, codec="prores", ping_pong=True, alpha="keep")
    assert paste(chosen) == PasteOptions("ditto", 2.0) and chosen.output == Path("o.mov")
    assert chosen.background == "#0f0"
