r"""Coordinate descent on a least-squares problem with an elastic net: scikit-learn's, which is compiled.

    1/2 |F x - y|^2 + l2 / 2 |x|^2 + l1 |x|_1

A sweep minimises over one coordinate after another, in closed form: l1 moves x_j towards 0, and zeros are exact. The
start needs no right signs. Where the columns of F are nearly orthogonal, a few tens of sweeps reach the minimum; where
the columns are correlated, the sweeps are slow, and Newton's method finishes.

References
----------
Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via coordinate descent", J. Stat.
Softw. 33 (2010).
"""

import os
import threading
import warnings

import numpy as np
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import enet_path

__all__ = ["swept"]

UNUSED = np.random.RandomState(0)  # made once: seeding one takes as long as a sweep
FILTERS = threading.Lock()  # a process has one list of warning filters: two fits must not restore each other's
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=FILTERS.acquire, after_in_parent=FILTERS.release, after_in_child=FILTERS.release)


def swept(F, y, x, l1, l2, sweeps):
    """The x after a number of sweeps from a given x.

    F (n, p) is CSC with indices of 32 bits, or Fortran-ordered, in float64 or float32.
    """
    y, x = y.astype(F.dtype, copy=False), x.astype(F.dtype)
    strength = l1 + l2
    with FILTERS, warnings.catch_warnings(), config_context(skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few sweeps need not converge
        _, path, _ = enet_path(
            F,
            y,
            alphas=[strength / len(y)],
            l1_ratio=l1 / strength,
            coef_init=x,  # a copy, as enet_path writes to this array
            precompute=False,
            check_input=False,
            max_iter=sweeps,
            tol=0.0,
            random_state=UNUSED,  # sweeps in order draw nothing; None would load NumPy's global generator
        )
    return path[:, 0]
