"""Who may know whom, read from the source: the house of docs/architecture.md as facts."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Packages of core from the ground up: a file knows its own package and those before it, never one after it.
PACKAGES = (
    (
        "errors",
        "version",
        "host",
        "ranges",
        "progress",
        "atomic_file",
        "values",
        "keypoint_space",
        "geometry",
        "interpolation",
    ),
    ("speech",),
    ("diffusion",),
    ("media",),
    ("face",),
    ("weights",),
    ("detection",),
    ("motion",),
    ("rendering",),
    ("pipelines",),
    ("cli",),
    ("__main__",),
)
FLOOR = {name: floor for floor, names in enumerate(PACKAGES) for name in names}
#: Imported only inside the function that uses them.
HEAVY = {
    "cv2",
    "transformers",
    "soxr",
    "insightface",
    "onnxruntime",
    "mediapipe",
    "numba",
    "matplotlib",
    "scipy",
    "pandas",
    "pyarrow",
    "ray",
    "scenedetect",
    "silero_vad",
    "soundfile",
}
#: Never imported by core at all (tqdm: only by its terminal).
FOREIGN_TO_CORE = {"training", "nodes", "comfy", "comfy_api", "folder_paths", "accelerate", "playmate_core"}
FOREIGN_TO_TRAINING = {"nodes", "comfy", "comfy_api", "folder_paths"}
MAX_FILE, MAX_FUNCTION = 300, 60

CORE = sorted((ROOT / "playmate_core").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package_of(path: Path) -> str:
    """The package a core file belongs to, or its own name at the root; "" is the root's ``__init__``."""
    first = path.relative_to(ROOT / "playmate_core").parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node


def absolute_packages(nodes: Iterator[ast.Import | ast.ImportFrom]) -> set[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


def at_module_level(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run when the module is imported: outside functions and outside ``if TYPE_CHECKING``."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if not typing_only and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)


def packages_known(path: Path) -> set[str]:
    """Packages of core that a core file imports, its own left out."""
    return {name[0] for name in modules_known(path)} - {package_of(path)}


def modules_known(path: Path) -> set[tuple[str, ...]]:
    """Modules of core that a core file imports, by their parts."""
    package = path.relative_to(ROOT / "playmate_core").parts[:-1]
    found = set()
    for node in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            found |= {(*base, *node.module.split("."))} if node.module else {(*base, a.name) for a in node.names}
    return found


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_knows_neither_training_nor_comfyui_nor_itself_absolutely(path: Path) -> None:
    known = absolute_packages(imports(ast.parse(path.read_text(encoding="utf-8"))))
    forbidden = FOREIGN_TO_CORE | (set() if path.name == "terminal.py" else {"tqdm"})
    assert not known & forbidden


@pytest.mark.parametrize("path", TRAINING, ids=name_of)
def test_training_knows_no_nodes(path: Path) -> None:
    assert not absolute_packages(imports(ast.parse(path.read_text(encoding="utf-8")))) & FOREIGN_TO_TRAINING


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_imports_heavy_packages_where_they_are_used(path: Path) -> None:
    assert not absolute_packages(at_module_level(ast.parse(path.read_text(encoding="utf-8")))) & HEAVY


@pytest.mark.parametrize("path", [p for p in CORE if package_of(p)], ids=name_of)
def test_arrows_in_core_point_down(path: Path) -> None:
    package = package_of(path)
    assert package in FLOOR, f"give the package {package!r} a place, here and in docs/architecture.md"
    upward = {other for other in packages_known(path) if FLOOR.get(other, 0) > FLOOR[package]}
    assert not upward, f"{name_of(path)} (floor {FLOOR[package]}) imports upward: {sorted(upward)}"


def test_core_has_no_circles() -> None:
    """Between files, the package inits left out, so that no lazy import hides one."""
    files = {path.relative_to(ROOT / "playmate_core").with_suffix("").parts: path for path in CORE}
    arrows = {name: {known for known in modules_known(path) if known in files} for name, path in files.items()}
    while free := [name for name, known in arrows.items() if not known & arrows.keys()]:
        for name in free:
            del arrows[name]
    assert not arrows, f"these files import each other in a circle: {sorted(arrows)}"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_module_decides_its_device(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not named & {"cuda", "empty_cache"}


@pytest.mark.parametrize("path", CORE + TRAINING, ids=name_of)
def test_files_and_functions_stay_within_budget(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= MAX_FILE, f"{name_of(path)} has {lines} lines, at most {MAX_FILE}"
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno + 1 > MAX_FUNCTION}
    assert not long, f"{name_of(path)} has functions over {MAX_FUNCTION} lines: {long}"


def test_importing_core_does_nothing_else(tmp_path: Path) -> None:
    rooms = [".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in CORE]
    script = (
        "import importlib, sys, threading\n"
        f"for name in {rooms!r}: importlib.import_module(name)\n"
        "import torch\n"
        f"heavy = {sorted(HEAVY)!r} + ['training', 'accelerate']\n"
        "assert not (loaded := [name for name in heavy if name in sys.modules]), loaded\n"
        "assert not torch.cuda.is_initialized()\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
    )
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    environment = {**kept, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=home, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == [], "importing core must create no files"
    assert done.stdout == "", "importing core must say nothing"
