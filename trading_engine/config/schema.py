"""The configuration as JSON Schema, for editors and for reading.

What belongs here: the export. What does not: the descriptions (model).
"""

from typing import Any

from trading_engine.config.model import Config


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file; every key has a description."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Config.model_json_schema(by_alias=True, mode="validation"),
        "title": "trading-engine configuration",
    }
