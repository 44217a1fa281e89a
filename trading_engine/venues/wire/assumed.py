"""What is assumed of a contract where a venue tells it only to accounts.

What belongs here: these figures. What does not: facts that anybody is told (each venue).
"""

from decimal import Decimal

LEVERAGE = Decimal(50)
MAINTENANCE_RATE = Decimal("0.005")
LARGEST_NOTIONAL = Decimal(10_000_000_000)
