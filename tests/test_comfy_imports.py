"""Everything of ComfyUI that the nodes import or ask of its modules, against a list of what the versions tried have.

The list is what a reader of a new ComfyUI has to look at. A name that some version lacks is asked for with ``hasattr``
or ``getattr`` and is not listed.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THEIRS = ("comfy", "comfy_api", "comfy_execution", "folder_paths", "server", "nodes", "execution")
#: Found in the cores 0.3.64 and 0.33 by the tests on real servers, and those of folder_paths in a later source too.
EVERYWHERE = {
    "comfy.audio_encoders.audio_encoders": {"load_audio_encoder_from_sd"},
    "comfy.cli_args": {"args"},
    "comfy.model_management": {
        "get_free_memory",
        "get_torch_device",
        "load_models_gpu",
        "should_use_fp16",
        "soft_empty_cache",
        "throw_exception_if_processing_interrupted",
        "torch",
        "unet_offload_device",
    },
    "comfy.model_patcher": {"ModelPatcher"},
    "comfy.utils": {"ProgressBar", "load_torch_file"},
    "comfy_api": {"feature_flags"},
    "comfy_api.latest": {"ComfyExtension", "InputImpl", "io", "ui"},
    "comfy_execution.utils": {"get_executing_context"},
    "folder_paths": {
        "add_model_folder_path",
        "folder_names_and_paths",
        "get_filename_list",
        "get_folder_paths",
        "get_full_path",
        "get_full_path_or_raise",
        "get_input_directory",
        "get_output_directory",
        "get_save_image_path",
        "get_temp_directory",
        "models_dir",
    },
    "server": {"PromptServer"},
}
#: Of one version only, each behind a question whether it is there.
SOMEWHERE = {"comfy.model_management": {"is_oom", "OOM_EXCEPTION"}, "comfy.model_patcher": {"CoreModelPatcher"}}


def asked_of_comfyui(tree: ast.AST) -> tuple[dict[str, set[str]], set[str]]:
    """Names by module that a file takes from ComfyUI, and those that it asks for by ``hasattr`` or ``getattr``."""
    names: dict[str, str] = {}
    taken: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            theirs = [one for one in node.names if one.name.split(".")[0] in THEIRS]
            names.update({one.asname or one.name: one.name for one in theirs})
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in THEIRS:
            taken.setdefault(str(node.module), set()).update(one.name for one in node.names)
    questions = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := names.get(ast.unparse(node.value))):
            if f"{module}.{node.attr}" not in names.values():  # a module of theirs inside another
                taken.setdefault(module, set()).add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("hasattr", "getattr"):
            questions.add(ast.unparse(node.args[1]).strip("'\""))
    return taken, questions


def test_nothing_of_comfyui_is_used_that_is_not_on_the_list() -> None:
    used: dict[str, set[str]] = {}
    for path in [ROOT / "__init__.py", *sorted((ROOT / "nodes").rglob("*.py"))]:
        taken, questions = asked_of_comfyui(ast.parse(path.read_text(encoding="utf-8")))
        for module, found in taken.items():
            some = SOMEWHERE.get(module, set())
            if found & some:  # one of two names that follow each other
                assert questions & some, f"{path.name} uses {sorted(found & some)} of {module} without asking for it"
            used.setdefault(module, set()).update(found - some)
    assert used == EVERYWHERE, "a new name has to be looked up in every ComfyUI that is promised, then listed here"


def test_core_and_training_know_nothing_of_comfyui() -> None:
    for path in [*(ROOT / "playmate_core").rglob("*.py"), *(ROOT / "training").rglob("*.py")]:
        taken, _ = asked_of_comfyui(ast.parse(path.read_text(encoding="utf-8")))
        assert not {name for name in taken if name.split(".")[0] not in ("nodes", "execution")}, path


def test_what_is_used_is_seen() -> None:
    text = "import comfy.utils as of\nfrom comfy.a import b\nif hasattr(of, 'is_oom'):\n    of.is_oom(1)\nof.new()"
    taken, questions = asked_of_comfyui(ast.parse(text))
    assert taken == {"comfy.a": {"b"}, "comfy.utils": {"is_oom", "new"}} and questions == {"is_oom"}
