"""Adapters to venues: they translate, they never decide, retry a submit or hold state of the engine."""
