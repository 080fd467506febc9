"""Nothing in the core is there for its tests alone: every definition is used by the product, at whatever remove."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Whoever may use the core.
USERS = ("playmate_core", "nodes", "training", "workflows", "benchmarks", ".ci", "run.py", "__init__.py")
#: Called by PyTorch, argparse or pickle, which know them by name.
CALLED_BY_OTHERS = {"forward", "find_class", "emit", "parse_known_args", "_check_value"}
#: Files that were written ahead of what will use them. A file that is used in full is taken off this list.
AHEAD = set[str]()


@dataclass(frozen=True)
class Use:
    """A name that stands somewhere, and the definitions it stands in."""

    name: str
    inside: frozenset[tuple[str, int]]


def definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Functions, classes, methods and constants of modules and classes; dataclass fields are not among them."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name, node
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)):
                yield name.id, node


def uses(path: str, node: ast.AST, inside: frozenset[tuple[str, int]] = frozenset()) -> Iterator[Use]:
    """Names that are read, attributes and words of ``getattr``; neither imports nor ``__all__`` use anything."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)):
        inside = inside | {(path, node.lineno)}
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield Use(node.id, inside)
    elif isinstance(node, ast.Attribute):
        yield Use(node.attr, inside)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        yield from (Use(str(word.value), inside) for word in node.args[1:2] if isinstance(word, ast.Constant))
    for child in ast.iter_child_nodes(node):
        yield from uses(path, child, inside)


def unused(sources: dict[str, str], where: str) -> list[str]:
    """The definitions in files under ``where`` that are used nowhere, or only inside others of the kind."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    all_uses = [use for path, tree in trees.items() for use in uses(path, tree)]
    suspects = {
        (path, node.lineno): name
        for path, tree in trees.items()
        if path.startswith(where)
        for name, node in definitions(tree)
        if not name.startswith("__") and name not in CALLED_BY_OTHERS
    }
    dead: set[tuple[str, int]] = set()
    while True:
        alive: dict[str, list[frozenset[tuple[str, int]]]] = {}
        for use in all_uses:
            if not use.inside & dead:
                alive.setdefault(use.name, []).append(use.inside)
        found = {
            key for key, name in suspects.items() if all(key in inside for inside in alive.get(name, []))
        } - dead  # a use inside the definition itself is none
        if not found:
            return sorted(f"{path}:{line} {suspects[path, line]}" for path, line in dead)
        dead |= found


def test_every_definition_of_the_core_is_used_outside_tests() -> None:
    files = [p for user in USERS for p in ([ROOT / user] if user.endswith(".py") else (ROOT / user).rglob("*.py"))]
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in files}
    found = {line: line.partition(":")[0] for line in unused(sources, "playmate_core")}
    unexpected = [line for line, path in found.items() if path not in AHEAD]
    assert not unexpected, "delete these, or let the product use them"
    assert not (used := AHEAD - set(found.values())), f"take these off the list of this test: {sorted(used)}"


def test_what_only_unused_code_uses_is_unused() -> None:
    core = "def a():\n    return b(LIMIT)\ndef b(x):\n    return b(x - 1)\ndef c():\n    return 1\nLIMIT = 3\n"
    sources = {"core/x.py": core, "door.py": "from core.x import c, a\nc()\n"}
    assert [line.split()[1] for line in unused(sources, "core")] == ["a", "b", "LIMIT"]
    assert unused(sources | {"door.py": "import core.x\ncore.x.a()\ncore.x.c()\n"}, "core") == []
