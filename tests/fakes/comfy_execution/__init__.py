"""ComfyUI's execution without ComfyUI."""
