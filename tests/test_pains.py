"""docs/pains.md answers every complaint once, and names only nodes, settings, pages, workflows and tests that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "pains.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in PAGE.splitlines() if line[:2] == "| "
]
ROWS = [row for row in ROWS if row[0].isdigit()]
NODES = json.loads((ROOT / "tests" / "data" / "nodes.json").read_text(encoding="utf-8"))
#: Rows that say plainly what is not done.
NOT_DONE = {29}


def test_thirty_complaints_are_answered_in_order() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 31))
    assert all(len(row[2]) > 30 for row in ROWS)


def test_nodes_are_called_by_their_names() -> None:
    known = {node["display_name"] for node in NODES.values()}
    named = {(row[0], name) for row in ROWS for name in re.findall(r"\*\*([^*]+)\*\*", row[2])}
    assert not {(number, name) for number, name in named if name not in known}


def test_settings_belong_to_a_node_of_their_row() -> None:
    wrong = []
    for row in ROWS:
        nodes = [node for node in NODES.values() if f"**{node['display_name']}**" in row[2]]
        widgets = {word for node in nodes for group in node["input"].values() for word in group}
        for node in nodes:
            for group in node["input"].values():
                widgets |= {choice for spec in group.values() for choice in (spec[1:] or [{}])[0].get("options", [])}
        words = {word.strip(", ") for word in re.findall(r"(?<!\*)\*([a-z_ ]+)\*(?!\*)", row[2])}
        wrong += [(row[0], word) for word in words if word.replace(" ", "_") not in widgets and word not in widgets]
    assert not wrong


def test_every_row_is_shown_by_tests_or_workflows_that_exist() -> None:
    missing = []
    for row in ROWS:
        shown = row[3] if len(row) > 3 else ""
        tests, workflows = re.findall(r"`(tests/[^`]+)`", shown), re.findall(r"(?<!\*)\*([a-z ]+)\*(?!\*)", shown)
        if not tests and not workflows and int(row[0]) not in NOT_DONE:
            missing.append((row[0], "nothing"))
        missing += [(row[0], test) for test in tests if not (ROOT / test).is_file()]
        files = {path.stem.replace("_", " ") for path in (ROOT / "workflows").glob("*.json")}
        missing += [(row[0], workflow) for workflow in workflows if workflow not in files]
    assert not missing


def test_links_lead_to_headings() -> None:
    for page, anchor in re.findall(r"\]\(([a-z_]+\.md)(?:#([a-z-]+))?\)", PAGE):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-") for line in text.splitlines()
        }
        assert not anchor or anchor in headings, (page, anchor)
