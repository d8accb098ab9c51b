"""What is too large for X's floating-point type, named."""

import numpy as np
import scipy.sparse as sp

__all__ = ["largest", "overflow_named"]


def overflow_named(X):
    """Make an overflow, inside, an error that says of what; and an underflow nothing, whatever the caller's settings.

    NumPy is told to raise the error itself: a FloatingPointError inside is then the caller's own, of a callback, say.
    """

    def raise_named(*_):
        raise ValueError(
            f"X or sample_weight is too large for {X.dtype}: the largest |X| is {largest(X):.2g}, and the squares of "
            f"X, weighted and added up, must stay below {np.finfo(X.dtype).max:.2g}. Divide them."
        )

    return np.errstate(over="call", invalid="call", under="ignore", call=raise_named)


def largest(X):
    """The largest |x|; SciPy's abs and max of a CSR would sort its entries, which are the caller's."""
    values = X.data if sp.issparse(X) else X
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))
