"""A key pair that cannot be printed by accident.

What belongs here: holding a key and its secret. What does not: where they come from (config), signing (venues).
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """An API key and its secret; neither shows in a repr."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


NOBODY = Credentials("", "")  # for public questions
