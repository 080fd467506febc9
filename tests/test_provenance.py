"""What videos say of themselves: synthetic, by whom, by which recipe; switched off; read again."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
import torch

from playmate_core.cli import main as cli
from playmate_core.media.account import read_account
from playmate_core.media.audio_track import AnySound
from playmate_core.media.concat import join
from playmate_core.media.provenance import COMPOSITE, DRAWN, Mark, read_packet
from playmate_core.media.video_options import VideoOptions
from playmate_core.media.video_reader import read_frames
from playmate_core.media.video_writer import VideoWriter
from playmate_core.pipelines.animate import AnimateRequest
from playmate_core.pipelines.recipe import recipe_mark

IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def video(path: Path, options: VideoOptions, sound: AnySound = None) -> Path:
    with VideoWriter(path, 25.0, sound, options) as writer:
        writer.write(torch.full((5, 32, 32, 3), 0.5))
    return path


def test_a_video_says_that_it_is_synthetic(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", VideoOptions())
    with av.open(str(path)) as container:
        assert container.metadata["digital_source_type"] == DRAWN and "Playmate" in container.metadata["software"]
    described = ElementTree.fromstring(read_packet(path).split("?>", 1)[1].rsplit("<?xpacket", 1)[0])
    assert [one.text for one in described.iter(IPTC)] == [DRAWN]
    said = str(read_account(path))
    assert "trainedAlgorithmicMedia (IPTC, in XMP too)" in said and "Synthetic video" in said
    assert len(list(read_frames(path))) == 5


def test_no_mark_leaves_nothing(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4", VideoOptions(mark=None))
    data = path.read_bytes()
    assert not any(word in data for word in (b"Playmate", b"ynthetic", b"xmp", b"iptc", b"uuid"))
    assert "no mark of ours" in str(read_account(path))


def test_marks_do_not_change_pictures_and_survive_concatenation(tmp_path: Path) -> None:
    plain, marked = (video(tmp_path / f"{name}.mp4", VideoOptions(mark=m)) for name, m in (("a", None), ("b", Mark())))
    one, other = (np.stack([frame.picture for frame in read_frames(path)]) for path in (plain, marked))
    assert np.array_equal(one, other)
    options = VideoOptions(mark=Mark(COMPOSITE, '{"seed": 3}'), tags=(("prompt", '{"1": {}}'),))
    join([plain, plain], tmp_path / "c.mp4", 25.0, None, options)
    account = read_account(tmp_path / "c.mp4")
    assert (account.kind, account.recipe, account.prompt) == (COMPOSITE, '{"seed": 3}', '{"1": {}}')
    assert COMPOSITE in read_packet(tmp_path / "c.mp4") and len(list(read_frames(tmp_path / "c.mp4"))) == 10


def test_a_recipe_tells_the_job_and_no_folder() -> None:
    request = AnimateRequest(Path("/home/someone/me.png"), Path("/tmp/x/drive.mp4"), Path("/home/someone/out.mp4"))
    mark = recipe_mark("animate", request, DRAWN)
    assert mark is not None and "someone" not in mark.recipe
    told = json.loads(mark.recipe)
    assert told["request"]["portrait"] == "me.png" and told["request"]["how"]["mode"] == request.how.mode
    assert told["program"].startswith("Playmate ") and "torch" in told["versions"]


@pytest.mark.parametrize("words", [[], ["--no-mark"]])
def test_talk_and_describe(
    words: list[str],
    portrait_picture: Path,
    speech_wave: Path,
    tiny_face: Path,
    tiny_motion: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "out.mp4"
    weights = ["--face-weights", str(tiny_face), "--motion-weights", str(tiny_motion), "--emotion", "none"]
    job = ["talk", str(portrait_picture), str(speech_wave), "-o", str(path), *weights, "--steps", "2", "--seed", "41"]
    assert cli.main([*job, "--any-picture", *words]) == 0
    capsys.readouterr()
    assert cli.main(["describe", str(path)]) == 0
    said = capsys.readouterr().out
    assert "EmotionBy" not in said and ('"emotion_by": "both"' in said) == (not words)
    assert ('"seed": 41' in said) == ("trainedAlgorithmicMedia" in said) == (not words)
