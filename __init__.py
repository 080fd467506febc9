"""ComfyUI's door to Playmate. Anything else that imports this folder, pytest for one, finds an empty package."""

if __package__:
    from .nodes import comfy_entrypoint

    WEB_DIRECTORY = "./nodes/web"

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
