"""About thirty small videos in the six layouts and a plain folder, each with what `prepare` has to make of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prepare_videos import HEIGHT, WIDTH, VideoSpec, beside, drawn, marked, voice_of, write_sound, write_video


@dataclass(frozen=True)
class Wanted:
    """What has to come of one clip: the ``reason`` it is rejected for, or whose motion (``seed``, from frame ``first``,
    of a video of about ``seconds``) is in it, and a ``flag``."""

    reason: str = ""
    seed: int = -1
    first: float = 0.0
    seconds: float = 3.4
    flag: str = ""


#: By layout, then by what an entry is called; several clips of one entry in their order.
Answers = dict[str, list[Wanted]]


def unmarked(frames: Sequence[NDArray[np.uint8]], first: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """The video with its face out of sight for a while."""
    for index, picture in enumerate(frames):
        yield marked(picture) if first <= index < first + count else picture


def plain(root: Path) -> Answers:
    write_video(root / "steady.mp4", drawn(0), voice_of(0))
    write_video(root / "again.mp4", drawn(0), voice_of(0))
    write_video(root / "tv.mp4", drawn(1, 30.0), voice_of(1), VideoSpec(Fraction(30)))
    write_video(root / "cinema.mp4", drawn(2, 24000 / 1001), voice_of(2), VideoSpec(Fraction(24000, 1001)))
    uneven = [index for index in range(len(drawn(3))) if index % 5 != 3]
    write_video(
        root / "uneven.mp4", [drawn(3)[i] for i in uneven], voice_of(3), VideoSpec(times=tuple(i / 25 for i in uneven))
    )
    write_video(root / "cut.mp4", [*drawn(4), *drawn(0)], np.concatenate([voice_of(4), voice_of(0)]))
    write_video(root / "two.mp4", beside(drawn(0), drawn(1)), voice_of(0))
    write_video(root / "mute.mp4", drawn(0), None)
    write_video(root / "late.mp4", drawn(4), voice_of(4), VideoSpec(delay=5 / 25))
    write_video(root / "silent.mp4", drawn(1), np.zeros_like(voice_of(1)))
    write_video(root / "frozen.mp4", [drawn(2)[10]] * len(drawn(2)), voice_of(2))
    write_video(root / "lost8.mp4", list(unmarked(drawn(1), 30, 8)), voice_of(1))
    write_video(root / "lost3.mp4", list(unmarked(drawn(3), 30, 3)), voice_of(3))
    write_video(root / "phone.mp4", drawn(2), voice_of(2), VideoSpec(turned=True))
    write_video(root / "short.mp4", drawn(0)[:50], voice_of(0)[:32000])
    whole = (root / "steady.mp4").read_bytes()
    (root / "broken.mp4").write_bytes(whole[: len(whole) // 2])
    (root / "empty.mp4").write_bytes(b"")
    (root.parent / "labels.csv").write_text(
        "path,emotion,level,speaker\nsteady.mp4,happy,2,ann\nagain.mp4,happy,2,ann\ngone.mp4,,,\n"
    )
    cut_at = len(drawn(4))
    return {
        "tv.mp4": [Wanted(seed=1, flag="resampled")],
        "cinema.mp4": [Wanted(seed=2, flag="resampled")],
        "uneven.mp4": [Wanted(seed=3)],
        "cut.mp4": [Wanted(seed=4), Wanted(seed=0, first=-cut_at)],
        "two.mp4": [Wanted("several_faces")],
        "mute.mp4": [Wanted("no_sound")],
        "late.mp4": [Wanted(seed=4, flag="resynced")],
        "silent.mp4": [Wanted("silent")],
        "frozen.mp4": [Wanted("frozen")],
        "lost8.mp4": [Wanted("face_lost")],
        "lost3.mp4": [Wanted(seed=3, flag="gap_filled")],
        "phone.mp4": [Wanted(seed=2)],
        "short.mp4": [Wanted("short")],
        "broken.mp4": [Wanted("unreadable")],
        "empty.mp4": [Wanted("unreadable")],
        "gone.mp4": [Wanted("missing_file")],
    }


def avspeech(root: Path) -> Answers:
    seconds = len(drawn(3)) / 25
    write_video(root / "twofaces001.mp4", beside(drawn(2), drawn(3)), voice_of(3))
    write_video(root / "cutoutfilm1_12.340000.mp4", drawn(1), voice_of(1))
    (root / "avspeech_train.csv").write_text(
        f"twofaces001,0.0,{seconds},0.75,0.5\n"
        f"twofaces001,0.0,{seconds},0.25,0.5\n"
        "cutoutfilm1,12.34,16.0,0.5,0.5\n"
        "gonefilm001,0.0,5.0,0.5,0.5\n"
        "twofaces001,here,5.0,0.5,0.5\n"
    )
    return {
        "avspeech/twofaces001/0/0.75,0.5": [Wanted(seed=3)],
        "avspeech/twofaces001/0/0.25,0.5": [Wanted("no_sync")],  # the face of whoever listens
        "avspeech/cutoutfilm1/12.34/0.5,0.5": [Wanted(seed=1)],
        "avspeech/gonefilm001/0/0.5,0.5": [Wanted("missing_file")],
        "avspeech_train.csv:5": [Wanted("bad_annotation")],
    }


def celebvtext(root: Path) -> Answers:
    write_video(root / "raw" / "celebritiesA.mp4", beside(drawn(1), drawn(4)), voice_of(4))
    write_video(root / "celebritiesB_7.mp4", drawn(0), voice_of(0))
    box = {"top": 0, "bottom": 1070, "left": 1300, "right": 2500}  # pixels of a download of 1080 lines or more
    clips = {
        "celebritiesA_0": {
            "ytb_id": "celebritiesA",
            "duration": {"start_frame": 0.4, "end_frame": 3.68},
            "bbox": box,
        },
        "celebritiesB_7": {"ytb_id": "celebritiesB", "duration": {"start_sec": 90.0, "end_sec": 95.0}, "bbox": box},
    }
    (root / "celebvtext_info.json").write_text(json.dumps({"clips": clips}))
    return {
        "celebvtext/celebritiesA_0": [Wanted(seed=4, first=10)],
        "celebvtext/celebritiesB_7": [Wanted(seed=0)],
    }


def acappella(root: Path) -> Answers:
    write_video(root / "singerfilm1.mp4", drawn(5, seconds=5.2), voice_of(5, seconds=5.2))
    (root / "train.csv").write_text(
        "ID,Repeat,Init,Fin,Length (s),Face_IDs,Face Crop Region,Song Name,Link,Comments,Singer,Language,Gender\n"
        "singerfilm1,0,0.01,0.05,4,,,Song,x,,Ann,English,Female\n"
    )
    return {"acappella/singerfilm1/1/0": [Wanted(seed=5, first=25, seconds=5.2)]}


def mead(root: Path) -> Answers:
    write_video(root / "M003/video/front/happy/level_2/001.mp4", drawn(1, 30.0), None, VideoSpec(Fraction(30)))
    write_sound(root / "M003/audio/happy/level_2/001.m4a", voice_of(1))
    write_video(root / "W009/video/front/neutral/level_1/001.mp4", drawn(3), voice_of(3))
    write_video(root / "W009/video/front/sad/level_1/001.mp4", drawn(2), None)
    return {
        "M003/video/front/happy/level_2/001.mp4": [Wanted(seed=1, flag="resampled")],
        "W009/video/front/neutral/level_1/001.mp4": [Wanted(seed=3)],
        "W009/video/front/sad/level_1/001.mp4": [Wanted("no_sound")],
    }


def mafw(root: Path) -> Answers:
    write_video(root / "clips/00001.mp4", drawn(0), voice_of(0))
    noise = np.random.default_rng(0).normal(0, 2000, len(voice_of(4))).astype(np.int16)
    write_video(root / "clips/00002.mp4", drawn(4), noise)
    (root / "single_label.txt").write_text("00001.mp4\thappiness\tx\ty\n00002.mp4\tanxiety\tx\ty\n")
    return {"mafw/00001": [Wanted(seed=0)], "mafw/00002": [Wanted("little_speech")]}


def hdtf(root: Path) -> Answers:
    write_video(root / "WDA_JaneDoe0.mp4", drawn(5, seconds=5.2), voice_of(5, seconds=5.2))
    write_video(root / "RD_Radio1_000.mp4", drawn(2), voice_of(2))
    (root / "WDA_annotion_time.txt").write_text("JaneDoe0.mp4 00:01-00:05\n")
    double = f"JaneDoe0_0.mp4 {2 * (WIDTH - HEIGHT) // 2} {2 * HEIGHT} 0 {2 * HEIGHT}\n"
    (root / "WDA_crop_wh.txt").write_text(double)
    (root / "WDA_resolution.txt").write_text(f"JaneDoe0.mp4 {2 * HEIGHT}\n")
    (root / "RD_annotion_time.txt").write_text("Radio1.mp4 00:20-01:35\n")
    return {
        "hdtf/WDA/JaneDoe0/0": [Wanted(seed=5, first=25, seconds=5.2)],
        "hdtf/RD/Radio1/0": [Wanted(seed=2)],
    }


CORPORA = {
    "plain": plain,
    "avspeech": avspeech,
    "celebvtext": celebvtext,
    "acappella": acappella,
    "mead": mead,
    "mafw": mafw,
    "hdtf": hdtf,
}
