"""Playmate's core: a portrait and a voice become a motion, and a motion becomes a video. Knows no ComfyUI."""
