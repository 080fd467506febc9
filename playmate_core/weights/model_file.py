"""Catalogue entries: third-party model files and sets of them."""

from __future__ import annotations

from dataclasses import dataclass

NON_COMMERCIAL = "non-commercial research only (insightface)"


@dataclass(frozen=True)
class Edition:
    """Another version of a file under the same name: its ``size`` in bytes and ``sha256``, 0 and "" where unknown."""

    when: str
    size: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class ModelFile:
    """One file: ``folder`` is ComfyUI's category below ``models``, ``name`` the path below it.

    ``repository``, ``revision`` and ``source`` (the path there) locate it on the Hugging Face hub; ``address`` is the
    URL of files elsewhere, downloaded by hand. ``size`` in bytes, 0 where unknown; ``sha256`` "" where unknown.
    ``about``: approximate size where the exact one is unknown, shown to users but never compared with a file.
    ``editions``: other accepted versions.
    """

    folder: str
    name: str
    license: str
    repository: str = ""
    revision: str = ""
    source: str = ""
    address: str = ""
    size: int = 0
    sha256: str = ""
    about: int = 0
    editions: tuple[Edition, ...] = ()

    @property
    def url(self) -> str:
        """The URL of the file."""
        if not self.repository:
            return self.address
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.source}"

    @property
    def below_models(self) -> str:
        """The path below a ``models`` folder."""
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class ModelSet:
    """Files that are only useful together. ``purpose`` in a few words."""

    name: str
    purpose: str
    files: tuple[ModelFile, ...]
