"""A grammar of our own: sentences with many lips meeting and varied vowels. No text of anybody else."""

from __future__ import annotations

import hashlib

from numpy.random import Generator

#: A bracketed name is expanded by one of its rules; a bar separates rules.
GRAMMAR: dict[str, str] = {
    "sentence": (
        "<who> <did> <what> <where>|<who> <did> <what>, and <who> <did> <what>|<when>, <who> <did> <what> <where>|"
        "<ask> <do> <what> <where>|<who> never <did> <what>, but <who> <did> <what>|please <do> <what> <when>|"
        "my <kin> said, <do> <what> <where>|what a <kind> <thing>, <who> <did> it <where>|"
        "if <who> <did> <what>, <who> would be happy|<who> and <who> <did> <what> <when>"
    ),
    "who": "Emma|Bob|Molly|Peter|Amy|Pam|Tom|my <kin>|the <kind> <person>|people|everybody|I|we|you|they|somebody",
    "kin": "mother|baby|brother|uncle|family|papa",
    "person": "painter|baker|farmer|pilot|woman|boy|girl|teacher",
    "did": "moved|bought|made|painted|opened|remembered|picked up|dropped|saw|found|brought back|liked|"
    "showed me|heard about",
    "do": "move|buy|make|paint|open|remember|pick up|bring|find|show me|carry|keep",
    "what": "a <kind> <thing>|the <kind> <thing>|my <thing>|some <many>|both <many>|every <thing>|five <many>",
    "kind": "big|small|purple|blue|green|warm|simple|beautiful|golden|heavy|brown|famous|yellow|tiny|perfect|rough",
    "thing": "apple|boat|map|umbrella|piano|book|lamp|pie|bubble|camera|paper|table|robot|balloon|moon|jam|window|"
    "phone|box",
    "many": "apples|boats|maps|books|lamps|balloons|plums|potatoes|pumpkins|cameras|pebbles|flowers|problems|games",
    "where": "by the beach|in the room|above the bed|on top of the box|from the farm|at home|in my pocket|"
    "over the bridge|near the open window|beside the moon|before lunch|with me",
    "when": "today|tomorrow|every morning|before supper|at half past five|in summer|maybe on Monday|all the time",
    "ask": "would you|could you|may I|shall we|can they|why do people|when do we",
}
HELD_OUT = {0: "val", 1: "test"}  # of every 12 sentences, by hash


def split_of(sentence: str) -> str:
    """Which split a sentence belongs to: decided by its own letters, so no sentence is ever in two."""
    digest = hashlib.sha256(sentence.encode()).digest()
    return HELD_OUT.get(digest[0] % 12, "train")


def _expand(symbol: str, rng: Generator) -> str:
    rules = GRAMMAR[symbol].split("|")
    words = rules[int(rng.integers(len(rules)))]
    while "<" in words:
        before, rest = words.split("<", 1)
        name, after = rest.split(">", 1)
        words = before + _expand(name, rng) + after
    return words


def make_sentence(rng: Generator, split: str) -> str:
    """A sentence of ``split``, drawn from ``rng``."""
    while True:
        words = _expand("sentence", rng)
        sentence = words[0].upper() + words[1:] + ("?" if words.split()[0] in _QUESTIONS else ".")
        if split_of(sentence) == split:
            return sentence


def vocabulary() -> frozenset[str]:
    """Every word the grammar can say, in lower case: the formant voice has a pronunciation for each."""
    text = " ".join(GRAMMAR.values()).replace("|", " ").replace(",", " ")
    return frozenset(word.lower() for word in text.split() if not word.startswith("<"))


_QUESTIONS = frozenset(rule.split()[0] for rule in GRAMMAR["ask"].split("|"))
