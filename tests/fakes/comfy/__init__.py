"""ComfyUI without ComfyUI."""
