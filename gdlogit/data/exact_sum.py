"""Sums whose order does not matter."""

import numpy as np

from .overflow import overflow_as_here

__all__ = ["ExactSum"]


class ExactSum:
    """A sum of floats, or of arrays of floats, and the rounding error of that sum.

    With twice the precision the order of the sum does not matter. So a fit gives the same bits wherever the parts lie,
    and whichever worker is lost.

    References
    ----------
    Knuth, "The Art of Computer Programming", volume 2 (1997), section 4.2.2 (the rounding of a sum, exactly).
    """

    def __init__(self, high, low):
        self.high, self.low = high, low

    @classmethod
    def of(cls, value):
        """The sum of one value; values other than floats are returned, and are added up, as they are."""
        is_float = isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")
        return cls(value, np.zeros_like(value)) if is_float else value

    def __add__(self, other):
        """The sum of both."""
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            high = self.high + other.high
            moved = high - self.high
            rounding = (self.high - (high - moved)) + (other.high - moved)
            return ExactSum(high, self.low + other.low + rounding)

    def value(self):
        """The sum, rounded. An overflow is handled by NumPy's settings of the caller."""
        if not np.isfinite(self.high).all():
            overflow_as_here()
            return self.high
        return self.high + self.low
