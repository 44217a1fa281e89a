"""Configuration: one strict YAML file, the environment, a few overrides; frozen once read.

What belongs here: what a person may set, and telling them what is wrong with it. What does not: turning
it into the values of other layers (runtime) and what a strategy's own settings mean (strategy).
"""

from trading_engine.config.fields import ppm
from trading_engine.config.load import load_config
from trading_engine.config.model import Config
from trading_engine.config.schema import json_schema
from trading_engine.config.show import config_hash, redacted

__all__ = ["Config", "config_hash", "json_schema", "load_config", "ppm", "redacted"]
