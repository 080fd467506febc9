"""ComfyUI's door to Playmate. Anything else that imports this folder, pytest for one, finds an empty package."""

from importlib.util import find_spec

if __package__ and find_spec("comfy_api"):
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./nodes/web"

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
