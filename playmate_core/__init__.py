"""Playmate's core library: portrait + speech -> motion -> video. Does not depend on ComfyUI."""
