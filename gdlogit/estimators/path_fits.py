"""The fits of a path over C and l1_ratio, to all rows and to the rows of every fold."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..backprop import loss_of
from ..paths import paths
from ..problem import Problem
from ..typing import Floats

__all__ = ["Found", "embedded", "print_point"]

NEVER = -1e30  # the score of a class that a fold has not seen: its probability is 0


class Found(NamedTuple):
    """What the fits have found, as arrays over (l1_ratio, C, weighting), the first of which is that of all rows."""

    theta: Floats
    excess: Any
    gap: Any
    n_iter: Any
    converged: Any
    interrupted: list[bool]

    @classmethod
    def of(cls, shape):
        """Nothing found so far, for theta of a shape (n_l1_ratios, n_cs, n_weightings, p + 1, k)."""
        each = shape[:3]
        numbers = np.zeros(each, np.int32), np.zeros(each, dtype=bool)
        return cls(np.full(shape, np.nan), np.full(each, np.nan), np.full(each, np.nan), *numbers, [])

    def keep(self, where, *values):
        """Take down what was found at a point."""
        for part, value in zip(self, values, strict=False):
            part[where] = value

    @property
    def reached(self):
        """At which points all weightings have a solution."""
        return np.isfinite(self.theta[..., -1, 0]).all(axis=2)


def embedded(
    X, codes, weight, lacking, Cs, l1_ratio, n_classes, *, intercept, settings, rng, factors=None, offset=None
) -> Iterable[Any]:
    """The path of a fold that lacks some classes, in the theta of all classes: theirs have the probability 0."""
    present = np.setdiff1d(np.arange(n_classes), lacking)
    shape = X.shape[1] + 1, loss_of(n_classes).n_outputs
    theta = np.zeros(shape)
    if n_classes == 2:
        theta[-1] = NEVER if present[0] == 0 else -NEVER
    else:
        theta[-1, lacking] = NEVER
    if len(present) == 1:
        for i in range(len(Cs)):
            yield i, theta, 0.0, 0, True
        return
    known = np.flatnonzero(weight > 0)
    some = np.zeros_like(codes)
    some[known] = np.searchsorted(present, codes[known])
    if offset is not None:
        offset = np.diff(offset[:, present]) if len(present) == 2 else offset[:, present]
    problem = Problem.of(X, some, weight, len(present), intercept=intercept, factors=factors, offset=offset)
    for i, fits in paths(problem, np.ones((len(codes), 1), np.uint8), Cs, l1_ratio, settings, rng):
        of_fold = theta.copy()
        found = fits.theta[0]
        of_fold[:, present] = np.hstack([-found / 2, found / 2]) if len(present) == 2 else found
        yield i, of_fold, fits.excess[0], fits.n_iter[0], fits.converged[0]


def print_point(l1_ratio, C, found, r, i):
    """One line for a point of the grid."""
    nonzero = np.count_nonzero(found.theta[r, i, 0, :-1].any(axis=1))
    print(
        f"l1_ratio {l1_ratio:<5.3g}   C {C:<10.4g}   nonzero {nonzero:<6d}   gap {found.gap[r, i, 0]:<8.1e}   "
        f"fits {found.n_iter.shape[2]}   iterations {found.n_iter[r, i].max()}"
    )
