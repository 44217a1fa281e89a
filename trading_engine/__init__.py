"""A crash-safe engine for crypto perpetual futures: every order is a committed row before it is sent."""

__version__ = "0.1.0"
