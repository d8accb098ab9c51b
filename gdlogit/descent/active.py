"""Working sets, for an l1 penalty on more parameters than a Hessian can be formed of: text, wide data.

At the minimum most features have no coefficient, and all that they ask for is a slope within [-l1, l1]. So a step is

1. *Choose* the features that have a coefficient or whose slope is outside, the steepest first: no more new ones than
   there are old, or FEW.
2. *Descend* with those alone, to a small part of what the last step had left.
3. *Look* at the slopes of all features, in one pass over the rows.

Most work is done on few columns, which are copied: a share of X, that of the features chosen.

References
----------
Johnson and Guestrin, "Blitz: a principled meta-algorithm for scaling sparse optimization", ICML 2015.
Massias, Gramfort and Salmon, "Celer: a fast solver for the lasso with dual extrapolation", ICML 2018.
"""

from typing import NamedTuple

import numpy as np

from ..curvature import equilibration
from ..objective import Point
from ..penalty import shrink
from . import Method, newton, target
from .truncated import truncated

__all__ = ["working_sets"]

FEW = 100  # features, to begin with
FORMED = 400  # parameters, up to which the Hessian of a working set is formed
PART = 0.03  # of the excess that a step leaves, at least
STEPS = 20  # in one working set, at most


class ActiveState(NamedTuple):
    """theta."""

    point: Point
    excess: float
    rate: float


def working_sets(tol):
    """Newton's method on working sets of features, for a goal of tol."""

    def start(objective, theta):
        point = objective.at(theta)
        return ActiveState(point, excess_outside(objective, point, np.array([], dtype=int)), 1.0)

    def step(objective, state):
        goal = target(objective, state.point, tol)
        active = choose(objective, state.point)
        part = objective.features(active)
        inner, rate = descend_within(part, state.point.theta[[*active, -1]], max(goal / 2, PART * state.excess), tol)
        theta = np.zeros_like(state.point.theta)
        theta[[*active, -1]] = inner.point.theta
        point = objective.at(theta)
        return ActiveState(point, inner.excess + excess_outside(objective, point, active), rate)

    return Method(start, step)


def choose(objective, point):
    """The features of the next working set, in order."""
    outside = violation(objective, point).max(axis=1)[:-1]
    old = point.theta[:-1].any(axis=1)
    outside[old] = 0
    new = np.flatnonzero(outside)
    most = max(FEW, old.sum())
    if len(new) > most:
        new = new[np.argpartition(outside[new], -most)[-most:]]
    old[new] = True
    return np.flatnonzero(old)


def violation(objective, point):
    """By how much each slope is outside [-l1, l1]."""
    return np.abs(shrink(point.gradient, objective.penalty.strength(point.theta.shape)))


def descend_within(part, theta, goal, tol):
    """The state of a descent on a working set with an excess of at most goal, and the last rate."""
    formed = part.n_parameters <= FORMED
    method = Method(lambda part, theta: newton.begin(part, theta, None), newton.advance) if formed else truncated(tol)
    state, rate = method.start(part, theta), 0.0
    for _ in range(STEPS):
        if state.excess <= goal or (rate == 0 and state.rate == 0):
            break
        state = newton.advance(part, state, goal) if formed else method.step(part, state)
        rate = state.rate
    return state, 1.0


def excess_outside(objective, point, active):
    """What the other features promise, each by itself."""
    v = violation(objective, point)
    v[[*active, -1]] = 0
    if not v.any():
        return 0.0
    curvature = objective.hessian_diagonal(objective.curvature(objective.scores(point.theta)))
    return 0.5 * float(np.sum(v**2 * equilibration(curvature) ** 2))
