"""ONNX networks of others: opened on the CPU, refused unless their input and output have the published shapes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playmate_core.errors import UserError
from playmate_core.weights.tensor_file import content_seems_to_be


@dataclass(frozen=True)
class OnnxNetwork:
    """One input, one output. ``__call__`` takes (N, C, H, W) float32 and gives (N, F), one picture at a time: files
    differ in whether they take more."""

    session: Any
    name: str

    def __call__(self, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = [self.session.run(None, {self.name: picture[None]})[0].reshape(-1) for picture in pictures]
        return np.stack(rows)


def open_onnx(path: Path, picture: tuple[int, int, int], features: int) -> OnnxNetwork:
    """Open a network that takes ``picture`` (C, H, W) and gives ``features`` numbers. Raises UserError for others."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises kinds of its own
        raise UserError(
            f"{path.name} is no network that onnxruntime can read ({type(error).__name__}){content_seems_to_be(path)};"
            " fetch it again."
        ) from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    takes = [tuple(one.shape[1:]) for one in inputs]
    gives = [one.shape[-1] for one in outputs]
    if takes != [picture] or gives != [features]:
        raise UserError(
            f"{path.name} takes {takes} and gives {gives}, expected {[picture]} and {[features]}; it is another"
            " network: fetch the published one."
        )
    return OnnxNetwork(session, inputs[0].name)
