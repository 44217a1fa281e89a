"""Recorded streams served again, as the venue would serve them."""
