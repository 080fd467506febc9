"""Experiments that each answer one question, run by ``python -m training experiment NAME``."""
