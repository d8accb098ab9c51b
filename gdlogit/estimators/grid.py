"""The points of a path: values of C for each l1_ratio, which may come from the data."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from ..backprop import Sigmoid
from ..objective import FORMED_PARAMETERS, Objective
from ..penalty import ElasticNet
from ..problem import Coordinates, Problem
from .c_min import of_the_unpenalised, smallest_C

__all__ = ["Grid", "grid_of"]

# Effective degrees of freedom at the ends of a grid: their number at the first C, their share at the last.
FEWEST, MOST = 0.01, 0.99
# The last C is 100 times as large: a good fit has less curvature than theta = 0, and on letters the best C is 3 times.
BEYOND = 100
WIDE, TALL = 1e2, 1e4  # last C / C_min of a grid with l1: for more features than rows, and for more rows than features
NO_SIGNAL = 1e-4, 1e4  # the ends of a grid where no feature has any signal


class Grid(NamedTuple):
    """The values of C for each l1_ratio, ascending, (n_l1_ratios, n_cs); and the l1_ratios."""

    Cs: NDArray[np.float64]
    l1_ratios: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, Cs: Any, l1_ratios: Any) -> "Grid":
        """The grid that a user asks for: the values of C themselves, or their number."""
        l1_ratios = np.array([float(ratio) for ratio in l1_ratios])
        if isinstance(Cs, int | np.integer):
            return cls(np.stack([grid_of(problem, int(Cs), ratio) for ratio in l1_ratios]), l1_ratios)
        return cls(np.tile(np.unique(np.asarray(Cs, dtype=float)), (len(l1_ratios), 1)), l1_ratios)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many l1_ratios there are, and how many C for each."""
        return self.Cs.shape

    def point(self, index: int) -> tuple[float, float]:
        """C and l1_ratio of a point, by its index in ``cv_results_``."""
        r, i = divmod(int(index), self.shape[1])
        return float(self.Cs[r, i]), float(self.l1_ratios[r])


def grid_of(problem: Problem, n_Cs: int, l1_ratio: float) -> NDArray[np.float64]:
    """Values of C, in equal steps of log C, from hardly any effect of the features to hardly any penalty.

    With l1 the first is the smallest C with a nonzero coefficient. With l2 alone the ends follow from the effective
    degrees of freedom that the penalty leaves the features: df(C) = sum_j e_j / (e_j + 1 / C), with e_j the eigenvalues
    of the loss's Hessian at 0. Near a good fit the curvature is smaller, so the grid goes beyond the C at which nearly
    all degrees of freedom are left.
    """
    if l1_ratio > 0:
        first, rows = smallest_C(problem, l1_ratio, factors_of(problem), start_of(problem)), problem.rows
        last = first * (TALL if rows.n_rows > rows.n_features else WIDE)
    else:
        first, last = ends_of_ridge(*curvatures_at_zero(problem))
    if not (np.isfinite(first) and 0 < first < last):  # no feature has any signal
        first, last = NO_SIGNAL
    return np.geomspace(first, last, n_Cs)


def curvatures_at_zero(problem):
    """The eigenvalues of the Hessian at 0 of the summed loss, with the intercept fitted; and how often each occurs.

    Where there are too many parameters to form a Hessian, the Hessian's diagonal stands for the eigenvalues.
    """
    factors = factors_of(problem)
    rows = Coordinates.of_newton(problem.rows, FORMED_PARAMETERS if problem.factors is None else 0).rows
    objective, k = Objective(rows, Sigmoid(), ElasticNet(0.0)), problem.loss.n_outputs
    scale = objective.total * (4 / k if k > 1 else 1)  # a softmax has 1 / k where a sigmoid has 1 / 4
    zero = np.zeros(objective.shape)
    with objective.threads():
        if objective.n_parameters > FORMED_PARAMETERS:
            curvature = objective.hessian_diagonal(objective.curvature(objective.scores(zero)))[:-1, 0]
            some = np.isfinite(factors) & (factors > 0)
            return scale * curvature[some] / factors[some], max(1, k - 1)
        H = objective.hessian(zero)
    features = H[:-1, :-1]
    if H[-1, -1] > 0:
        features = features - np.outer(H[:-1, -1], H[-1, :-1]) / H[-1, -1]
    if problem.factors is not None:
        features = in_units_of_the_penalty(features, factors)
    return scale * np.linalg.eigvalsh(features), max(1, k - 1)


def in_units_of_the_penalty(H, factors):
    """The Hessian of the features with a penalty, where those without one are fitted; a factor 4 halves a unit."""
    free, some = np.flatnonzero(factors == 0), np.flatnonzero(np.isfinite(factors) & (factors > 0))
    pairs, unit = H[np.ix_(free, some)], np.sqrt(factors[some])
    fitted = pairs.T @ np.linalg.lstsq(H[np.ix_(free, free)], pairs)[0]
    return (H[np.ix_(some, some)] - fitted) / unit / unit[:, None]


def factors_of(problem):
    """The penalty factor of each feature."""
    return np.ones(problem.shape[0] - 1) if problem.factors is None else problem.factors


def start_of(problem):
    """The best theta of the features without any penalty; None where all have one, and the classes' shares are it."""
    free = np.flatnonzero(factors_of(problem) == 0)
    if not (len(free) or problem.has_offset):
        return None
    start = np.zeros(problem.shape)
    start[np.append(free, len(start) - 1)] = of_the_unpenalised(problem.restricted(free))
    return start


def ends_of_ridge(curvatures, times):
    """The C at which an l2 penalty leaves 0.01 degrees of freedom, and 100 times the C at which it leaves 99%."""
    seen = curvatures[curvatures > len(curvatures) * np.finfo(float).eps * curvatures.max(initial=0.0)]
    if not len(seen):
        return np.nan, np.nan

    def where(wanted):
        def beyond(log_C):
            return times * (1 / (1 + np.exp(-log_C) / seen)).sum() - wanted

        return np.exp(brentq(beyond, -np.log(seen.max()) - 40, -np.log(seen.min()) + 40))

    return where(FEWEST), BEYOND * where(MOST * times * len(seen))
