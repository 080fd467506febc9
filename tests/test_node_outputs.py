"""Files that nodes save, on the fakes of ComfyUI: a name of its own for each, and the recipe that made it."""

from __future__ import annotations

import json
from pathlib import Path

from node_process import in_subprocess, install_models

CLAIMS = """
import json, sys, threading
from pathlib import Path
import node_session
s = node_session.Session()
saving = sys.modules["custom_pack.nodes.saving"]
import folder_paths
start, names = threading.Barrier(8), []
counted = folder_paths.get_save_image_path
def together(*asked):  # all count the files before any of them takes a name
    found = counted(*asked)
    start.wait(20)
    return found
folder_paths.get_save_image_path = together

def save(number):
    with saving.output_file("take", ".bin") as (path, saved):
        names.append(saved["filename"])
        start.wait(20)
        if number:
            path.write_bytes(b"%d" % number)

threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
folder_paths.get_save_image_path = counted
try:
    with saving.output_file("failed", ".bin") as (path, saved):
        raise RuntimeError
except RuntimeError:
    pass
print(json.dumps([sorted(names), sorted(p.read_text() for p in Path("output").glob("*.bin"))]))
"""


def test_runs_on_one_output_folder_never_share_a_name(tmp_path: Path) -> None:
    names, held = json.loads(in_subprocess(CLAIMS, tmp_path).splitlines()[-1])
    assert len(set(names)) == 8, "each has a name of its own"
    assert held == [str(number) for number in range(1, 8)], "what was not written leaves nothing, the rest is whole"


RECIPES = """
import json, sys, torch
from importlib import import_module
from pathlib import Path
import node_session
s = node_session.Session()
from comfy.cli_args import args
account = import_module("custom_pack.playmate_core.media.account").read_account
face = s.run("LoadFaceModel", file="face.safetensors")
models = s.run("LoadMotionModel", file="motion.safetensors", emotion="none")
picture = torch.rand(1, 96, 96, 3, generator=torch.Generator().manual_seed(0))
speech = {"waveform": torch.rand(1, 1, 8000) - 0.5, "sample_rate": 16000}
crop, _ = s.run("CropPortrait", image=picture, crop="whole")
portrait = s.run("EncodePortrait", face_model=face, crop=crop,
                 require_face=False)
def talk(**more):
    return s.run("Talk", image=picture, audio=speech, face_model=face, motion_model=models, require_face=False, seed=41,
                 emotion="none", **more)
made = [talk(), talk(mark=False)]
motion = made[0][1]
made.append([s.run("RenderToVideo", face_model=face, portrait=portrait, motion=motion, crf=30)])
args.disable_metadata = True
made.append(talk())
found = [account(Path(one[0].file)) for one in made]
print(json.dumps([[one.recipe, one.kind] for one in found]))
"""


def test_videos_of_nodes_carry_the_recipe_that_made_them(tmp_path: Path, tiny_face: Path, tiny_motion: Path) -> None:
    install_models(tmp_path, tiny_face, tiny_motion)
    talk, unmarked, render, disabled = json.loads(in_subprocess(RECIPES, tmp_path).splitlines()[-1])
    told = json.loads(talk[0])
    assert told["command"] == "ComfyUI node Talk" and told["request"]["sampling"]["seed"] == 41
    assert told["request"]["connected"] == ["face_model", "motion_model"] and "torch" in told["versions"]
    told = json.loads(render[0])
    assert told["request"]["crf"] == 30 and told["request"]["rendering"]["expression"] == "auto"
    assert unmarked == disabled == ["", ""]
