"""The fits of a path over C and l1_ratio, to all rows and to the rows of every fold."""

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ..backprop import loss_of
from ..paths import paths
from ..problem import Problem
from ..typing import Floats

__all__ = ["Found", "fit_all"]

MUCH_MEMORY = 2**30  # bytes of coefficients that a user may not expect
NEVER = -1e30  # the score of a class that a fold has not seen: its probability is 0


class Found(NamedTuple):
    """What the fits have found, as arrays over (l1_ratio, C, weighting), the first of which is that of all rows."""

    theta: Floats
    excess: Any
    gap: Any
    n_iter: Any
    converged: Any
    separable: Any
    interrupted: list[bool]

    @classmethod
    def of(cls, shape):
        """Nothing found so far, for theta of a shape (n_l1_ratios, n_cs, n_weightings, p + 1, k)."""
        each = shape[:3]
        numbers = np.zeros(each, np.int32), np.zeros(each, dtype=bool), np.zeros(each, dtype=bool)
        return cls(np.full(shape, np.nan), np.full(each, np.nan), np.full(each, np.nan), *numbers, [])

    def keep(self, where, *values):
        """Take down what was found at a point."""
        for part, value in zip(self, values, strict=False):
            part[where] = value

    @property
    def reached(self):
        """At which points all weightings have a solution."""
        return np.isfinite(self.theta[..., -1, 0]).all(axis=2)


def fit_all(estimator, problem, folds, grid, rows, settings, rng, task):
    """All fits, of all rows first: until an interrupt, or until a callback asks to stop."""
    found = Found.of((*grid.shape, folds.shares.shape[1], *problem.shape))
    if problem.bounds is not None and len(folds.complete) < folds.shares.shape[1]:
        raise ValueError("coef_bounds and monotonic_cst need every class in the training part of every fold.")
    if found.theta.nbytes > MUCH_MEMORY:
        warnings.warn(f"The coefficients of all fits take {found.theta.nbytes / 2**30:.1f} GB.", stacklevel=4)
    try:
        for r, (Cs, l1_ratio) in enumerate(zip(*grid, strict=True)):
            fit_incomplete(estimator, problem, folds, (r, Cs, l1_ratio), rows, settings, rng, found)
            for i, fits in paths(problem, folds.shares[:, folds.complete], Cs, l1_ratio, settings, rng):
                task.begin_iteration(None)
                found.keep((r, i, folds.complete), *fits)
                if estimator.verbose:
                    print_point(l1_ratio, Cs[i], found, r, i)
                if task.end_iteration(None):
                    return found
    except KeyboardInterrupt:
        if not found.reached.any():
            raise
        found.interrupted.append(True)
    return found


def fit_incomplete(estimator, problem, folds, row, rows, settings, rng, found):
    """The fits of the folds that lack a class, at one row of the grid: its number, its values of C and its l1_ratio."""
    r, Cs, l1_ratio = row
    terms = {"intercept": estimator.fit_intercept, "factors": problem.factors, "settings": settings, "rng": rng}
    for f in np.setdiff1d(np.arange(folds.shares.shape[1]), folds.complete):
        weight = rows.weight * folds.shares[:, f]
        given = rows.X, rows.codes, weight, folds.lacking[f], Cs, l1_ratio, len(rows.classes)
        for i, *of_fold in embedded(*given, offset=rows.offset, **terms):
            found.keep((r, i, f), *of_fold[:2], np.nan, *of_fold[2:])


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
            yield i, theta, 0.0, 0, True, False
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
        yield i, of_fold, fits.excess[0], fits.n_iter[0], fits.converged[0], fits.separable[0]


def print_point(l1_ratio, C, found, r, i):
    """One line for a point of the grid."""
    nonzero = np.count_nonzero(found.theta[r, i, 0, :-1].any(axis=1))
    print(
        f"l1_ratio {l1_ratio:<5.3g}   C {C:<10.4g}   nonzero {nonzero:<6d}   gap {found.gap[r, i, 0]:<8.1e}   "
        f"fits {found.n_iter.shape[2]}   iterations {found.n_iter[r, i].max()}"
    )
