"""Composition: the only place that knows all parts and lets time pass."""
