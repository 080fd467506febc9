"""The command line in the process of the tests."""

from __future__ import annotations

from playmate_core.cli import main as cli


def refused(words: list[str], capsys) -> str:
    """Run, expect one sentence and exit code 2, and return it."""
    assert cli.main(words) == cli.MISTAKE
    said = capsys.readouterr()
    complaint = said.err.strip().splitlines()[-1]
    assert complaint.startswith("playmate: ") and complaint.endswith(".") and "Traceback" not in said.err
    assert said.out == ""
    return complaint
