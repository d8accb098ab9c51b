r"""Corrections of Firth's intercept, whose predicted probabilities are otherwise drawn towards 1/2.

    flic    the intercept alone moves such that the predicted probabilities of each class add up to its number of rows
    flac    rows (x, c) with the weights of Firth's correction are added to the data, with a feature that marks the
            added rows, and the likelihood of all rows is maximised

For two classes the added rows are (x, 0) and (x, 1), each with half the hat value; ``pseudo_weights`` generalises that
to more classes.

References
----------
Puhr, Heinze, Nold, Lusa and Geroldinger, "Firth's logistic regression with rare events: accurate effect estimates and
predictions?", Statistics in Medicine 36 (2017).
"""

from functools import partial

import numpy as np

from ..problem import Problem
from ..solve import Settings, Solution, solve
from . import summands
from .firth import NOBODY, model_of, solve_firth

__all__ = ["solve_reduced"]

FLAC_TOL = 1e-14  # of flac's fit


def solve_reduced(problem, settings, start=None, watch=NOBODY, held_out=None, correction=None) -> Solution:
    """Firth's solution, with a corrected intercept."""
    solution = solve_firth(problem, settings, start, watch, held_out)
    match correction:
        case "flic":
            return solution._replace(theta=flic(solution))
        case "flac":
            return solution._replace(theta=flac(problem, solution))
    return solution


def flic(solution: Solution) -> np.ndarray:
    """The user's theta of Firth's solution, with the intercepts that maximise l for these coefficients."""
    likelihood = model_of(solution).objective.likelihood
    return likelihood.users(likelihood.with_best_intercepts(solution.point.theta))


def flac(problem: Problem, solution: Solution) -> np.ndarray:
    """The user's theta at the maximum of the likelihood of the rows and of the rows added for the correction."""
    model = model_of(solution)
    likelihood = model.objective.likelihood
    of = likelihood.loss, likelihood.contrasts, model.point.theta, model.information.root
    added = likelihood.each(partial(summands.pseudo_weights, *of))
    theta = solve(problem.augmented(added), Settings(tol=FLAC_TOL), np.insert(solution.theta, -1, 0.0, axis=0)).theta
    return np.delete(theta, -2, axis=0)
