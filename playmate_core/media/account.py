"""What a video says of itself, read again: the mark, the recipe and Content Credentials (docs/marking.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .container import first_video_stream, open_medium
from .credentials import describe_credentials
from .gif import read_comment
from .pillow_limits import of_any_size
from .png_sequence import XMP_KEY
from .provenance import RECIPE_TAG, SOFTWARE_TAG, SOURCE_TYPES, TYPE_TAG, read_packet

#: Bytes at the beginning of a GIF in which its metadata lie.
_HEAD = 4 << 20


@dataclass(frozen=True)
class Account:
    """The provenance metadata of a video; "" for missing fields. ``str()`` formats it for users."""

    path: Path
    software: str
    kind: str
    words: str
    recipe: str
    has_packet: bool
    prompt: str
    credentials: str = ""

    def __str__(self) -> str:
        lines = [f"{self.path.name}: made by {self.software or 'an unnamed program'}"]
        if self.kind:
            short = self.kind.removeprefix(SOURCE_TYPES)
            lines.append(f"  source type  {short} (IPTC{', in XMP too' if self.has_packet else ''})")
        if self.words:
            lines.append(f"  says         {self.words}")
        if self.recipe:
            lines.append(f"  recipe       {_indented(self.recipe)}")
        if self.prompt:
            lines.append(f"  ComfyUI      {_indented(self.prompt)}")
        if self.credentials:
            lines.append(f"  credentials  {self.credentials}")
        if not (self.kind or self.recipe or self.prompt):
            lines.append("  carries no mark of ours and no recipe")
        return "\n".join(lines)


def read_account(path: Path) -> Account:
    """Read the provenance metadata of a video, or of a PNG of a sequence. Raises UserError for a file that is no
    video."""
    if path.suffix.lower() == ".png":
        return read_picture_account(path)
    with open_medium(path, "video") as container:
        if first_video_stream(container) is None:
            raise UserError(f"{path} has no video in it; please give a video or a model file.")
        tags = {key.lower(): str(value) for key, value in container.metadata.items()}
    if path.suffix.lower() == ".gif":
        tags |= read_comment(tags.get("comment", ""))
    has_boxes = path.suffix.lower() in (".mp4", ".mov", ".m4v")
    return _account(path, tags, read_packet(path) if has_boxes else packet_in_head(path), has_boxes)


def read_picture_account(path: Path) -> Account:
    """Read the provenance metadata of a PNG."""
    from PIL import Image

    with of_any_size(), Image.open(path) as image:
        tags = {str(key).lower(): str(value) for key, value in image.info.items()}
    return _account(path, tags, tags.get(XMP_KEY.lower(), ""), False)


def packet_in_head(path: Path) -> str:
    """What may be an XMP packet near the beginning of a file that is not made of boxes."""
    with path.open("rb") as file:
        found = file.read(_HEAD).partition(b"<x:xmpmeta")[2]
    return found.partition(b"</x:xmpmeta>")[0].decode(errors="replace")


def _account(path: Path, tags: dict[str, str], packet: str, has_boxes: bool) -> Account:
    return Account(
        path=path,
        software=tags.get(SOFTWARE_TAG, "") or tags.get("encoder", ""),
        kind=tags.get(TYPE_TAG, ""),
        words=tags.get("comment", ""),
        recipe=tags.get(RECIPE_TAG, ""),
        has_packet=SOURCE_TYPES in packet,
        prompt=tags.get("prompt", ""),
        credentials=describe_credentials(path) if has_boxes else "",
    )


def _indented(text: str) -> str:
    """JSON pretty-printed, or the text unchanged if it is not JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False).replace("\n", "\n  ")
    except ValueError:
        return text
