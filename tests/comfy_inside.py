"""Run by ComfyUI's Python in a checkout of it, with this folder on the path: what needs no server, said as JSON.

How long the pack takes to import beside what ComfyUI has imported anyway; whether a model is the same after ComfyUI has
unloaded all, and gone when nobody holds it; what becomes of an out-of-memory error while drawing; and where a model is
while a node works and afterwards, with --lowvram and with --novram. The graphics card of those is the device "meta",
which holds nothing.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
import weakref
from importlib import import_module

sys.argv = ["main.py", "--cpu"]
sys.path.insert(0, os.getcwd())  # ComfyUI's, as when main.py is run

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_management as mm  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.utils  # noqa: E402
import comfy_api.latest  # noqa: E402,F401
import execution  # noqa: E402,F401
import node_session  # noqa: E402
import torch  # noqa: E402

import nodes  # noqa: E402,F401

began = time.process_time()
pack = node_session.load_pack()
imported = time.process_time() - began
runtime = sys.modules["custom_pack.nodes.runtime"]

held = runtime.manage(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)))
outcomes, counts = [], []
for _ in range(2):
    with runtime.loaded(held, memory=1e6) as (module,):
        outcomes.append(module(torch.ones(1, 2)).detach())
    counts.append(len(mm.current_loaded_models))
    mm.unload_all_models()
    counts.append(len(mm.current_loaded_models))
last = weakref.ref(held.module)
del held, module
gc.collect()
module_gone = last() is None

core, drawing = (import_module(f"custom_pack.{name}") for name in ("playmate_core", "nodes.drawing"))
face_room, values, portrait_room, render_room, video_room = (
    import_module(f"{core.__name__}.{name}")
    for name in ("face", "values", "rendering.portrait", "rendering.render", "rendering.write_video")
)
face = face_room.FaceModel(face_room.FaceConfig.tiny()).eval()
managed = runtime.manage(face)
person = portrait_room.read_portrait(face, torch.rand(64, 64, 3))
motion, options = (
    values.Motion(values.Pose(torch.zeros(5, 3), torch.zeros(5, 3), torch.ones(5, 1)), torch.zeros(5, 21, 3)),
    render_room.RenderOptions(profile="plain"),
)
fits, tried = [1], []


def short(module: object, given: tuple) -> None:
    tried.append(len(given[2]))
    if tried[-1] > fits[0]:
        raise mm.OOM_EXCEPTION("CUDA out of memory.")


def drawn() -> int | str:
    """The frames that came, or what ComfyUI would take the error for."""
    try:
        bar = runtime.Bar()
        with drawing.render_job(managed, person, motion, options, video_room.Composition(), bar) as job:
            return sum(len(batch) for batch in job.pictures(bar))
    except Exception as problem:
        return "out of memory" if isinstance(problem, mm.OOM_EXCEPTION) else repr(problem)


face.warping.register_forward_pre_hook(short)
frames = drawn()
fits[0] = 0
never = drawn()

card = torch.device("meta")
mm.get_torch_device = lambda: card
mm.get_free_memory = lambda device=None, torch_free_too=False: (1e4, 1e4) if torch_free_too else 1e4


class Watched(torch.nn.Sequential):
    """Comes back from the card, which holds nothing, without its numbers."""

    def to(self, device: torch.device) -> torch.nn.Module:
        return self.to_empty(device=device)


def where(module: torch.nn.Module) -> list[str]:
    return sorted({value.device.type for value in module.parameters()})


places, hooks = {}, 0
for state in (mm.VRAMState.LOW_VRAM, mm.VRAMState.NO_VRAM):
    mm.vram_state = state
    held = runtime.manage(Watched(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)))
    mm.load_models_gpu([held.patcher], force_full_load=True)
    places[state.name] = [where(held.module)]
    with runtime.loaded(held, memory=1e6) as (module,):
        places[state.name].append(where(module))
    places[state.name].append(where(module))
    hooks += sum(len(part._forward_pre_hooks) for part in module.modules())
told = {"imported": imported, "places": places, "hooks": hooks, "frames": frames, "never": never}
told |= {"same": torch.equal(*outcomes), "counts": counts, "gone": module_gone}
json.dump(told, sys.stdout)
