r"""The quadratic model with an l1 penalty on few rows, minimised over few entries of theta by their formed Hessian.

A minimum with l1 has few nonzeros where rows are few, whatever the number of parameters. So the model is minimised over
a working set of entries (feature j, class c): those that are not 0, those without l1, and the zeros whose slope is
furthest beyond their strength. The Hessian of m entries costs n m^2 multiplications, on few rows no more than some
products with all parameters:

    H_(jc),(lc') = 1/S sum_i s_i x_ij x_il B_i[c, c'] + penalty,    B_i = diag(a_i) - a_i a_i^T,

With H formed, a change of signs costs a factorisation of the nonzeros, and no new conjugate gradients. One product with
all parameters then shows which other entries have a slope beyond their strength. They join the working set.
"""

from typing import Any, NamedTuple

import numpy as np

from .lasso import PROXIMAL_RESIDUAL, minimise_formed, most_products
from .price import CHOLESKY, pass_price

__all__ = ["L1Entries", "entries_metric"]

ENTRIES_SHARE = 0.5  # price of the entries in products / products that a solve by products may take, at most
FACTORS = 15  # of the Hessian of the entries, until the signs are right
FILLED = 0.9  # nonzeros / most entries, at most: there must be room for zeros that leave 0
FEW_ROWS = 2000  # with more, Newton's step is not tried far from the minimum, where most products are taken
FIRST_ENTRIES, GROWTH = 100, 2  # of a working set; size / nonzeros: the next round shows which others are needed
ROUNDS = 8  # of the working set, at most
SLOPE_BEYOND = 1e-3  # slope beyond the strength / strength, of a zero that stays out


class L1Entries(NamedTuple):
    """M around a point where the loss has curvature c, over few entries of theta at a time.

    ``products`` is the metric by products with all parameters, for a minimum with many nonzeros.
    """

    objective: Any
    c: Any
    products: Any

    def step_and_fall(self, point, rtol=PROXIMAL_RESIDUAL, most_products=np.inf):
        """The step to about the minimum of the model, where a round adds no more than a part rtol; how far it falls."""
        return self.by_entries(point, rtol) or self.products.step_and_fall(point, rtol, most_products)

    def by_entries(self, point, rtol):
        """The same by the Hessians of some entries; None where too many entries are not 0 at the minimum."""
        theta, slope, fall = point.theta, point.gradient, 0.0
        strength, most = self.objective.penalty.l1_strengths(theta.shape), most_entries(self.objective, rtol)
        if np.count_nonzero((theta != 0) | (strength == 0)) > FILLED * most:
            return None
        product = self.objective.hessian_product(self.c)
        for _ in range(ROUNDS):
            entries = working_entries(theta, slope, strength, most)
            hessian = hessian_of(self.objective, self.c, entries)
            arrays = (array[entries] for array in (slope, theta, strength))
            x, more, _ = minimise_formed(hessian, *arrays, lambda x: x, point.value)
            theta, fall = theta.copy(), fall + float(more)
            theta[entries] = x
            direction = theta - point.theta
            slope = point.gradient + product(direction)
            beyond = np.count_nonzero(~entries & (np.abs(slope) > (1 + SLOPE_BEYOND) * strength))
            if fall > point.value or not beyond or more <= rtol * fall:
                return direction, fall
            n_nonzeros = np.count_nonzero(x)
            if n_nonzeros > FILLED * len(x) and n_nonzeros + beyond > most:  # hardly any of them is 0
                return None
        return None

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]


def entries_metric(objective, c, products):
    """``L1Entries`` where the loss has curvature c; ``products`` where rows are many."""
    few = objective.shape[1] > 1 and objective.n_rows <= FEW_ROWS and objective.is_in_memory
    return L1Entries(objective, c, products) if few else products


def most_entries(objective, rtol):
    """How many entries may move: their Hessian and its factors are to cost less than a solve by products."""
    worth = ENTRIES_SHARE * most_products(rtol) * pass_price(objective)
    most = min(np.sqrt(worth / objective.n_rows), np.cbrt(worth / (FACTORS * CHOLESKY)))
    return int(min(most, objective.formed_parameters))


def working_entries(theta, slope, strength, most):
    """A mask: the nonzeros, the entries without l1, and the zeros furthest beyond their strengths.

    There are as many zeros as others, at least FIRST_ENTRIES and at most ``most`` in all. So a minimum with few
    nonzeros is found with small Hessians, wherever the search for them starts.
    """
    fixed = (theta != 0) | (strength == 0)
    ratio = np.divide(np.abs(slope), strength, out=np.zeros_like(slope), where=~fixed)
    n_fixed = np.count_nonzero(fixed)
    beyond, room = ratio > 1, max(0, min(most, max(FIRST_ENTRIES, GROWTH * n_fixed)) - n_fixed)
    if np.count_nonzero(beyond) > room:
        beyond &= ratio > np.partition(ratio, -room - 1, axis=None)[-room - 1]
    return fixed | beyond


def hessian_of(objective, c, entries):
    """The Hessian of the entries, in the order of theta's rows, where the loss has curvature c."""
    n, (p, k) = objective.n_rows, objective.shape
    feature, score = np.nonzero(entries)
    objective.passes += len(feature) ** 2 * n / (2 * objective.work * k)
    used, place = np.unique(feature, return_inverse=True)
    X, shares = objective.columns(used), objective.weighed(np.ones((n, 1)))
    weighted = X[:, place] * (np.sqrt(shares) * c)[:, score]
    H, bend = -(weighted.T @ weighted), shares * objective.loss.bend_diagonal(c)
    for one in range(k):  # with the curvature of a row that is nearly certain, which a - a^2 would lose
        some = np.flatnonzero(score == one)
        ours = X[:, place[some]]
        H[np.ix_(some, some)] = ours.T @ (bend[:, [one]] * ours)
    np.einsum("ii->i", H)[:] += objective.penalty_curvature[entries]
    intercepts = np.flatnonzero(feature == p - 1)
    if len(intercepts) > 1:  # no softmax sees a shift of all intercepts: any curvature will do there
        H[np.ix_(intercepts, intercepts)] += H[intercepts, intercepts].mean() / len(intercepts)
    return H
