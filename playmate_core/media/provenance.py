"""Provenance metadata of videos: synthetic source type, program and recipe (docs/marking.md).

The IPTC digital source type is written in an XMP packet, in the box that Adobe's XMP specification part 3 defines for
ISO media files, and again in the container's own tags, which players and PyAV show.
"""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

NAME, VERSION = "Playmate", "0.1.0"
#: The human-readable note that the video is synthetic (docs/method.md 5, risk 21).
PROVENANCE = "Synthetic video, made with Playmate: the face is animated by a computer."
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
#: IPTC source types: frames rendered by a network, or rendered faces composited into camera pictures.
DRAWN, COMPOSITE = f"{SOURCE_TYPES}trainedAlgorithmicMedia", f"{SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
#: Names of our tags in the container.
TYPE_TAG, SOFTWARE_TAG, RECIPE_TAG = "digital_source_type", "software", "playmate_recipe"
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
        tags = {
            "comment": PROVENANCE,
            "description": PROVENANCE,
            TYPE_TAG: self.kind,
            SOFTWARE_TAG: f"{NAME} {VERSION}",
        }
        return {**tags, RECIPE_TAG: self.recipe} if self.recipe else tags

    def packet(self) -> bytes:
        """The XMP packet as UTF-8."""
        return _PACKET.format(tool=f"{NAME} {VERSION}", kind=escape(self.kind), words=escape(PROVENANCE)).encode()

    def append_to(self, path: Path) -> None:
        """Append the packet to a complete mp4 as a separate box; existing offsets do not change."""
        packet = self.packet()
        with path.open("ab") as file:
            file.write(struct.pack(">I4s", 8 + len(_BOX) + len(packet), b"uuid") + _BOX + packet)


def find_uuid_box(path: Path, kind: bytes) -> tuple[int, int]:
    """Offset and size in bytes of the payload of the first ``uuid`` box of this kind, (0, 0) where an mp4 has none;
    scans the top-level boxes."""
    with path.open("rb") as file:
        size_of_file, at = path.stat().st_size, 0
        while at + 8 <= size_of_file:
            file.seek(at)
            size, name = struct.unpack(">I4s", file.read(8))
            head = 8
            if size == 1:
                size, head = int.from_bytes(file.read(8), "big"), 16
            size = size or size_of_file - at
            if size < head:
                return 0, 0
            if name == b"uuid" and file.read(len(kind)) == kind:
                return at + head + len(kind), size - head - len(kind)
            at += size
    return 0, 0


def read_packet(path: Path) -> str:
    """The XMP packet of an mp4, "" where there is none."""
    at, size = find_uuid_box(path, _BOX)
    with path.open("rb") as file:
        file.seek(at)
        return file.read(size).decode(errors="replace")
