"""As much of ComfyUI's execution as our nodes ask."""
