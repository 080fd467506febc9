"""Write what the page says of the nodes: locales/ and the help pages, in English and Chinese.

``python .ci/words.py`` rewrites them from tests/data/nodes.json, the nodes as ComfyUI describes them, and .ci/zh.json,
which holds every name and sentence in Chinese; what else a page says of a node stands in .ci/help. A test says when a
file is not what this would write.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NODES: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "nodes.json").read_text(encoding="utf-8"))
ZH: dict[str, Any] = json.loads((ROOT / ".ci" / "zh.json").read_text(encoding="utf-8"))
HEADINGS = {
    "en": ("Inputs", "Outputs", "Shown in the workflows", "name", "type", "default", "what it does"),
    "zh": ("输入", "输出", "所在工作流", "名称", "类型", "默认值", "说明"),
}


def inputs(info: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, type, options) in the order of the node."""
    found = []
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            kind, options = info["input"][group][name]
            found.append((name, ",".join([kind, *options.get("linkable", ())]), options))
    return found


def words(node: str, language: str) -> tuple[str, str]:
    """Display name and description."""
    said = NODES[node] if language == "en" else ZH["nodes"][node]
    return said["display_name"], said["description"]


def sentence(text: str, language: str) -> str:
    return text if language == "en" else ZH["sentences"][text]


def name(text: str, language: str) -> str:
    return text.replace("_", " ") if language == "en" else ZH["names"][text]


def said(label: str, tip: str, language: str) -> dict[str, str]:
    """An input or output of a node, as the page looks it up."""
    return {"name": message(name(label, language)), "tooltip": message(sentence(tip, language))}


def message(text: str) -> str:
    """``text`` as a message of vue-i18n, to which @ { } | mean something: one bare @, and 0.3.64 shows no page."""
    return re.sub(r"([@{}|])", r"{'\1'}", text)


def locale(language: str) -> dict[str, Any]:
    """nodeDefs.json."""
    made = {}
    for node, info in NODES.items():
        title, description = words(node, language)
        made[node] = {
            "display_name": message(title),
            "description": message(description),
            "inputs": {key: said(key, options["tooltip"], language) for key, _, options in inputs(info)},
            "outputs": {
                str(index): said(label, tip, language)
                for index, (label, tip) in enumerate(zip(info["output_name"], info["output_tooltips"], strict=True))
            },
        }
    return made


def shown_in(node: str) -> list[str]:
    found = []
    for path in sorted((ROOT / "workflows" / "api").glob("*.json")):
        if any(entry["class_type"] == node for entry in json.loads(path.read_text(encoding="utf-8")).values()):
            found.append(path.stem.replace("_", " "))
    return found


def page(node: str, language: str) -> str:
    """The help page that the node's ? opens."""
    info, (title, description) = NODES[node], words(node, language)
    heads = HEADINGS[language]
    lines = [f"# {title}", "", description, ""]
    if given := inputs(info):
        lines += [f"## {heads[0]}", "", f"| {heads[3]} | {heads[4]} | {heads[5]} | {heads[6]} |", "|---|---|---|---|"]
        for key, kind, options in given:
            default = json.dumps(options["default"], ensure_ascii=False) if "default" in options else ""
            default = default.replace("\\n", " / ").replace("|", "\\|")
            lines.append(f"| {name(key, language)} | {kind} | {default} | {sentence(options['tooltip'], language)} |")
        lines.append("")
    if info["output"]:
        lines += [f"## {heads[1]}", "", f"| {heads[3]} | {heads[4]} | {heads[6]} |", "|---|---|---|"]
        for label, kind, tip in zip(info["output_name"], info["output"], info["output_tooltips"], strict=True):
            lines.append(f"| {name(label, language)} | {kind} | {sentence(tip, language)} |")
        lines.append("")
    more = ROOT / ".ci" / "help" / f"{node}.{language}.md"
    if more.is_file():
        lines += [more.read_text(encoding="utf-8")]
    if graphs := shown_in(node):
        lines += [f"**{heads[2]}:** {', '.join(graphs)}", ""]
    return "\n".join(lines)


def files() -> dict[str, str]:
    """Path below the repository -> what stands there."""
    made = {}
    for language in HEADINGS:
        made[f"locales/{language}/nodeDefs.json"] = json.dumps(locale(language), ensure_ascii=False, indent=1) + "\n"
        for node in NODES:
            made[f"nodes/web/docs/{node}/{language}.md"] = page(node, language)
            made[f"nodes/web/docs/{node}.md"] = page(node, "en")  # what is shown in every other language
    return made


if __name__ == "__main__":
    for path, text in files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
