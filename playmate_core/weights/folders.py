"""Search paths of model files: ComfyUI's model folders, and folders named by the user.

Folders are organised by ComfyUI's categories (``liveportrait``, ``audio_encoders``, ``insightface``, ``detection``,
``playmate``). Folders of the host are searched first (:meth:`Host.set_model_folders`): ``folder_paths`` in nodes, the
``--models`` flag on the command line. Then follow the variable ``PLAYMATE_MODELS`` and the ComfyUI installation that
contains this pack, with its ``extra_model_paths.yaml``. No other module reads the environment.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..host import HOST
from .catalogue import SETS, ModelFile

PACKAGE = Path(__file__).resolve().parents[1]
#: Folders laid out like ComfyUI's ``models``, or files of extra paths, separated by the system's path separator.
VARIABLE = "PLAYMATE_MODELS"
CATEGORIES = tuple(sorted({file.folder for one in SETS.values() for file in one.files}))


def bundled(name: str) -> Path:
    """The path of a file bundled with the package. Raises UserError when this copy of the package lacks it."""
    path = PACKAGE / "bundled" / name
    if not path.is_file():
        raise UserError(f"The bundled file {path} is missing; please clone the repository again or name your own file.")
    return path


def model_folders(named: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Folders laid out like ComfyUI's ``models``, or files of extra paths, in search order: ``named``, those of the
    variable, those of the ComfyUI installation containing this pack, then ``~/.playmate/models``."""
    variable = (Path(part).expanduser() for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part)
    pack, inside = PACKAGE.parent, tuple[Path, ...]()
    if pack.parent.name == "custom_nodes":
        comfy = pack.parent.parent
        extra = comfy / "extra_model_paths.yaml"
        inside = (comfy / "models", *([extra] if extra.is_file() else []))
    return (*named, *variable, *inside, Path.home() / ".playmate" / "models")


def below(roots: Iterable[Path], category: str) -> tuple[Path, ...]:
    """The folders of a category below ``roots`` (:func:`model_folders`). Raises UserError for an invalid paths file."""
    return tuple(
        folder
        for root in roots
        for folder in (extra_folders(root, category) if root.suffix in (".yaml", ".yml") else [root / category])
    )


def category_folders(category: str) -> tuple[Path, ...]:
    """Search path of a category: the host's folders, then those below :func:`model_folders`; for insightface also that
    package's own folder."""
    home = Path(os.environ.get("INSIGHTFACE_HOME") or "~/.insightface").expanduser()
    return (
        *HOST.model_folders(category),
        *below(model_folders(), category),
        *([home] if category == "insightface" else []),
    )


def model_file(*names: str) -> Path | None:
    """The first of ``names``, each category/file, that exists in one of its :func:`category_folders`."""
    split = (name.partition("/") for name in names)
    paths = (folder / file for category, _, file in split for folder in category_folders(category))
    return next((path for path in paths if path.is_file()), None)


def insightface_folders(pack: str) -> tuple[Path, ...]:
    """Search path of a model pack of insightface."""
    return tuple(root / "models" / pack for root in category_folders("insightface"))


@dataclass(frozen=True)
class SearchPaths:
    """Model folders by category, in search order; new files go into the first."""

    folders: Mapping[str, tuple[Path, ...]]

    @classmethod
    def below(cls, models: Iterable[Path]) -> SearchPaths:
        """Every category as a sub-folder of each of the ``models`` folders."""
        models = tuple(models)
        return cls({category: below(models, category) for category in CATEGORIES})

    @classmethod
    def standard(cls) -> SearchPaths:
        """Every category in its :func:`category_folders`."""
        return cls({category: category_folders(category) for category in CATEGORIES})

    def find(self, file: ModelFile) -> Path | None:
        """The path of a file, or None if it is nowhere. Bundled files are searched in the package last."""
        bundled = (PACKAGE / "bundled",) if file.folder == "playmate" else ()
        folders = (*self.folders.get(file.folder, ()), *bundled)
        return next((path for folder in folders if (path := folder / file.name).is_file()), None)

    def target(self, file: ModelFile) -> Path:
        """The target path of a download. Raises UserError when there is no folder for its category."""
        folders = self.folders.get(file.folder, ())
        if not folders:
            raise UserError(f"No folder is known for {file.folder}; please name a models folder with --models.")
        return folders[0] / file.name

    def resolve(self, named: Path) -> Path:
        """Resolve a path given by the user: as it is, or below a category ("liveportrait/animal", "my_motion")."""
        if named.exists() or named.is_absolute():
            return named
        for category, folders in self.folders.items():
            below = Path(*named.parts[1:]) if named.parts[:1] == (category,) else named
            for path in (folder / below for folder in folders):
                if path.exists():
                    return path
        return named


def extra_folders(path: Path, category: str) -> list[Path]:
    """The folders of a category in a file like ComfyUI's ``extra_model_paths.yaml``: blocks of ``base_path`` and, by
    category, folders below it, one per line; without ``base_path`` relative to the file. Raises UserError for other
    files."""
    import yaml

    try:
        blocks = [block for block in (yaml.safe_load(path.read_text("utf-8")) or {}).values() if block]
        folders = []
        for block in blocks:
            base = path.parent / Path(os.path.expandvars(block.get("base_path", "."))).expanduser()
            lines = block.get(category, "").splitlines()
            folders += [base / Path(line.strip()).expanduser() for line in lines if line.strip()]
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError) as problem:
        raise UserError(
            f"{path} is no file of extra model paths ({type(problem).__name__}); it should hold what ComfyUI's"
            " extra_model_paths.yaml does, blocks of base_path and folders by category."
        ) from problem
    return folders


def by_hand(file: ModelFile, target: Path) -> str:
    """Instructions for a manual download: source, target, and facts to verify it."""
    facts = [megabytes(file.size)] if file.size else []
    facts += [file.license]
    facts += [f"SHA-256 {file.sha256}"] if file.sha256 else []
    return f"{file.url}  ->  {target}  ({', '.join(facts)})"


def mismatch(file: ModelFile, path: Path) -> str:
    """How a file on disk differs from the catalogue's size and checksum; "" if it matches."""
    size = path.stat().st_size
    for edition in file.editions:
        if size == edition.size and (not edition.sha256 or file_hash(path) == edition.sha256):
            return ""
    if file.size and size != file.size:
        return f"it has {size:,} bytes instead of {file.size:,}"
    if file.sha256 and (digest := file_hash(path)) != file.sha256:
        return f"its SHA-256 is {digest[:16]}... instead of {file.sha256[:16]}..."
    return ""


def megabytes(size: int) -> str:
    """Format a size in bytes for users, "?" for 0 (unknown)."""
    return f"{size / 1e6:.1f} MB" if size >= 50_000 else f"{size / 1e3:.1f} kB" if size else "?"


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
