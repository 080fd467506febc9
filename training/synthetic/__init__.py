"""A procedural talking-head corpus with exact ground truth (design: METHOD.md 4.1)."""
