"""Layouts whose folders or one text file say what a whole video is: plain, MEAD, MAFW (docs/method.md 2.1)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from playmate_core.errors import UserError
from playmate_core.values import EMOTIONS
from training.prepare.entry import MAFW_EMOTIONS, Entry, emotion_name

from .files import SOUNDS, VIDEOS, Videos, csv_rows, one_file, text_lines

MEAD_VIEWS = ("front", "down", "top", "left_30", "left_60", "right_30", "right_60")
_MEAD = re.compile(r"(?:(?P<actor>[MW]\d{3})/)?video/(?P<view>\w+)/(?P<emotion>\w+)/level_(?P<level>\d)/(?P<take>\w+)")


def plain(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """Every video below ``root``; emotion, level and speaker from a CSV whose column ``path`` names the files.

    Without a speaker the videos of one sub-folder count as one person's, those beside each other as several. Further
    columns: ``begin`` and ``end`` in seconds, ``lang``, ``license``. Rows of one file are stretches of it.
    """
    videos = Videos(root)
    rows = _labels(labels) if labels else {}
    unknown = sorted(set(rows) - set(videos.paths))
    entries = [Entry(name, name, "", license_tag, problem="missing_file") for name in unknown]
    for path in videos.paths:
        speaker = path.split("/")[0] if "/" in path else Path(path).stem
        told = rows.get(path) or [Entry(path, path, "", "")]
        entries += [_filled_in(entry, speaker, license_tag) for entry in told]
    return entries


def _filled_in(entry: Entry, speaker: str, license_tag: str) -> Entry:
    return replace(entry, speaker=entry.speaker or speaker, license_tag=entry.license_tag or license_tag)


def _labels(path: Path) -> dict[str, list[Entry]]:
    """The lines of a CSV by file. Raises UserError, naming the line, for an invalid value."""
    found: dict[str, list[Entry]] = {}
    for number, row in enumerate(csv_rows(path, "path"), 2):
        name = row["path"].replace("\\", "/").removeprefix("./")
        emotion = emotion_name(row.get("emotion", ""))
        if emotion and emotion not in EMOTIONS:
            raise UserError(
                f"{path}, line {number}: the emotion is {row['emotion']!r}, expected one of {', '.join(EMOTIONS)}."
            )
        level, begin, end = (_number(path, number, row, column) for column in ("level", "begin", "end"))
        if not 0 <= level <= 3:
            raise UserError(f"{path}, line {number}: the level is {level:g}, expected 1, 2 or 3, or nothing.")
        if end and end <= begin:
            raise UserError(f"{path}, line {number}: the stretch ends at {end:g} s and begins at {begin:g} s.")
        before = found.setdefault(name, [])
        told = Entry(
            name=f"{name}#{len(before)}" if before else name,
            video=name,
            speaker=row.get("speaker", ""),
            license_tag=row.get("license", ""),
            begin=begin,
            end=end,
            emotion=emotion,
            level=level,
            lang=row.get("lang", ""),
        )
        before.append(told)
    return found


def _number(path: Path, line: int, row: dict[str, str], column: str) -> float:
    try:
        return float(row.get(column) or 0.0)
    except ValueError:
        raise UserError(f"{path}, line {line}: {column} is {row[column]!r}, expected a number.") from None


def mead(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """MEAD: ``M003/video/front/angry/level_1/001.mp4``, sound beside it in ``M003/audio/angry/level_1/001.m4a``.

    The sentences are numbered for each emotion anew and spoken by everybody: people are what may be held out.
    """
    videos, entries = Videos(root), []
    for path in videos.paths:
        found = _MEAD.search(path)
        if found is None:
            continue
        actor, emotion = found["actor"] or root.name, emotion_name(found["emotion"])
        known = emotion in EMOTIONS and found["view"] in MEAD_VIEWS and found["level"] in "123"
        entries.append(
            Entry(
                name=path,
                video=path,
                audio=_mead_sound(root, path, found),
                speaker=f"mead/{actor}",
                license_tag=license_tag,
                emotion=emotion if known else "",
                level=float(found["level"]) if known and emotion != "neutral" else 0.0,
                lang="en",
                problem="" if known else "bad_annotation",
            )
        )
    if not entries:
        raise UserError(
            f"{root} is not laid out as MEAD is; expected files like M003/video/front/angry/level_1/001.mp4 below it."
        )
    return entries


def _mead_sound(root: Path, path: str, found: re.Match[str]) -> str:
    folder = path[: found.start("view")].removesuffix("video/")
    stem = f"{folder}audio/{found['emotion']}/level_{found['level']}/{found['take']}"
    return next((stem + end for end in SOUNDS if (root / (stem + end)).is_file()), "")


def mafw(root: Path, license_tag: str, labels: Path | None) -> list[Entry]:
    """MAFW: ``single_label.txt`` (``03352.mp4 TAB happiness TAB ...``), ``multi_label.txt`` (``sadness_surprise``).

    A clip of several emotions has the distribution in which each weighs alike, and no name of its own.
    """
    videos = Videos(root)
    labels_of: dict[str, tuple[str, ...]] = {}
    for name in ("multi_label.txt", "single_label.txt"):
        if name == "multi_label.txt" and not any(root.rglob(name)):
            continue
        for line in text_lines(one_file(root, name)):
            fields = line.replace("\t", " ").split()
            if len(fields) >= 2 and Path(fields[0]).suffix.lower() in VIDEOS:
                labels_of[Path(fields[0]).stem] = tuple(fields[1].lower().split("_"))
    entries = []
    for stem, words in sorted(labels_of.items()):
        path = videos.by_stem.get(stem, "")
        known = all(word in MAFW_EMOTIONS for word in words)
        entries.append(
            Entry(
                name=f"mafw/{stem}",
                video=path or f"{stem}.mp4",
                speaker=f"mafw/{stem}",
                license_tag=license_tag,
                emotion=emotion_name(words[0]) if known and len(words) == 1 else "",
                emotion_dist=_alike(words) if known else (),
                problem="missing_file" if not path else "" if known else "bad_annotation",
            )
        )
    return entries


def _alike(words: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(words.count(name) / len(words) for name in MAFW_EMOTIONS)
