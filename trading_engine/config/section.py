"""What all sections of the configuration share.

What belongs here: the base class. What does not: any key.
"""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: frozen, unknown keys refused, defaults checked like everything else."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        defer_build=True,  # only the outermost model validates
    )
