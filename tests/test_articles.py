"""No sentence says "a emotion model": every string of the program is searched for a wrong article."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from playmate_core.errors import with_article

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path for part in ("playmate_core", "nodes", "training", ".ci") for path in (ROOT / part).rglob("*.py"))
#: "a" before the sound of a vowel, "an" before a consonant. Letters that stand for themselves (A, B) are none.
WRONG = re.compile(
    r"(?<![\w'.-])a (?=[aei]\w|o(?!ne|nce)\w|u(?!int|ni|se|su|ti|r[ai]l)\w|8|11\b|18\b|hour|honest)"
    r"|(?<![\w'.-])an (?=[bcdfgjkpqtvwyz]\w|h(?!our|onest)\w|one\b|us(?:e|u)|uni)"
)


def said(tree: ast.AST) -> Iterator[str]:
    """Every string; a value that an f-string puts in is shown as <>."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "<>" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def wrong(text: str) -> list[str]:
    """What is wrong in ``text``, in its surroundings. Which article a value needs is not known beforehand."""
    found = [text[max(0, hit.start() - 15) : hit.end() + 20] for hit in WRONG.finditer(text)]
    return found + [text[max(0, hit.start() - 15) : hit.end()] for hit in re.finditer(r"(?<![\w'-])an? <>", text)]


@pytest.mark.parametrize(
    "text", ["a emotion model", "give a audio file", "an face", "is a {kind}", "a 8 s film", "an one"]
)
def test_the_search_finds_what_is_wrong(text: str) -> None:
    assert wrong(text.replace("{kind}", "<>"))


@pytest.mark.parametrize(
    "text", ["an emotion", "a one-frame", "a user", "a unit", "a once", "an hour", "a face", "A and B"]
)
def test_the_search_leaves_what_is_right(text: str) -> None:
    assert not wrong(text)


def test_every_article_fits_its_word() -> None:
    assert len(FILES) > 200
    found = {}
    for path in FILES:
        for text in said(ast.parse(path.read_text(encoding="utf-8"))):
            if faults := wrong(text):
                found.setdefault(str(path.relative_to(ROOT)), []).extend(faults)
    assert not found, found


def test_a_word_gets_its_article() -> None:
    nouns = ("portrait", "audio track", "model or media", "image", "OrderedDict", "int")
    expected = ["a portrait", "an audio track", "a model or media", "an image", "an OrderedDict", "an int"]
    assert [with_article(noun) for noun in nouns] == expected
