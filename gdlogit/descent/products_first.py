"""Quasi-Newton descent, and Newton's method once a Hessian is cheaper.

Where rows are many for each feature and no class is certain, a few steps by products arrive, and no Hessian pays. Where
rows become certain of their class, features are badly conditioned for the rows that are left, and steps by products
are many. Nobody knows beforehand. So a Hessian of all rows is made when the descent has cost as much as the Hessian
does, and is to cost as much again. It comes late, too, because far from the minimum the model of Newton's method is a
poor one.
"""

import numpy as np

from .loop import Method
from .newton import NewtonState, hessian_cost, refresh, sketch
from .quasi_newton import quasi_newton, steps_left

__all__ = ["products_first"]


def products_first(tol, rng):
    """Quasi-Newton descent, and Newton's method once it is cheaper, for a goal of tol."""
    by_products, by_hessians = quasi_newton(tol, rng), sketch(tol, rng)

    def of(state):
        return by_hessians if isinstance(state, NewtonState) else by_products

    def step(objective, state):
        moved = of(state).step(objective, state)
        if isinstance(moved, NewtonState) or not is_dear(objective, moved) or is_lost(objective, moved):
            return moved
        objective.formed_parameters = objective.n_parameters
        return refresh(objective, moved.point, 1.0, None)

    def model(objective, state):
        return of(state).model(objective, state)

    return Method(by_products.start, step, "quasi-Newton descent, then newton-sketch", model=model)


def is_dear(objective, state):
    """Whether the descent has taken the passes of a Hessian without a good sample, and is to take as many again."""
    to_come = min(1.0, steps_left(state) / len(state.values)) * objective.passes
    return state.sample is None and to_come > hessian_cost(objective)


def is_lost(objective, state):
    """Whether all rows of some class are on the wrong side: Newton's step for the intercepts promises more than J."""
    if not objective.has_intercept:
        return False
    slopes, B = state.point.gradient[-1], objective.coupling(objective.curvature(state.scores))
    return slopes @ np.linalg.pinv(B, hermitian=True) @ slopes > 2 * state.point.value
