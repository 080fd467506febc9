"""A voice for somebody's video: what of it moves, how long it is, and its frames in any order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from driven_videos import PLAIN, pictures, scene, video  # noqa: F401

from playmate_core.cli import main as cli
from playmate_core.errors import UserError
from playmate_core.face import FaceModel
from playmate_core.motion.driving import DrivingOptions, drive_clip
from playmate_core.motion.motion_file import load_motion_clip
from playmate_core.motion.takes import Take
from playmate_core.pipelines import takes
from playmate_core.pipelines.over_video import OverVideo, motion_over_video, over_video_job
from playmate_core.rendering.source_video import SourceVideo, read_source_video
from playmate_core.rendering.video_order import fitted_frames, pictures_in_order
from playmate_core.values import EYE_KEYPOINTS, LIP_KEYPOINTS, Motion, Portrait
from playmate_core.weights.files import load_face


def test_a_video_is_held_bounced_looped_or_cut() -> None:
    assert fitted_frames(3, 7, "hold") == [0, 1, 2, 2, 2, 2, 2]
    assert fitted_frames(3, 7, "bounce") == [0, 1, 2, 1, 0, 1, 2]
    assert fitted_frames(3, 7, "loop") == [0, 1, 2, 0, 1, 2, 0]
    assert fitted_frames(3, 7, "cut") == [0, 1, 2] and fitted_frames(9, 2, "cut") == [0, 1]
    assert fitted_frames(1, 3, "bounce") == fitted_frames(1, 3, "loop") == [0, 0, 0]
    assert fitted_frames(9, 2, "hold") == [0, 1], "a longer video is cut"
    with pytest.raises(UserError, match="hold, bounce, loop, cut"):
        fitted_frames(3, 7, "stretch")


@pytest.mark.parametrize("kept", [0, 96 * 96 * 3 * 4, 1 << 30])
def test_frames_come_in_any_order_however_few_are_kept(video: Path, kept: int) -> None:  # noqa: F811
    own = pictures(video)
    order = [0, 3, 9, 8, 7, 6, 5, 1, 1, 9]
    found = list(pictures_in_order(video, order, kept))
    assert all(np.array_equal(own[number], picture) for number, picture in zip(order, found, strict=True))
    assert len(list(pictures_in_order(video, [9, 10, 0]))) == 1, "there is no frame 10"


@pytest.fixture(scope="module")
def source(tiny_face: Path, video: Path) -> SourceVideo:  # noqa: F811
    return read_source_video(load_face(tiny_face), video, replace(PLAIN))


def speaking(source: SourceVideo, frames: int) -> Motion:
    """Another motion in the same keypoints, at 30 a second."""
    own = source.motion[torch.arange(frames) % len(source)]
    torch.manual_seed(1)
    return replace(own, expression=own.expression + 0.05 * torch.randn_like(own.expression)).with_pose(
        replace(own.pose, rotation=own.pose.rotation + 5.0)
    )


def test_dubbing_takes_the_lips_and_leaves_the_rest_in_every_bit(source: SourceVideo) -> None:
    voice = speaking(source, 15)
    shown, mixed = motion_over_video(source, voice, OverVideo("lips", "bounce"))
    assert shown.shown.tolist() == [*range(10), 8, 7, 6, 5, 4] and len(mixed) == 15
    lips = list(LIP_KEYPOINTS)
    others = [point for point in range(21) if point not in lips]
    assert torch.equal(mixed.expression[:, lips], voice.expression[:, lips])
    assert torch.equal(mixed.expression[:, others], shown.motion.expression[:, others])
    assert torch.equal(mixed.pose.rotation, shown.motion.pose.rotation)


def test_a_face_is_replaced_under_the_head_of_the_video_or_with_it(source: SourceVideo) -> None:
    voice = speaking(source, 8)
    shown, face = motion_over_video(source, voice, OverVideo("face", "cut"))
    assert torch.equal(face.expression, voice.expression)
    assert torch.equal(face.pose.rotation, shown.motion.pose.rotation)
    _, everything = motion_over_video(source, voice, OverVideo("all", "cut"))
    driven = drive_clip(source.motion[:8], voice, DrivingOptions())
    eyes = list(EYE_KEYPOINTS)
    assert torch.equal(everything.expression[:, eyes], driven.expression[:, eyes])
    with pytest.raises(UserError, match="lips, face, all"):
        OverVideo("mouth")


def test_a_loop_is_drawn_from_the_frames_it_shows(source: SourceVideo, tiny_face: Path) -> None:
    face = load_face(tiny_face)
    shown, own = motion_over_video(source, source.motion[torch.arange(14) % 10], OverVideo("lips", "loop"))
    drawn = torch.cat(list(over_video_job(face, shown, own, 4).pictures()))
    assert drawn.shape == (14, 96, 96, 3)
    assert torch.equal(drawn[:4], drawn[10:]), "the second round is the first again"


def test_talk_dubs_a_video_and_saves_its_motion(
    video: Path,  # noqa: F811
    speech_wave: Path,
    tiny_face: Path,
    tiny_motion: Path,
    tiny_emotion: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, motion = tmp_path / "out.mp4", tmp_path / "spoken.safetensors"
    words = ["talk", video, speech_wave, "-o", out, "--any-picture", "--steps", 2, "--crop", "whole"]
    words += ["--face-weights", tiny_face, "--motion-weights", tiny_motion, "--emotion-weights", tiny_emotion]
    assert cli.main([*map(str, words), "--save-motion", str(motion)]) == 0, capsys.readouterr().err
    spoken = load_motion_clip(motion).motion
    made = pictures(out)
    assert spoken.fps == 25.0 and len(made) == round(len(spoken) * 30 / 25), (
        "as long as the speech, at the video's rate"
    )
    assert made[0].shape == (96, 96, 3), "the whole picture of the video"
    assert dict(spoken.origin)["seed"] == "0"
    assert cli.main([*map(str, words), "--video-fit", "cut"]) == 0, capsys.readouterr().err
    assert len(pictures(out)) == 10
    assert cli.main([*map(str, words), "--save-motion", str(tmp_path / "spoken.mp4")]) == cli.MISTAKE
    assert "must end in .safetensors" in capsys.readouterr().err


def test_a_preview_over_a_video_shows_the_head_of_the_video(
    video: Path,  # noqa: F811
    source: SourceVideo,
    tiny_weights: list[str],
    speech_wave: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And not that of the sampled motion, of which only the lips are taken."""
    rows: list[Take] = []
    sheet = takes.contact_sheet

    def noted(face: FaceModel, portrait: Portrait, shown: list[Take], **more: Any) -> Any:
        rows.extend(shown)
        return sheet(face, portrait, shown, **more)

    monkeypatch.setattr(takes, "contact_sheet", noted)
    words = ["talk", video, speech_wave, "-o", tmp_path / "o.mp4", "--any-picture", "--steps", 2, "--crop", "whole"]
    words += [*tiny_weights, "--preview", tmp_path / "sheet.png"]
    for more in ([], ["--takes", 2]):
        rows.clear()
        assert cli.main([*map(str, words), *map(str, more)]) == 0, capsys.readouterr().err
        for row in rows:
            own = source.fitted(len(row.motion), "bounce").motion
            assert row.motion.fps == own.fps and torch.equal(row.motion.pose.rotation, own.pose.rotation)
            assert not torch.equal(row.motion.expression, own.expression)
    assert len(rows) == 2 and not torch.equal(rows[0].motion.expression, rows[1].motion.expression)
