"""Names of saved files, and what becomes of a cached result whose file is gone: on the fakes of ComfyUI."""

from __future__ import annotations

import json
import re
from pathlib import Path

from node_process import in_subprocess

NAMES = """
import json, sys, time
from pathlib import Path
import node_session
s = node_session.Session()
saving = sys.modules["custom_pack.nodes.saving"]
at = time.struct_time((2026, 3, 4, 5, 6, 7, 0, 0, 0))
written = ("%date:yyyy-MM-dd%", "%date:yy.M.d_hhmmss%", "a/%date:yyyy/MM%/b_%date:hh:mm%", "%date:%", "100%", "%year%")
Path("output").mkdir()
Path("output/file").write_bytes(b"1")
motion = s.run("LoadMotion")
bad = ("", " ", ".", "..", "../x", "a/../../x", "/x", "a\\0b", "a\\nb", "x" * 300, "file/x", "file/deeper/x",
       "%date:../../x%")
refused = {prefix: s.refused("SaveMotion", motion=motion, filename_prefix=prefix) for prefix in bad}
files = ("a\\0b [output]", "x" * 300 + " [input]", "../../etc/passwd [input]", " [output]", "gone [output]", "x")
unread = {file: s.refused("LoadMotion", file=file) for file in files}
before = sorted(p.name for p in Path("output").rglob("*"))
s.run("SaveMotion", motion=motion, filename_prefix="motion/%date:yyyy%/take")
from server import PromptServer
print(json.dumps([[saving.with_dates(text, at) for text in written], refused, unread, before,
                  [p.as_posix() for p in Path("output").rglob("*.safetensors")], PromptServer.instance.shown]))
"""


def test_names_are_filled_in_or_refused_and_shown_on_the_node(tmp_path: Path) -> None:
    written, refused, unread, before, files, shown = json.loads(in_subprocess(NAMES, tmp_path).splitlines()[-1])
    assert written == ["2026-03-04", "26.3.4_050607", "a/2026/03/b_05-06", "", "100%", "%year%"]
    for prefix, said in {**refused, **unread}.items():
        assert re.match(r"(UserError|ValueError): [^\n\0]+\.$", said) and len(said) < 400, f"{prefix!r}: {said}"
    assert "is a file" in refused["file/x"] and "300 bytes" in refused["x" * 300]
    assert before == ["file"], "a refused name leaves no folder behind"
    (file,) = files
    assert re.fullmatch(r"output/motion/20\d\d/take_00001_\.safetensors", file)
    assert shown == [["1", file.removeprefix("output/")]]


RERUN = """
import json
from pathlib import Path
import node_session
s = node_session.Session()
node, motion = s.nodes["SaveMotion"], s.run("LoadMotion")
prints = [node.fingerprint_inputs()]
s.run("SaveMotion", motion=motion)
s.run("SaveMotion", motion=motion)
prints.append(node.fingerprint_inputs())
first, second = sorted(Path("output").rglob("*.safetensors"))
first.unlink()
prints += [node.fingerprint_inputs(), node.fingerprint_inputs()]
s.run("SaveMotion", motion=motion)
prints.append(node.fingerprint_inputs())
second.unlink()
prints.append(node.fingerprint_inputs())
inputs = {name: [one.id for one in node.define_schema().inputs] for name, node in s.nodes.items()}
saving = (name for name, ids in inputs.items() if "filename_prefix" in ids)
without = sorted(name for name in saving if not hasattr(s.nodes[name], "fingerprint_inputs"))
linked = [s.nodes[n].fingerprint_inputs(**{k: None for k in keys}) for n, keys in
          (("LoadFaceModel", ["file", "precision"]), ("LoadMotionModel", ["file", "emotion"]),
           ("LoadAudioEncoder", ["encoder"]), ("LoadMotion", ["file"]))]
print(json.dumps([prints, without, linked]))
"""


def test_a_cached_result_whose_file_was_deleted_is_made_again(tmp_path: Path) -> None:
    """ComfyUI runs a node again when its fingerprint is another than that of the cached result."""
    prints, without, linked = json.loads(in_subprocess(RERUN, tmp_path).splitlines()[-1])
    assert prints == ["0", "0", "1", "1", "1", "2"]
    assert without == [], "every node that saves a file looks after it"
    assert len(linked) == 4, "a linked choice has no file to look at yet, which is no error"


SOUND = """
import json, torch
import node_session
s = node_session.Session()
picture, speech, video = s.run("DemoMedia", seconds=1.0)
for empty in (torch.zeros(1, 64, 64), torch.zeros(1, 512, 512)):  # Load Image's for a picture without transparency
    masked, _ = s.run("CropPortrait", image=picture, crop="whole", mask=empty)
    assert torch.equal(masked.crop_to_image, s.run("CropPortrait", image=picture, crop="whole")[0].crop_to_image)
told = []
for start, duration in ((0.0, 0.0), (0.2, 0.6)):
    plain, sound, seconds = s.run("EncodeAudio", audio=speech, start=start, duration=duration)
    for offset in (0.2, -0.2, 0.01):
        moved, same, again = s.run("EncodeAudio", audio=speech, start=start, duration=duration, offset=offset)
        assert torch.equal(sound["waveform"], same["waveform"]) and seconds == again
        frames = round(offset * 25)
        a, b = (plain.energy, moved.energy) if offset > 0 else (moved.energy, plain.energy)
        shifted = float((b[abs(frames):] - a[: len(a) - abs(frames)]).abs()[2:-2].max())
        changed = float((plain.energy - moved.energy).abs().max())
        told.append([len(plain), len(moved), shifted if abs(offset) > 0.1 else 0.0, changed])
print(json.dumps(told))
"""


def test_the_offset_moves_the_lips_and_never_the_length(tmp_path: Path) -> None:
    for plain, moved, shifted, changed in json.loads(in_subprocess(SOUND, tmp_path).splitlines()[-1]):
        assert plain == moved
        assert changed > 0.0, "the offset does something"
        assert shifted < 0.1, "the same loudness, so many frames later or earlier"
