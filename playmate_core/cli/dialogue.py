"""The command dialogue: parse arguments, call :mod:`dialogue`, print the result."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..motion.listening import Listening
from ..pipelines.dialogue import DialogueRequest, dialogue
from .animate import summary
from .arguments import emotion, number, path, which_face
from .output import output_flag
from .talk import add_talk_flags, request_from
from .terminal import Bars, command, say

EXAMPLES = (
    "playmate dialogue anna.png ben.png --speech call.wav -o out.mp4",
    "playmate dialogue couple.jpg --speech anna.wav ben.wav -o out.mp4 --emotions happy neutral",
    "playmate dialogue interview.mp4 --speech dubbed.wav -o out.mp4 --faces 1 0",
)


def add_dialogue_command(commands: argparse._SubParsersAction) -> None:
    """Register dialogue."""
    what = "let several faces speak, each with its own voice, and listen to each other"
    one = command(commands, "dialogue", what, *EXAMPLES)
    what = "one picture or video that shows everybody, or one for each voice, shown in a row"
    one.add_argument("portraits", metavar="PORTRAIT", nargs="+", type=path, help=what)
    what = "a recording with one voice in each channel (left is the first) or track, or one file for each voice"
    one.add_argument("--speech", metavar="SPEECH", nargs="+", type=path, required=True, help=what)
    output_flag(one, required=True)
    who = one.add_argument_group("who speaks and who listens")
    what = "which face each voice has, where one PORTRAIT shows everybody; as --face (from the left)"
    who.add_argument("--faces", metavar="WHICH", nargs="+", type=which_face, default=[], help=what)
    what = "the emotion of each voice, instead of --emotion for all"
    who.add_argument("--emotions", metavar="EMOTION", nargs="+", type=emotion, default=[], help=what)
    number(who, "--nods", Listening, "nods", "how deep who listens nods; 0 for no nods")
    add_talk_flags(one)
    one.set_defaults(run=_run_dialogue, plot=None, preview=None, save_motion=None, takes=1, all_emotions=False)


def _run_dialogue(options: argparse.Namespace) -> None:
    request = DialogueRequest(
        tuple(options.portraits),
        tuple(options.speech),
        request_from(options, Path(), Path()),
        tuple(options.emotions),
        Listening(nods=options.nods),
        tuple(options.faces),
    )
    with Bars() as bars:
        report = dialogue(request, bars)
    say(summary("video", report))
