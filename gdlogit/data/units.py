"""Units of the features: powers of two, for features whose squares would leave X's floating-point type.

A Hessian has sums of squares of the features. The square of 1e-23 is 0 in float32, so such a feature would seem to be
0, and the square of 1e25 is infinite. Such a feature is divided by a power of two, which rounds nothing, and its
coefficient is divided by the same power at the end: see ``Rows.enter`` and ``Rows.leave``. The power is no larger than
necessary, because the penalty must have a finite strength in these units, too.
"""

import numpy as np
import scipy.sparse as sp

__all__ = ["largest_of_features", "least_and_most", "measured_in", "unit_of"]

# Exponents of two between which the largest |x| of a feature may be. Then even a spread that is the rounding of an
# offset has a nonzero square, and 10^8 squares add up to a finite number.
EXPONENTS = {np.dtype(np.float32): (-40, 50), np.dtype(np.float64): (-300, 300)}


def least_and_most(dtype):
    """The smallest and the largest size of a feature that needs no unit."""
    low, high = EXPONENTS[dtype]
    return 2.0**low, 2.0**high


def unit_of(sizes, dtype):
    """The unit of each feature, (p,), from the largest |x| of each; 1.0 where no feature needs a unit."""
    exponent = np.frexp(sizes)[1]
    beyond = np.where(np.greater(sizes, 0), exponent - exponent.clip(*EXPONENTS[dtype]), 0)
    return np.ldexp(1.0, beyond) if beyond.any() else 1.0


def largest_of_features(X, some):
    """The largest |x| of some features, dense or CSR, in float64."""
    if not sp.issparse(X):
        X = X[:, some]
        return np.maximum(X.max(axis=0), -X.min(axis=0)).astype(float)
    sizes = np.zeros(X.shape[1])
    np.maximum.at(sizes, X.indices, np.abs(X.data))
    return sizes[some]


def measured_in(X, unit):
    """A copy of X whose features are divided by powers of two, dense or CSR; X itself where the unit is 1.0."""
    if np.ndim(unit) == 0:
        return X
    if sp.issparse(X):
        data = (X.data / unit[X.indices]).astype(X.dtype, copy=False)
        return sp.csr_array((data, X.indices, X.indptr), shape=X.shape)
    X, some = np.array(X), unit != 1
    X[:, some] = X[:, some] / unit[some]  # in float64, for a unit may be outside of X's type
    return X
