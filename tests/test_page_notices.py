"""Of the boxes on ComfyUI's page, exactly the core's own one about an old frontend is let pass."""

from __future__ import annotations

import pytest
from comfy_page import OUTDATED

LINK = "https://docs.comfy.org/installation/update_comfyui#common-update-issues"
SAID = "Version Compatibility Warning: Frontend version 1.27.10 is outdated. Backend requires 1.49.6 or higher."


@pytest.mark.parametrize("box", [SAID, f"Alert\n{SAID} Visit {LINK} for update instructions.", SAID.replace(":", "\n")])
def test_the_cores_own_notice_is_let_pass(box: str) -> None:
    assert OUTDATED.fullmatch(box)


@pytest.mark.parametrize(
    "box",
    [
        f"{SAID}\nPlaymate: a node is missing.",
        "Alert\nPlaymate is outdated.",
        f"Missing models\n{SAID}",
        SAID.replace("Frontend", "Playmate"),
        "Version Compatibility Warning",
    ],
)
def test_anything_else_is_not(box: str) -> None:
    assert not OUTDATED.fullmatch(box)
