"""Sums whose order does not matter."""

import numpy as np

from .overflow import overflow_as_here

__all__ = ["ExactSum"]


class ExactSum:
    """A sum of floats, or of arrays of them, with what rounding has taken off it.

    In twice the precision the order of the sum does not matter, so a fit has the same bits wherever the parts lie, and
    whichever worker is lost meanwhile.

    References
    ----------
    Knuth, "The Art of Computer Programming", volume 2 (1997), section 4.2.2 (the rounding of a sum, exactly).
    """

    def __init__(self, high, low):
        self.high, self.low = high, low

    @classmethod
    def of(cls, value):
        """The sum of one value; what is no float is added up as it is."""
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
        """The sum, rounded; an overflow is one here, where NumPy's settings may name it."""
        if not np.isfinite(self.high).all():
            overflow_as_here()
            return self.high
        return self.high + self.low
