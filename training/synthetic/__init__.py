"""A procedural talking-head corpus with exact ground truth (design: docs/method.md 4.1)."""
