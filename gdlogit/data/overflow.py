"""Errors for numbers that are too large or too small for X's floating-point type."""

import numpy as np
import scipy.sparse as sp

__all__ = ["held", "largest", "overflow_as_here", "overflow_named"]


def overflow_named(X):
    """A context in which an overflow raises an error that names X, and underflows are ignored.

    NumPy raises the error itself, whatever the caller's settings. So a FloatingPointError in the context is the
    caller's own, for instance of a callback.
    """

    def raise_named(*_):
        raise ValueError(
            f"X or sample_weight is too large for {X.dtype}: the largest |X| is {largest(X):.2g}, and the squares of "
            f"X, weighted and added up, must stay below {np.finfo(X.dtype).max:.2g}. Divide X or sample_weight."
        )

    return np.errstate(over="call", invalid="call", under="ignore", call=raise_named)


def held(theta, dtype):
    """Theta in the floating-point type of X; a ValueError that names X if a coefficient is too large for the type."""
    with np.errstate(over="ignore", under="ignore"):
        coefficients = theta.astype(dtype)
    if np.isinf(coefficients).any():
        raise ValueError(
            f"X is too small for {dtype}: a coefficient would be larger than {np.finfo(dtype).max:.2g}. "
            f"Multiply X{', or use float64' if dtype == np.float32 else ''}."
        )
    return coefficients


def largest(X):
    """The largest |x|. SciPy's abs and max of a CSR matrix would sort the caller's entries."""
    values = X.data if sp.issparse(X) else X
    return max(float(values.max(initial=0)), -float(values.min(initial=0)))


def overflow_as_here():
    """Call what NumPy's settings here would call for an overflow, which may raise an error of its own."""
    if np.geterr()["over"] == "call":
        np.geterrcall()("overflow", 0)
