"""Multiplying and dividing without leaving 64 bits.

What belongs here: integer arithmetic with a named rounding direction. What does not: what a number means.

Python's `//` rounds towards minus infinity, interpreted and compiled; each function here says which way
it rounds, and each is exact otherwise.
"""

MILLI = 1_000
PPM = 1_000_000
E8 = 100_000_000


def divide_ceil(value: int, divisor: int) -> int:
    """The smallest whole number not below value / divisor; divisor > 0."""
    return -(-value // divisor)


def scale_floor(value: int, multiplier: int, divisor: int) -> int:
    """The largest whole number not above value × multiplier / divisor; divisor > 0.

    The quotient and the remainder of value / divisor are multiplied apart, so nothing overflows while
    the result and divisor × |multiplier| fit: 1e18 × 1e8 / 1e8 does.
    """
    return value // divisor * multiplier + value % divisor * multiplier // divisor


def scale_ceil(value: int, multiplier: int, divisor: int) -> int:
    """The smallest whole number not below value × multiplier / divisor; bounds as `scale_floor`."""
    return -scale_floor(value, -multiplier, divisor)


def ratio_floor(numerator: int, denominator: int, digits: int) -> int:
    """The largest whole number not above numerator × 10^digits / denominator; 0 < denominator < 1.8e18.

    Long division, a digit at a time and each digit as a factor 5 and a factor 2, because ten times a
    remainder of 1e18 does not fit and five times does. The result must fit.
    """
    quotient = numerator // denominator
    rest = numerator % denominator
    for _ in range(digits):
        for factor in (5, 2):
            rest *= factor
            quotient = quotient * factor + rest // denominator
            rest %= denominator
    return quotient


def ratio_ceil(numerator: int, denominator: int, digits: int) -> int:
    """The smallest whole number not below numerator × 10^digits / denominator; bounds as `ratio_floor`."""
    return -ratio_floor(-numerator, denominator, digits)


def root_floor(value: int) -> int:
    """The largest whole number whose square is not above value; value ≥ 0.

    Newton's steps from above, which fall until they are there: `math.isqrt` is beyond numba, floats are not exact.
    """
    root = value
    following = value // 2 + value % 2
    while following < root:
        root = following
        following = (root + value // root) // 2
    return root


def root_ceil(value: int) -> int:
    """The smallest whole number whose square is not below value; value ≥ 0."""
    root = root_floor(value)
    return root if root * root == value else root + 1


def share_half_even(amount: int, part: int, whole: int) -> int:
    """amount × part / whole to the nearest whole number, halves to the even one; amount ≥ 0, 0 ≤ part ≤ whole.

    Divides first, as `scale_floor`, so that only whole × part must fit: quantities up to 3e9 steps.
    """
    rest = amount % whole * part
    share = amount // whole * part + rest // whole
    rest %= whole
    if 2 * rest > whole or (2 * rest == whole and share % 2 == 1):
        return share + 1
    return share
