"""Every flag of every command, made from the parsers themselves: what it says of itself, and what it refuses.

A new flag is covered the day it is added: it needs a type that refuses what it does not take, and a help.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from playmate_core.cli import arguments
from playmate_core.cli.main import MISTAKE, main, parser
from playmate_core.ranges import Range
from playmate_core.weights.folders import bundled

#: Text that no number is, whatever its range.
NO_NUMBERS = ("nan", "-nan", "inf", "-inf", "1e999", "1e308", "-1e308", "", " ", "many", "0x10", "1,2,", "9" * 5000)
HOSTILE = ("", " ", "\0", "x\0y", "nosuch", "x" * 300, "x" * 100_000, "../nosuch", "nan", "-1")


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that does something, by its words."""

    def below(words: str, one: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
        nested = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
        for action in nested:
            for name, child in action.choices.items():
                yield from below(f"{words} {name}".strip(), child)
        if not nested:
            yield words, one

    return below("", parser())


ACTIONS = [
    (command, action)
    for command, one in commands()
    for action in one._actions
    if not isinstance(action, argparse._HelpAction)
]
VALUED = [(command, action) for command, action in ACTIONS if action.nargs != 0 and action.option_strings]
NUMBERS = [(command, action) for command, action in VALUED if isinstance(action.type, arguments.Number)]
OTHERS = [(command, action) for command, action in VALUED if not isinstance(action.type, arguments.Number)]


def name_of(case: object) -> str | None:
    if isinstance(case, argparse.Action):
        return (case.option_strings or [case.dest])[-1]
    return case.replace(" ", "_") if isinstance(case, str) and len(case) < 40 else None


def required(command: str, portrait: Path, speech: Path) -> list[str]:
    """The words that a command needs, all of which are good."""
    return {
        "talk": [str(portrait), str(speech), "-o", "o.mp4"],
        "demo": ["-o", "o.mp4"],
        "dialogue": [str(portrait), str(portrait), "--speech", str(speech), "-o", "o.mp4"],
        "animate": [str(portrait), str(portrait), "-o", "o.mp4"],
        "render": [str(portrait), "m.safetensors", "-o", "o.mp4"],
        "motion": [str(portrait), "-o", "o.safetensors"],
        "describe": ["m.safetensors"],
        "weights list": [],
        "weights fetch": ["liveportrait"],
        "weights check": [],
        "weights convert": ["joyvasa", "-o", "out.safetensors"],
    }[command]


@pytest.fixture(scope="module", autouse=True)
def packages_are_imported() -> None:
    """What a command imports the first time is no part of how fast a mistake is found."""
    portrait, speech = str(bundled("portrait.png")), str(bundled("speech.wav"))
    assert main(["talk", portrait, speech, "-o", "o.mp4", "--motion-weights", "nosuch"]) == MISTAKE


def refused(words: list[str], capsys: pytest.CaptureFixture) -> str:
    """Run, expect one sentence and exit code 2 within two seconds of computing, and return the sentence."""
    began = time.process_time()
    assert main(words) == MISTAKE, words[-1][:60]
    assert time.process_time() - began < 2
    said = capsys.readouterr()
    assert said.err.startswith("playmate: ") and said.err.endswith(".\n") and said.err.count("\n") == 1, said.err
    assert len(said.err) < 700 and "Traceback" not in said.err and said.out == ""
    return said.err


@pytest.mark.parametrize(("command", "action"), ACTIONS, ids=name_of)
def test_every_flag_says_what_it_is(command: str, action: argparse.Action) -> None:
    assert action.help and len(action.help) > 10
    if isinstance(action.type, arguments.Number):
        assert str(action.type.range) in action.help
        assert action.default is None or f"({action.default})" in action.help


@pytest.mark.parametrize(("command", "action"), VALUED, ids=name_of)
def test_every_flag_judges_its_own_value(command: str, action: argparse.Action) -> None:
    """A bare int or float takes -1e308 and nan; text without a type takes anything."""
    assert action.type not in (None, int, float, str, Path), "give it a type of cli/arguments"
    assert not action.choices, "OneOf says what was meant"


@pytest.mark.parametrize("command", [words for words, _ in commands()])
def test_every_command_has_a_description_and_those_that_work_an_example(command: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    said = capsys.readouterr().out
    assert "\n\n" in said
    if command in ("talk", "demo", "dialogue", "animate", "motion", "render", "describe"):
        assert f"  playmate {command} " in said.partition("examples:")[2] or f"  playmate {command}\n" in said


def beyond(kind: Range) -> list[str]:
    """Numbers just outside a range, and a half where only whole ones are taken."""
    step = 1 if kind.whole else 1e-3 * max(1.0, abs(kind.most))
    return [repr(kind.least - step), repr(kind.most + step), *(["1.5"] if kind.whole else [])]


@pytest.mark.parametrize(("command", "action"), NUMBERS, ids=name_of)
def test_numbers_outside_the_range_are_refused_before_any_work(
    command: str,
    action: argparse.Action,
    portrait_picture: Path,
    speech_wave: Path,
    tmp_path: Path,
    monkeypatch,
    capsys,
) -> None:
    monkeypatch.chdir(tmp_path)
    flag, kind = action.option_strings[-1], action.type
    assert isinstance(kind, arguments.Number)
    values = (*NO_NUMBERS, *beyond(kind.range))
    if isinstance(kind, arguments.TimelineArgument):
        values += ("0:nan", "nan:1", "inf:1", "0:1,0:2", "2:1,1:1", "-1:1", "0:-1e308", "0:60:2", ":", "0:")
    if isinstance(kind, arguments.NumbersArgument):
        values += ("1,nan,1,1,1,1", "1,1,1,1,1,-1", "1,2", "1,1,1,1,1,1,1")
    for value in values:
        said = refused([*command.split(), *required(command, portrait_picture, speech_wave), flag, value], capsys)
        assert flag in said or flag[2:].replace("-", "_") in said, said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "action"), NUMBERS, ids=name_of)
