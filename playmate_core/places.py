"""Where model files are looked for: the folders ComfyUI users already have, and those a person names.

Folders go by ComfyUI's categories (``liveportrait``, ``audio_encoders``, ``insightface``, ``detection``, ``playmate``).
Nodes fill :class:`Places` from ``folder_paths``, which has read ``extra_model_paths.yaml``; the command line from its
``--models`` flag and the variable ``PLAYMATE_MODELS``. No other room reads the environment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .catalogue import SETS, ModelFile
from .errors import UserError

PACKAGE = Path(__file__).resolve().parent
#: Folders laid out like ComfyUI's ``models``, separated as the system separates paths.
VARIABLE = "PLAYMATE_MODELS"
#: Who knows folders of a category.
Host = Callable[[str], Iterable[str]]
_hosts: list[Host] = []
CATEGORIES = tuple(sorted({file.folder for one in SETS.values() for file in one.files}))


def model_folders(named: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Folders laid out like ComfyUI's ``models``, in the order they are searched: ``named`` ones, the variable's, that
    of the ComfyUI this pack lies in, then ``~/.playmate/models``."""
    variable = (Path(part).expanduser() for part in _variable(VARIABLE).split(os.pathsep) if part)
    pack = PACKAGE.parent
    inside = (pack.parent.parent / "models",) if pack.parent.name == "custom_nodes" else ()
    return (*named, *variable, *inside, Path.home() / ".playmate" / "models")


def _variable(name: str) -> str:
    """A path that the environment holds, "" where it does not; read as paths are, since nothing is set here."""
    written = f"${{{name}}}"
    held = os.path.expandvars(written)
    return "" if held == written else held


def ask_too(host: Host) -> None:
    """Let ``host`` name folders of a category, searched before all others: ComfyUI, which has read
    ``extra_model_paths.yaml``. There is one in a process; a second takes its place."""
    _hosts[:] = [host]


def category_folders(category: str) -> tuple[Path, ...]:
    """Where files of a category may lie: in the host's folders, then in its own below :func:`model_folders`."""
    named = (Path(folder) for host in _hosts for folder in host(category))
    return (*named, *(root / category for root in model_folders()))


def model_file(*names: str) -> Path | None:
    """The first of ``names``, each category/file, that lies in one of its :func:`category_folders`."""
    split = (name.partition("/") for name in names)
    paths = (folder / file for category, _, file in split for folder in category_folders(category))
    return next((path for path in paths if path.is_file()), None)


def insightface_folders(pack: str) -> tuple[Path, ...]:
    """Where a pack of insightface's models may lie: where that package keeps it, then where ComfyUI users do."""
    home = Path(_variable("INSIGHTFACE_HOME") or "~/.insightface").expanduser()
    return tuple(root / "models" / pack for root in (home, *category_folders("insightface")))


@dataclass(frozen=True)
class Places:
    """Folders by category, in the order they are searched; new files go into the first."""

    folders: Mapping[str, tuple[Path, ...]]

    @classmethod
    def below(cls, models: Iterable[Path]) -> Places:
        """Every category as a sub-folder of each of some ``models`` folders."""
        models = tuple(models)
        return cls({category: tuple(folder / category for folder in models) for category in CATEGORIES})

    @classmethod
    def standard(cls, named: Sequence[Path] = ()) -> Places:
        """Every category below :func:`model_folders`."""
        return cls.below(model_folders(named))

    def find(self, file: ModelFile) -> Path | None:
        """Where a file lies, or None. What comes with the program is found in the package after everything else."""
        bundled = (PACKAGE / "bundled",) if file.folder == "playmate" else ()
        folders = (*self.folders.get(file.folder, ()), *bundled)
        return next((path for folder in folders if (path := folder / file.name).is_file()), None)

    def target(self, file: ModelFile) -> Path:
        """Where a file goes when it is fetched. Raises UserError when nobody named a folder for its category."""
        folders = self.folders.get(file.folder, ())
        if not folders:
            raise UserError(f"No folder is known for {file.folder}; please name a models folder with --models.")
        return folders[0] / file.name

    def resolve(self, named: Path) -> Path:
        """A file or folder a person named: as it is, or below a category ("liveportrait/animal", "my_motion")."""
        if named.exists() or named.is_absolute():
            return named
        for category, folders in self.folders.items():
            below = Path(*named.parts[1:]) if named.parts[:1] == (category,) else named
            for path in (folder / below for folder in folders):
                if path.exists():
                    return path
        return named


def by_hand(file: ModelFile, target: Path) -> str:
    """What a person has to do to have a file: from where, into where, and how it is known to be right."""
    facts = [megabytes(file.size)] if file.size else []
    facts += [file.license]
    facts += [f"SHA-256 {file.sha256}"] if file.sha256 else []
    return f"{file.url}  ->  {target}  ({', '.join(facts)})"


def mismatch(file: ModelFile, path: Path) -> str:
    """How a file on disk differs from the catalogue's, "" if it does not as far as the catalogue knows."""
    size = path.stat().st_size
    if file.size and size != file.size:
        return f"it has {size:,} bytes instead of {file.size:,}"
    if file.sha256 and (digest := _sha256(path)) != file.sha256:
        return f"its SHA-256 is {digest[:16]}... instead of {file.sha256[:16]}..."
    return ""


def megabytes(size: int) -> str:
    """Bytes as megabytes for people, "?" where unknown."""
    return f"{size / 1e6:.1f} MB" if size >= 50_000 else f"{size / 1e3:.1f} kB" if size else "?"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
