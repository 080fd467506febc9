"""A table of figures, printed as Markdown and stored as JSON: value, what was asked, and the control rows."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from playmate_core.atomic_file import write_atomically


@dataclass(frozen=True)
class Row:
    """One figure. ``value`` is what the system reached; the controls are the same figure on other inputs."""

    name: str
    value: str
    asked: str = ""
    met: bool | None = None
    truth: str = ""
    still: str = ""
    shuffled: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under a title, and one line that says how they were measured."""

    title: str
    how: str
    rows: tuple[Row, ...]

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", self.how, "", "| figure | reached | asked | met | ground truth | still "]
        lines[-1] += "| shuffled audio |"
        lines.append("|---|---|---|---|---|---|---|")
        for row in self.rows:
            met = {True: "yes", False: "**no**", None: ""}[row.met]
            cells = (row.name, row.value, row.asked, met, row.truth, row.still, row.shuffled)
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def number(value: float, digits: int = 3) -> str:
    """A figure as text; a dash when it is not defined."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def write_tables(tables: list[Table], folder: Path, facts: dict[str, str]) -> None:
    """Write evaluation.md and evaluation.json, each through a temporary name."""
    folder.mkdir(parents=True, exist_ok=True)
    head = "".join(f"- {key}: {value}\n" for key, value in facts.items())
    text = "# Evaluation\n\n" + head + "\n" + "\n".join(table.markdown() for table in tables)
    write_atomically(folder / "evaluation.md", text.encode())
    content = {"facts": facts, "tables": [asdict(table) for table in tables]}
    write_atomically(folder / "evaluation.json", json.dumps(content, indent=1).encode())
