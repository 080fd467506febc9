"""Layouts that name seconds of longer videos: AVSpeech, CelebV-Text, Acappella, HDTF (docs/method.md 2.1)."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from training.prepare.entry import Entry, emotion_name

from .files import Videos, csv_rows, one_file, text_lines
from .times import clock, minutes_seconds

#: A file cut out already is named after its start; so near it has to be.
_SAME_SECOND = 0.05
_HDTF = ("RD", "WDA", "WRA")


def avspeech(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """AVSpeech: a CSV without header, ``YouTube ID, start, end, X, Y``: seconds, and the face's centre from 0 to 1.

    A video is ID.mp4 as downloaded, or ID_START.mp4 where the segment was cut out. Who speaks is not told: a video
    stands for its speaker.
    """
    videos, entries = Videos(root), []
    tables = [labels] if labels else sorted(root.rglob("avspeech_*.csv"))
    if not tables:
        raise UserError(f"{root} has no avspeech_train.csv or avspeech_test.csv; please put one there.")
    for table in tables:
        for number, row in enumerate(csv.reader(text_lines(table)), 1):
            entries.append(_avspeech_row(videos, row, f"{table.name}:{number}", license_tag))
    return entries


def _avspeech_row(videos: Videos, row: list[str], where: str, license_tag: str) -> Entry:
    try:
        name, (start, end, x, y) = row[0].strip(), (float(value) for value in row[1:])
        if not (name and 0 <= start < end and 0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError
    except (ValueError, IndexError):
        return Entry(where, where, where, license_tag, problem="bad_annotation")
    path, whole = videos.by_stem.get(name, ""), False
    if not path:
        whole = True
        cut = [stem for stem in videos.starting(name + "_") if _starts_at(stem[len(name) + 1 :], start)]
        path = videos.by_stem[cut[0]] if cut else ""
    return Entry(
        name=f"avspeech/{name}/{start:g}/{x:g},{y:g}",
        video=path or f"{name}.mp4",
        speaker=f"avspeech/{name}",
        license_tag=license_tag,
        begin=0.0 if whole else start,
        end=0.0 if whole else end,
        near=(x, y),
        problem="" if path else "missing_file",
    )


def _starts_at(rest: str, start: float) -> bool:
    number = re.match(r"\d+(?:\.\d+)?", rest)
    return number is not None and abs(float(number[0]) - start) < _SAME_SECOND


def celebvtext(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """CelebV-Text: ``celebvtext_info.json``; raw videos under their YouTube id, or finished clips under their own.

    ``start_frame`` and ``end_frame``, where they stand instead of ``start_sec``, hold seconds as well. The box is in
    pixels of the best download there was (or, below 1, in shares of the picture). The emotion is taken from the texts
    ``emotion/CLIP.txt`` where these name a single one.
    """
    videos, path = Videos(root), labels or one_file(root, "celebvtext_info.json")
    try:
        clips = dict(json.loads(path.read_text())["clips"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UserError(f"{path} is not CelebV-Text's list of clips ({problem}); please download it again.") from None
    return [_celebv_clip(videos, name, told, license_tag) for name, told in sorted(clips.items())]


def _celebv_clip(videos: Videos, name: str, told: Any, license_tag: str) -> Entry:
    try:
        source, times, box = str(told["ytb_id"]), told["duration"], told["bbox"]
        begin = float(times["start_sec"] if "start_sec" in times else times["start_frame"])
        end = float(times["end_sec"] if "end_sec" in times else times["end_frame"])
        corners = tuple(float(box[side]) for side in ("left", "top", "right", "bottom"))
        if not (0 <= begin < end and corners[0] < corners[2] and corners[1] < corners[3]):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        return Entry(f"celebvtext/{name}", name, name, license_tag, problem="bad_annotation")
    finished, raw = videos.by_stem.get(name, ""), videos.by_stem.get(source, "")
    return Entry(
        name=f"celebvtext/{name}",
        video=finished or raw or f"{source}.mp4",
        speaker=f"celebvtext/{source}",
        license_tag=license_tag,
        begin=0.0 if finished else begin,
        end=0.0 if finished else end,
        box=None if finished else corners,  # type: ignore[arg-type]
        emotion=_celebv_emotion(videos.root, name),
        lang="",
        problem="" if finished or raw else "missing_file",
    )


def _celebv_emotion(root: Path, name: str) -> str:
    text = root / "emotion" / f"{name}.txt"
    if not text.is_file():
        return ""
    words = {emotion_name(word) for line in text_lines(text) for word in re.findall(r"[a-z]+", line.lower())}
    named = words & set(EMOTIONS)
    return named.pop() if len(named) == 1 else ""


def acappella(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """Acappella: a CSV whose Init and Fin are minutes.seconds, and whose crop regions hold one singer each."""
    videos = Videos(root)
    tables = [labels] if labels else sorted(root.rglob("*.csv"))
    if not tables:
        raise UserError(f"{root} has no CSV of Acappella's; please put its lists there.")
    entries = []
    for table in tables:
        for number, row in enumerate(csv_rows(table, "ID", "Init", "Fin"), 2):
            entries += _acappella_row(videos, row, f"{table.name}:{number}", license_tag)
    return entries


def _acappella_row(videos: Videos, row: dict[str, str], where: str, license_tag: str) -> list[Entry]:
    name, singer = row["ID"], row.get("Singer", "")
    try:
        begin, end = minutes_seconds(row["Init"]), minutes_seconds(row["Fin"])
        regions = _regions(row.get("Face Crop Region", ""))
        if not (name and begin < end):
            raise ValueError
    except (ValueError, TypeError):
        return [Entry(where, where, where, license_tag, problem="bad_annotation")]
    path = videos.by_stem.get(name, "")
    alone = singer and singer != "Multiple" and "," not in singer
    return [
        Entry(
            name=f"acappella/{name}/{begin:g}/{index}",
            video=path or f"{name}.mp4",
            speaker=f"acappella/{singer}" if alone else f"acappella/{name}/{index}",
            license_tag=license_tag,
            begin=begin,
            end=end,
            box=region,
            lang=row.get("Language", ""),
            problem="" if path else "missing_file",
        )
        for index, region in enumerate(regions)
    ]


def _regions(text: str) -> list[Any]:
    """``[[left, top, right, bottom], ...]``, or one of them without its outer brackets; [None] where none is told."""
    if not text.strip():
        return [None]
    told = json.loads(text)
    regions = [told] if told and not isinstance(told[0], list) else told
    found = [tuple(float(value) for value in region) for region in regions]
    if not found or any(len(region) != 4 or region[0] >= region[2] or region[1] >= region[3] for region in found):
        raise ValueError(text)
    return found


def hdtf(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """HDTF: ``WDA_annotion_time.txt`` (``Name.mp4 mm:ss-mm:ss ...``), with ``_crop_wh`` in pixels at ``_resolution``.

    Videos are ``WDA_Name.mp4`` or ``Name.mp4``, clips cut out already ``WDA_Name_000.mp4`` or ``Name_0.mp4``.
    """
    videos, entries = Videos(root), []
    for subset in _HDTF:
        if not any(root.rglob(f"{subset}_annotion_time.txt")):
            continue
        times, crops, heights = (
            _hdtf_table(root, f"{subset}_{name}.txt") for name in ("annotion_time", "crop_wh", "resolution")
        )
        for film, stretches in times.items():
            name = film.removesuffix(".mp4")
            height = heights.get(film, ["0"])[0]
            for index, stretch in enumerate(stretches):
                crop = crops.get(f"{name}_{index}.mp4", [])
                entries.append(_hdtf_clip(videos, subset, name, index, stretch, crop, height, license_tag))
    if not entries:
        raise UserError(f"{root} has no RD_, WDA_ or WRA_annotion_time.txt; please put HDTF's lists there.")
    return entries


def _hdtf_table(root: Path, name: str) -> dict[str, list[str]]:
    paths = sorted(root.rglob(name))
    lines = text_lines(paths[0]) if paths else []
    return {fields[0]: fields[1:] for fields in map(str.split, lines)}


def _hdtf_clip(
    videos: Videos, subset: str, name: str, index: int, stretch: str, crop: list[str], height: str, license_tag: str
) -> Entry:
    person = name if subset == "RD" else name.rstrip("0123456789")  # BenCardin0 and BenCardin1 are one person
    told = Entry(f"hdtf/{subset}/{name}/{index}", f"{name}.mp4", f"hdtf/{subset}/{person}", license_tag, lang="en")
    try:
        begin, end = map(clock, stretch.split("-"))
        box, box_height = None, 0
        if crop:
            x, w, y, h = map(float, crop)
            box, box_height = (x, y, x + w, y + h), int(height)
        if begin >= end:
            raise ValueError
    except ValueError:
        return replace(told, problem="bad_annotation")
    if whole := next((videos.by_stem[stem] for stem in (f"{subset}_{name}", name) if stem in videos.by_stem), ""):
        return replace(told, video=whole, begin=begin, end=end, box=box, box_height=box_height)
    cut = next((stem for stem in (f"{subset}_{name}_{index:03d}", f"{name}_{index}") if stem in videos.by_stem), "")
    return replace(told, video=videos.by_stem[cut]) if cut else replace(told, problem="missing_file")
