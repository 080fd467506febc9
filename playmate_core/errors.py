"""The exception whose message is shown to users, and helpers that build such messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

#: Longer messages lose their middle: quoted user input may be arbitrarily long.
LONGEST_SENTENCE = 600


class UserError(ValueError):
    """One sentence: what we got, what we expected, what to do. Shown to users without a traceback."""

    def __init__(self, sentence: str) -> None:
        super().__init__(elided(sentence.replace("\n", "\\n").replace("\0", "\\0"), LONGEST_SENTENCE))


def elided(text: str, longest: int = 80) -> str:
    """``text`` with its middle left out where it has more than ``longest`` characters."""
    kept = (longest - 5) // 2
    return text if len(text) <= longest else f"{text[:kept]} ... {text[-kept:]}"


def with_article(noun: str) -> str:
    """``a portrait``, ``an emotion model``."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """ " (did you mean 'happy'?)" to append after an unknown ``word``; "" where nothing in ``known`` is similar."""
    names = {name.lower(): name for name in known}
    alike = get_close_matches(word.lower()[:40], names, n=1, cutoff=0.6)
    return f" (did you mean {names[alike[0]]!r}?)" if alike else ""
