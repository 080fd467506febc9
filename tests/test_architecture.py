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
        "times",
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
#: Lines of a node's ``execute``, its signature and docstring left out.
MAX_EXECUTE = 15

#: What modules have one each of: a logger, an entry, a type variable, the check of a request, a network's guidance.
ONE_EACH = {"log", "main", "T", "check", "guided"}

CORE = sorted((ROOT / "playmate_core").rglob("*.py"))
TRAINING = sorted((ROOT / "training").rglob("*.py"))
NODES = sorted((ROOT / "nodes").rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def package_of(path: Path) -> str:
    """The package a core file belongs to, or its own name at the root; "" is the root's ``__init__``."""
    first = path.relative_to(ROOT / "playmate_core").parts[0]
    return "" if first == "__init__.py" else first.removesuffix(".py")


def public_names(tree: ast.Module) -> Iterator[str]:
    """What a module defines for others: functions, classes, constants."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        else:
            continue
        yield from (name for name in names if not name.startswith("_"))


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


def test_a_public_name_of_core_means_one_thing() -> None:
    """Defined in one module: whoever reads it elsewhere need not ask which one it is. The two public generators are
    built alike, part by part, under the same names."""
    homes: dict[str, set[str]] = {}
    for path in CORE:
        place = path.relative_to(ROOT).with_suffix("")
        published = {"ditto", "joyvasa"} & set(place.parts)
        name = f"{place.parts[1]}: a published generator" if published else str(place)
        for defined in public_names(ast.parse(path.read_text(encoding="utf-8"))):
            homes.setdefault(defined, set()).add(name)
    alike = {name: sorted(where) for name, where in homes.items() if len(where) > 1 and name not in ONE_EACH}
    assert not alike, "give each meaning its own name, or define it once"


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_module_decides_its_device(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not named & {"cuda", "empty_cache"}


@pytest.mark.parametrize("path", CORE + TRAINING + NODES + TESTS, ids=name_of)
def test_files_and_functions_stay_within_budget(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    assert lines <= MAX_FILE, f"{name_of(path)} has {lines} lines, at most {MAX_FILE}"
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {f.name: f.end_lineno - f.lineno + 1 for f in functions if f.end_lineno - f.lineno + 1 > MAX_FUNCTION}
    assert not long, f"{name_of(path)} has functions over {MAX_FUNCTION} lines: {long}"


@pytest.mark.parametrize("path", NODES, ids=name_of)
def test_a_node_converts_and_reports(path: Path) -> None:
    """What a node does is a function of the core: its ``execute`` is short."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = {}
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == "execute":
            told = ast.get_docstring(function, clean=False) is not None
            lines = function.body[-1].end_lineno - function.body[told].lineno + 1
            if lines > MAX_EXECUTE:
                long[function.lineno] = lines
    assert not long, f"{name_of(path)} has execute methods over {MAX_EXECUTE} lines, by where they begin: {long}"


@pytest.mark.parametrize("path", [p for p in TESTS if p.name.startswith("test_")], ids=name_of)
def test_no_test_imports_another(path: Path) -> None:
    """What two test modules share lies in a helper, in strings that are run elsewhere too."""
    modules = {other.stem for other in TESTS if other.name.startswith("test_")} - {path.stem}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not absolute_packages(imports(tree)) & modules
    scripts = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    assert not {name for text in scripts for name in modules if f"from {name} import" in text}


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
