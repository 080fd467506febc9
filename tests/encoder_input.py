"""The frames that go to the encoder. libx264 has more than one answer for the same frames of noise."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import torch

#: As in the process of the nodes' fakes: with another number of threads sums are taken in another order.
torch.set_num_threads(1)


class EncoderInput:
    """Notes what a VideoWriter class is given to write, in this process or in that of the nodes' fakes."""

    def __init__(self, writer: Any, patch: Callable[[Any, str, Any], None] = setattr) -> None:
        self._pictures: list[bytes] = []
        write = writer.write

        def noted(video: Any, frames: Any) -> None:
            self._pictures.append(frames.numpy().tobytes())
            write(video, frames)

        patch(writer, "write", noted)

    def taken(self) -> str:
        """The hash of the frames since the last call."""
        found = hashlib.sha256(b"".join(self._pictures)).hexdigest()
        self._pictures.clear()
        return found
