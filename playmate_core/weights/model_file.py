"""What is known of a model file of others, and of a set of them."""

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

    ``repository``, ``revision`` and ``source`` (the path there) name it on the Hugging Face hub; ``address`` is for
    what lies elsewhere and is fetched by hand. ``size`` in bytes, 0 where unknown; ``sha256`` "" where unknown.
    ``about``: bytes to expect where nobody states the exact size, for people and never compared with a file.
    ``editions``: other versions that do as well.
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
        """Where a person finds the file."""
        if not self.repository:
            return self.address
        return f"https://huggingface.co/{self.repository}/resolve/{self.revision}/{self.source}"

    @property
    def below_models(self) -> str:
        """The path below a ``models`` folder."""
        return f"{self.folder}/{self.name}"


@dataclass(frozen=True)
class ModelSet:
    """Files that are of use only together. ``purpose`` in a few words."""

    name: str
    purpose: str
    files: tuple[ModelFile, ...]
