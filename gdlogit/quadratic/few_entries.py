r"""The quadratic model with an l1 penalty on few rows, minimised over few entries of theta by their formed Hessian.

A minimum with l1 has few nonzeros where rows are few, whatever the number of parameters. So the model is minimised over
a working set of entries (feature j, class c): those that are not 0, those without l1, and the zeros whose slope is
furthest beyond their strength. The Hessian of m entries costs n m^2 multiplications, on few rows no more than some
products with all parameters:

    H_(jc),(lc') = 1/S sum_i s_i x_ij x_il B_i[c, c'] + penalty,    B_i = the Hessian of row i's loss in its scores.

With H formed, a change of signs costs a factorisation of the nonzeros, and no new conjugate gradients. One product with
all parameters then shows which other entries have a slope beyond their strength. They join the working set.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .lasso import PROXIMAL_RESIDUAL, minimise_formed
from .price import pass_price

__all__ = ["L1Entries", "entries_metric"]

WORTH_PRODUCTS = 50  # price of the Hessian of the entries in products, at most: a solve by products takes up to 700
FILLED = 0.9  # nonzeros / most entries, at most: there must be room for zeros that leave 0
FEW_ROWS = 2000  # with more, Newton's step is not tried far from the minimum, where most products are taken
ROUNDS = 8  # of the working set, at most
SLOPE_BEYOND = 1e-3  # slope beyond the strength / strength, of a zero that stays out


class L1Entries(NamedTuple):
    """M around a point where the loss has curvature c, for at most ``most`` entries of theta at a time.

    ``other`` makes the metric by products, for a minimum with more entries.
    """

    objective: Any
    c: Any
    most: int
    other: Callable

    def step_and_fall(self, point, rtol=PROXIMAL_RESIDUAL, most_products=np.inf):
        """The step to about the minimum of the model, where a round adds no more than a part rtol; how far it falls."""
        theta, slope, fall = point.theta, point.gradient, 0.0
        product, strength = self.objective.hessian_product(self.c), self.objective.penalty.l1_strengths(theta.shape)
        for _ in range(ROUNDS):
            entries = working_entries(theta, slope, strength, self.most)
            hessian = hessian_of(self.objective, self.c, entries)
            arrays = (array[entries] for array in (slope, theta, strength))
            x, more, _ = minimise_formed(hessian, *arrays, lambda x: x, point.value)
            theta, fall = theta.copy(), fall + float(more)
            theta[entries] = x
            direction = theta - point.theta
            slope = point.gradient + product(direction)
            beyond = ~entries & (np.abs(slope) > (1 + SLOPE_BEYOND) * strength)
            if fall > point.value or not beyond.any() or more <= rtol * fall:
                return direction, fall
        return self.other().step_and_fall(point, rtol, most_products)

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]


def entries_metric(objective, point, c, other):
    """``L1Entries`` at a point where the loss has curvature c; None where rows are many or nonzeros too dear."""
    n, k = objective.n_rows, objective.shape[1]
    if k == 1 or n > FEW_ROWS or not objective.is_in_memory:
        return None
    worth = WORTH_PRODUCTS * pass_price(objective)
    most = int(min(np.sqrt(worth / n), np.cbrt(worth), objective.formed_parameters))
    fixed = (point.theta != 0) | (objective.penalty.l1_strengths(point.theta.shape) == 0)
    return L1Entries(objective, c, most, other) if np.count_nonzero(fixed) <= FILLED * most else None


def working_entries(theta, slope, strength, most):
    """A mask: the nonzeros, the entries without l1, and the zeros furthest beyond their strengths, ``most`` in all."""
    fixed = (theta != 0) | (strength == 0)
    ratio = np.divide(np.abs(slope), strength, out=np.zeros_like(slope), where=~fixed)
    beyond, room = ratio > 1, max(0, most - np.count_nonzero(fixed))
    if np.count_nonzero(beyond) > room:
        beyond &= ratio > np.partition(ratio, -room - 1, axis=None)[-room - 1]
    return fixed | beyond


def hessian_of(objective, c, entries):
    """The Hessian of the entries, in the order of theta's rows, where the loss has curvature c."""
    n, (p, k) = objective.n_rows, objective.shape
    feature, score = np.nonzero(entries)
    objective.passes += len(feature) ** 2 * n / (2 * objective.work * k)
    shares, H = objective.weighed(np.ones((n, 1))), np.zeros((len(feature), len(feature)))
    by_score = [np.flatnonzero(score == one) for one in range(k)]
    for some, filled in objective.filled_parts():
        X = filled[:, feature].astype(float)
        for one, rows in enumerate(by_score):
            bend = shares[some] * bend_of(objective.loss, c[some], one)
            for another, columns in enumerate(by_score[: one + 1]):
                H[np.ix_(rows, columns)] += X[:, rows].T @ (bend[:, another, None] * X[:, columns])
    for one, rows in enumerate(by_score):
        for columns in by_score[:one]:
            H[np.ix_(columns, rows)] = H[np.ix_(rows, columns)].T
    np.einsum("ii->i", H)[:] += objective.penalty_curvature[entries]
    intercepts = np.flatnonzero(feature == p - 1)
    if len(intercepts) > 1:  # no softmax sees a shift of all intercepts: any curvature will do there
        H[np.ix_(intercepts, intercepts)] += H[intercepts, intercepts].mean() / len(intercepts)
    return H


def bend_of(loss, c, score):
    """The column of a score in each row's Hessian in its scores, (n, k)."""
    unit = np.zeros_like(c)
    unit[:, score] = 1.0
    bend = loss.bend(c, unit)
    bend[:, score] = loss.bend_diagonal(c)[:, score]  # which keeps the curvature of a row that is nearly certain
    return bend