def test_both_ends_of_a_range_are_taken(command: str, action: argparse.Action) -> None:
    kind = action.type
    assert isinstance(kind, arguments.Number)
    for end in (kind.range.least, kind.range.most):
        assert kind(repr(end)) == end
        unsaid = 0 if kind.range.whole else 0.0
        assert type(kind(repr(end))) is type(action.default if action.default is not None else unsaid)


@pytest.mark.parametrize(("command", "action"), OTHERS, ids=name_of)
def test_hostile_text_is_refused_in_one_sentence(
    command: str,
    action: argparse.Action,
    portrait_picture: Path,
    speech_wave: Path,
    tmp_path: Path,
    monkeypatch,
    capsys,
) -> None:
    """Or it names something that the machine may have, a file or a device, and is refused where that is looked for."""
    monkeypatch.chdir(tmp_path)
    for value in HOSTILE:
        words = [*command.split(), *required(command, portrait_picture, speech_wave)]
        if command == "weights fetch" and value.strip() and "\0" not in value:
            continue  # it makes the folder that --models names
        refused([*words, action.option_strings[-1], value], capsys)
    assert list(tmp_path.iterdir()) == []


ACCEPTED_SILENTLY = [
    (["--models", "nosuch"], "there is no folder nosuch"),
    (["--audio-weights", "nosuch"], "no folder nosuch"),
    (["--face", "nan,nan"], "x,y in pixels"),
    (["--crop", "0,0,1,1"], "please give pixels"),
    (["--crop", "nan,0,90,90"], "in pixels from 0"),
    (["--emotion", "2:happy,1:sad"], "let its seconds rise"),
    (["--emotion", "-1:happy"], "names -1 s"),
    (["--emotion", "0:happy,nan:sad"], "is no time"),
    (["--device", "meta"], "cannot be used here"),
    (["--pose-amplitude", "10000"], "from 0 to 100"),
    (["-o", ""], "nothing was given"),
    (["--plot", ""], "nothing was given"),
    (["--emotion", "hapy"], "did you mean 'happy'"),
    (["--emoton", "happy"], "did you mean '--emotion'"),
    (["--pose", "stil"], "did you mean 'still'"),
    (["--sampler", "ddmp"], "did you mean 'ddpm'"),
    (["--crop", "hole"], "did you mean 'whole'"),
]


@pytest.mark.parametrize(("words", "says"), ACCEPTED_SILENTLY, ids=lambda value: "_".join(value)[:30])
def test_what_was_accepted_in_silence_is_refused(
    words: list[str], says: str, portrait_picture: Path, speech_wave: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(["talk", *required("talk", portrait_picture, speech_wave), *words], capsys)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--missing", "2"], "from 0 to 1"),
        (["--longest-gap", "-1"], "from 0 to"),
        (["--driving-crop", "0,0,1,1"], "please give pixels"),
        (["--driving-face", "nan,nan"], "x,y in pixels"),
        (["--lips", "nan"], "from 0 to 10"),
        (["--expression", "inf"], "from 0 to 10"),
        (["--multiplier", "inf"], "from 0 to 10"),
        (["--fps", "0.5"], "from 1 to 240"),
        (["--mode", "relativ"], "did you mean 'relative'"),
    ],
    ids=lambda value: "_".join(value)[:30],
)
def test_what_animate_accepted_in_silence_is_refused(
    words: list[str], says: str, portrait_picture: Path, speech_wave: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refused(["animate", *required("animate", portrait_picture, speech_wave), *words], capsys)


@pytest.mark.parametrize(("words", "meant"), [(["tlak"], "talk"), (["weights", "lst"], "list")])
def test_a_command_is_guessed(words: list[str], meant: str, capsys) -> None:
    assert f"did you mean {meant!r}" in refused(words, capsys)
