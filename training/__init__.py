"""Train Playmate's networks: ``python -m training corpus|face|stage1|stage2|evaluate``."""
