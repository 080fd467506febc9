"""Download a model file from the Hugging Face hub: only on request, resumed, checked, then renamed into place.

The one file of core that uses the network. The archive for ComfyUI's registry leaves it out (``.comfyignore``), because
the registry's scanner hides packs that can download; nothing else needs it.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ..atomic_file import beside
from ..errors import UserError
from .catalogue import ModelFile
from .folders import by_hand, megabytes, mismatch


def waiting_for(file: ModelFile, target: Path) -> Path:
    """The partial download, beside its target, until it is complete and verified; MARK in its name makes it ours."""
    return beside(target, f"{file.revision[:12]}.part")


def fetch(file: ModelFile, target: Path, endpoint: str | None = None) -> Path:
    """Download ``file`` to ``target`` and return it, resuming an earlier call; the hub's client shows a progress bar.

    ``endpoint``: URL of another hub than the public one. Raises UserError, with instructions for a manual download,
    when the file cannot be downloaded, and when size or checksum differ; then nothing is at ``target``.
    """
    if not file.repository:
        raise UserError(f"{file.name} does not lie on the hub; please fetch it by hand: {by_hand(file, target)}.")
    part = waiting_for(file, target)
    if part.is_symlink() or (part.exists() and not part.is_file()):
        raise UserError(f"{part} is not a partial download of this program; please move it away.")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        known = _download(file, part, endpoint)
    except UserError:
        raise
    except Exception as error:  # the hub's client raises dozens of types, most of them OSError or ValueError
        raise UserError(
            f"{file.name} could not be fetched ({type(error).__name__}); please try again, or put it there by hand:"
            f" {by_hand(file, target)}."
        ) from error
    wrong = mismatch(known, part)
    if wrong:
        part.unlink()
        raise UserError(
            f"{file.name} from {file.repository} is not the file that was asked for: {wrong}; it was removed, please"
            " report it."
        )
    return part.replace(target)


def _download(file: ModelFile, part: Path, endpoint: str | None) -> ModelFile:
    """Fill ``part``; returns ``file`` with the hub's own size and checksum where the catalogue has none."""
    # hf_hub_download restarts from zero after an interruption since version 2, so its building blocks are used.
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get

    url = hf_hub_url(file.repository, file.source, revision=file.revision, endpoint=endpoint)
    facts = get_hf_file_metadata(url)
    digest = facts.etag if facts.etag and len(facts.etag) == 64 else ""  # the SHA-256 for large files
    known = replace(file, size=file.size or facts.size or 0, sha256=file.sha256 or digest)
    have = part.stat().st_size if part.exists() else 0
    if facts.size and have > facts.size:
        part.unlink()
        have = 0
    _require_space(file, (facts.size or known.size) - have, part.parent)
    with part.open("ab") as stream:
        # No transfer compression: resume offsets are positions in the file.
        headers = {"Accept-Encoding": "identity"}
        http_get(facts.location, stream, resume_size=have, headers=headers, expected_size=facts.size)
    return known


def _require_space(file: ModelFile, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{file.name} needs {megabytes(needed)} and {folder} has {megabytes(free)} left; please free some space or"
            " choose another folder with --models."
        )
