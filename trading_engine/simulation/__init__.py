"""Deterministic simulation: the real runtime against an exchange and a network that fail from a seed.

What belongs here: virtual time, the faulty network, process deaths, the oracles and the deliberate breaks
that prove them. What does not: anything a live engine imports.
"""
