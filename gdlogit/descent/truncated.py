"""Truncated Newton descent, for more parameters than a Hessian can be formed of.

    theta := theta - alpha d,    H d ~ dJ(theta) by conjugate gradients

H is the Hessian of all rows, known by its products with vectors, each a pass. The solve ends early: far from the
minimum a rough direction is as good as an exact one.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 7.1.
Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks", ACML 2018.
"""

from typing import NamedTuple

import numpy as np

from ..objective import Point
from . import Method
from .metric import metric_at
from .newton import line_search

__all__ = ["truncated"]


class TruncatedState(NamedTuple):
    """theta, and the step to take next."""

    point: Point
    excess: float
    rate: float
    direction: np.ndarray


def truncated():
    """Newton's method with directions from conjugate gradients."""

    def start(objective, theta):
        return aim(objective, objective.at(theta), 1.0)

    def step(objective, state):
        point, rate = line_search(objective, state)
        return aim(objective, point, rate) if rate else state._replace(rate=0.0)

    return Method(start, step)


def aim(objective, point, rate):
    """The state whose next step solves H d = -g."""
    direction, excess = metric_at(objective, point.theta).aim(point)
    return TruncatedState(point, excess, rate, direction)
