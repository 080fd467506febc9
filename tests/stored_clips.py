"""Clips in memory as the stages read them: a store of log-mel features in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from playmate_core.speech import make_encoder
from training.clip import Clip
from training.clip_index import joined, row_of
from training.clip_store import ClipStore
from training.clip_windows import silence
from training.feature_files import clip_key, encoder_key, keep


def stored(clips: Sequence[Clip], corpus: Path) -> ClipStore:
    """``clips`` as a split of ``corpus``, whatever their labels and licences say."""
    folder, encoder, what = corpus / "features", make_encoder("logmel"), encoder_key("logmel", "")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for clip in clips:
        key = clip_key(clip, clip.waveform, what)
        rows.append(row_of(key, clip, keep(folder, key, clip, clip.waveform, encoder)))
    index = joined(rows)
    assert index is not None
    return ClipStore(corpus, folder, index, silence(encoder))
