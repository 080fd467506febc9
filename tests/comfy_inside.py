"""Run by ComfyUI's Python in a checkout of it, with this folder on the path: what needs no server, said as JSON.

How long the pack takes to import beside what ComfyUI has imported anyway, and whether a model that ComfyUI moved
only in part (short of memory, or --novram) is whole on the device while a node works. The device is "meta": a graphics
card that is not there.
"""

from __future__ import annotations

import json
import os
import sys
import time

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
card, asked = torch.device("meta"), []


def part_moved(patchers: list, **how: object) -> None:
    """Short of memory, or with --novram: only the first layer goes to the card."""
    asked.append(how)
    for patcher in patchers:
        patcher.model[0].to(card)


mm.load_models_gpu, mm.get_torch_device = part_moved, lambda: card
held = runtime.manage(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)))
with runtime.loaded(held, memory=1e6) as (module,):
    places = sorted({value.device.type for value in module.parameters()})
hooks = sum(len(part._forward_pre_hooks) for part in module.modules())
json.dump({"imported": imported, "places": places, "asked": asked, "hooks": hooks}, sys.stdout)
