"""``python -m training VERB ...``: the verbs of training, each resumable by giving the same command again."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

from playmate_core.errors import UserError

VERBS = {
    "corpus": "make the synthetic talking heads",
    "prepare": "make clips to train on from a folder of real videos",
    "reading": "train M alone to read faces",
    "face": "train the face networks F, M, W, G",
    "stage1": "train the motion denoiser",
    "stage2": "train the emotion controller on a frozen stage 1",
    "calibrate": "measure which intensities an emotion model needs, and store them in its file",
    "evaluate": "print the table on held-out clips, or with --videos and --truth that of any videos",
    "experiment": "answer one question by training and measuring: chain, entanglement",
    "standin": "write random wav2vec2 weights, to try a run without real ones",
    "bundle": "put the demo's portrait, voice and weights into the package",
    "device": "train the bundled face model at 512 on one GPU and measure its speed, in 12 minutes",
    "driving": "render the clip that the demo drives a portrait with",
    "figures": "draw the README's pictures with the bundled weights",
    "thumbnails": "draw the pictures beside the workflows with the bundled weights",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Pass the remaining arguments to ``training.VERB.main``; a UserError is one line on stderr and exit status 2."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in VERBS:
        wants_help = bool(argv) and argv[0] in ("-h", "--help")
        (sys.stdout if wants_help else sys.stderr).write(_usage(argv))
        return 0 if wants_help else 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
    from training.processes import leave, started_the_others

    try:
        if started_the_others(argv):
            return 0
        status = importlib.import_module(f"training.{argv[0]}").main(argv[1:])
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; the same command goes on from the last saved state.\n")
        return 130
    finally:
        leave()
    return int(status or 0)


def _usage(argv: Sequence[str]) -> str:
    lines = [f"  {verb:8} {what}" for verb, what in VERBS.items()]
    wrong = f"Unknown verb {argv[0]!r}.\n" if argv and not argv[0].startswith("-") else ""
    return wrong + "python -m training VERB --help, where VERB is one of\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
