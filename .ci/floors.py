"""Run the suite's main paths with the oldest and with the newest versions that pyproject.toml promises.

``python .ci/floors.py [lowest|newest|between]``, or ``python run.py check --floors`` for all three. The first two have
an environment of their own, ``.venv-lowest`` and ``.venv-newest``, made anew when the dependencies in pyproject.toml
have changed; between is the newest with the packages of BETWEEN in front, the versions that many installed ComfyUIs
have. What the tests themselves need is not pinned. The exit code is that of the first failure.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest, which the dev extra installs, requires it there
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import run  # noqa: E402

#: What the tests need beside the program.
TOOLS = ("pytest>=8", "pytest-timeout>=2.3", "hypothesis>=6.100")
#: The paths that lead through every dependency: sound, pictures, videos, encoders, weights, both commands.
TESTS = (
    "test_logmel",
    "test_encoders_hidden",
    "test_joyvasa_audio_goldens",
    "test_joyvasa_generator",
    "test_video_reader",
    "test_bad_input",
    "test_write_video",
    "test_provenance",
    "test_cli",
    "test_animate_cli",
)
#: Neither the oldest nor the newest, and the other spelling of OpenCV: beside .venv-newest, found before it.
BETWEEN = ("av==16.*", "opencv-python-headless==4.11.0.86", "transformers==4.57.*")
RUNS = ("lowest", "newest", "between")
#: Says what is imported, which pip does not know of packages that stand in front of others.
VERSIONS = """import sys, av, cv2, numpy, torch, transformers
print(f"== {sys.argv[1]}:", *(f"{m.__name__} {m.__version__}" for m in (av, cv2, numpy, torch, transformers)))
"""
_FLOOR = re.compile(r"^([A-Za-z0-9_.-]+)>=([0-9.]+)$")


def requirements(which: str, declared: list[str]) -> list[str]:
    """What pip is told: ``lowest`` pins every package of ``declared`` to its floor, ``newest`` leaves all open."""
    wanted = []
    for line in declared:
        found = _FLOOR.match(line)
        if not found:
            raise SystemExit(f"{line!r} in pyproject.toml has no plain floor; write it as name>=version.")
        wanted.append(f"{found[1]}=={found[2]}" if which == "lowest" else line)
    return wanted


def set_up(which: str) -> Path:
    """The interpreter of the environment, made anew where what it was made from has changed."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    packages = requirements(which, declared)
    home = ROOT / f".venv-{which}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp, digest = home / "ready", hashlib.sha256(repr((packages, TOOLS)).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    venv.create(home, with_pip=True, clear=True)
    torch = next(line for line in packages if line.startswith("torch"))
    index = run.torch_packages()[:-1]  # where PyTorch comes from, without its version
    pip(python, *index, "--upgrade", torch)
    pip(python, "--upgrade", "--upgrade-strategy", "eager", *packages, *TOOLS)
    stamp.write_text(digest)
    return python


def set_up_between(python: Path) -> Path:
    """A folder beside the packages of ``python`` with those of BETWEEN, to be found before them."""
    front = ROOT / ".venv-newest" / "between"
    stamp = front / "ready"
    if not stamp.is_file() or stamp.read_text() != str(BETWEEN):
        shutil.rmtree(front, ignore_errors=True)
        pip(python, "--target", str(front), *BETWEEN)
        stamp.write_text(str(BETWEEN))
    return front


def pip(python: Path, *words: str) -> None:
    """Install with pip. Raises CalledProcessError where it fails."""
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([str(python), "-m", "pip", "install", *quiet, *words], check=True)


def main(words: list[str]) -> int:
    """Run what was asked for, all by default; returns the first exit code that is not 0."""
    code = 0
    for which in words or RUNS:
        if which not in RUNS:
            raise SystemExit(f"{which!r} is none of {', '.join(RUNS)}.")
        python = set_up("newest" if which == "between" else which)
        found = [str(ROOT), *([str(set_up_between(python))] if which == "between" else [])]
        environment = {**run.ENVIRONMENT, **os.environ, "PYTHONPATH": os.pathsep.join(found)}
        subprocess.run([str(python), "-c", VERSIONS, which], env=environment, check=True)
        tests = [f"tests/{name}.py" for name in TESTS]
        done = subprocess.run([str(python), "-m", "pytest", *tests], cwd=ROOT, env=environment, check=False)
        code = code or done.returncode
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
