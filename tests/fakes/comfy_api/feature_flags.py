"""What a client of the server said it can do."""

from __future__ import annotations

from typing import Any


def supports_feature(sockets_metadata: dict[str, dict[str, Any]], sid: str, name: str) -> bool:
    return sockets_metadata.get(sid, {}).get("feature_flags", {}).get(name, False) is True
