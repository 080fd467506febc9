"""Provenance metadata of videos: synthetic source type, program and recipe (docs/marking.md).

The IPTC digital source type is written in an XMP packet, in the box that Adobe's XMP specification part 3 defines for
ISO media files, and again in the container's own tags, which players and PyAV show.
"""

from __future__ import annotations

import json
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from ..errors import UserError

NAME, VERSION = "Playmate", "0.1.0"
#: The human-readable note that the video is synthetic (docs/method.md 5, risk 21).
PROVENANCE = "Synthetic video, made with Playmate: the face is animated by a computer."
_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
#: IPTC source types: frames rendered by a network, or rendered faces composited into camera pictures.
DRAWN, COMPOSITE = f"{_TYPES}trainedAlgorithmicMedia", f"{_TYPES}compositeWithTrainedAlgorithmicMedia"
#: Names of our tags in the container.
_TYPE, _SOFTWARE, _RECIPE = "digital_source_type", "software", "playmate_recipe"
_BOX = uuid.UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes
_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
   <xmp:CreatorTool>{tool}</xmp:CreatorTool>
   <Iptc4xmpExt:DigitalSourceType>{kind}</Iptc4xmpExt:DigitalSourceType>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{words}</rdf:li></rdf:Alt></dc:description>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(frozen=True)
class Mark:
    """Metadata to store: the IPTC digital source ``kind``, and the ``recipe`` of the video as JSON."""

    kind: str = DRAWN
    recipe: str = ""

    def tags(self) -> dict[str, str]:
        """Tags of the container, by key."""
        tags = {"comment": PROVENANCE, "description": PROVENANCE, _TYPE: self.kind, _SOFTWARE: f"{NAME} {VERSION}"}
        return {**tags, _RECIPE: self.recipe} if self.recipe else tags

    def packet(self) -> bytes:
        """The XMP packet as UTF-8."""
        return _PACKET.format(tool=f"{NAME} {VERSION}", kind=escape(self.kind), words=escape(PROVENANCE)).encode()

    def append_to(self, path: Path) -> None:
        """Append the packet to a complete mp4 as a separate box; existing offsets do not change."""
        packet = self.packet()
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 8 + len(_BOX) + len(packet), b"uuid") + _BOX + packet)


def read_packet(path: Path) -> str:
    """The XMP packet of an mp4, "" where there is none; scans the top-level boxes."""
    with path.open("rb") as file:
        size_of_file, at = path.stat().st_size, 0
        while at + 8 <= size_of_file:
            file.seek(at)
            size, kind = struct.unpack(">I4s", file.read(8))
            head = 8
            if size == 1:
                size, head = int.from_bytes(file.read(8), "big"), 16
            size = size or size_of_file - at
            if size < head:
                return ""
            if kind == b"uuid" and file.read(len(_BOX)) == _BOX:
                return file.read(size - head - len(_BOX)).decode(errors="replace")
            at += size
    return ""


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

    def __str__(self) -> str:
        lines = [f"{self.path.name}: made by {self.software or 'an unnamed program'}"]
        if self.kind:
            short = self.kind.removeprefix(_TYPES)
            lines.append(f"  source type  {short} (IPTC{', in XMP too' if self.has_packet else ''})")
        if self.words:
            lines.append(f"  says         {self.words}")
        if self.recipe:
            lines.append(f"  recipe       {_indented(self.recipe)}")
        if self.prompt:
            lines.append(f"  ComfyUI      {_indented(self.prompt)}")
        if not (self.kind or self.recipe or self.prompt):
            lines.append("  carries no mark of ours and no recipe")
        return "\n".join(lines)


def read_account(path: Path) -> Account:
    """Read the provenance metadata of a video. Raises UserError for a file that is no video."""
    from .container import first_video_stream, open_medium

    with open_medium(path, "video") as container:
        if first_video_stream(container) is None:
            raise UserError(f"{path} has no video in it; please give a video or a model file.")
        tags = {key.lower(): str(value) for key, value in container.metadata.items()}
    packet = read_packet(path) if path.suffix.lower() in (".mp4", ".mov", ".m4v") else ""
    return Account(
        path=path,
        software=tags.get(_SOFTWARE, "") or tags.get("encoder", ""),
        kind=tags.get(_TYPE, ""),
        words=tags.get("comment", ""),
        recipe=tags.get(_RECIPE, ""),
        has_packet=_TYPES in packet,
        prompt=tags.get("prompt", ""),
    )


def _indented(text: str) -> str:
    """JSON pretty-printed, or the text unchanged if it is not JSON."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False).replace("\n", "\n  ")
    except ValueError:
        return text
