"""As much of ComfyUI's node interface as our nodes use; kept honest by tests/data/nodes.json, a real server's words."""
