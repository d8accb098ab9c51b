"""What a fit prints: one line per iteration with ``verbose``, and a warning if the fit did not end at the minimum."""

import warnings
from math import inf, isfinite, isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from ..descent.status import Status
from ..solve import TEXTBOOK, Solution

__all__ = ["closing_line", "iteration_kept", "message_of_aliased", "message_of_end", "print_record", "warn_of_end"]

NUMBERED = " Features are numbered from 0; in a Pipeline, pipeline[:-1].get_feature_names_out() has their names."


def print_record(record: Any) -> None:
    """One line for an iteration, on standard output, as scikit-learn's solvers do; "-" where nothing was estimated."""
    excess = "-" if isnan(record.excess) else f"{record.excess:.1e}"
    validation = "" if isnan(record.validation_loss) else f"   validation {record.validation_loss:.9g}"
    print(
        f"iteration {record.iteration:4d}   J {record.value:<15.12g}   excess {excess:<7}   "
        f"rate {record.rate:<8.3g}   passes {record.passes:<6.4g}{validation}".rstrip()
    )


FINITE = "Set a finite C, or bias_reduction='firth'."
ALIASED = (
    "{names} {are} of the features before, so bias_reduction='firth' cannot estimate their coefficients, which are 0. "
    "Leave collinear features out."
)


def closing_line(solution: Solution, seconds: float, kept: int | None = None) -> str:
    """The last line: why the fit ended, the proven gap, the time, and the iteration whose coefficients are kept."""
    reason, n_iter = solution.status.label, len(solution.history)
    within = f" to {solution.tolerance:.1e}" if solution.status is Status.CONVERGED else ""
    proven = f"{solution.gap:.1e}" if isfinite(solution.gap) else "not known"
    chosen = "" if kept is None else f"   kept iteration {kept}"
    steps = f"{n_iter} iteration{'s' * (n_iter != 1)}"
    return f"{reason}{within} after {steps}   gap {proven}   seconds {seconds:.3g}{chosen}"


def iteration_kept(validation_loss: NDArray[np.float64]) -> int:
    """The iteration with the lowest loss of held-out rows, the last of equals; 0, the start, if there is no loss."""
    lowest = np.flatnonzero(validation_loss <= np.fmin.reduce(validation_loss, initial=np.inf))
    return 1 + int(lowest[-1]) if len(lowest) else 0


def message_of_end(estimator, solution, classes):
    """The warning of a fit that did not end at the minimum, with the distance and a remedy; None if all is well.

    ``classes`` are the classes whose scores the solution has.
    """
    if solution.status.message is None:
        return None
    return solution.status.told(
        distance=f"about {solution.excess:.1e}" if isfinite(solution.excess) else "by an unknown amount",
        direction=solution.along(names_of(estimator), classes) if solution.direction else "",
        where_names_are=NUMBERED if solution.direction and not hasattr(estimator, "feature_names_in_") else "",
        penalise=penalise(estimator),
        gap=solution.gap,
        n_iter=len(solution.history),
        precision=solution.objective.precision,
        or_solver=", scale the features, or use solver='auto'" if estimator.solver in TEXTBOOK else "",
        or_penalty="use an l2 share (l1_ratio below 1)" if estimator.l1_ratio == 1 else "scale the features",
        stable_rate=Lazy(solution.largest_stable_rate),
        tol=solution.tolerance,
        **{name: getattr(estimator, name) for name in ("max_iter", "learning_rate")},
    )


def message_of_aliased(estimator, aliased):
    """The warning that some features, given by their numbers, have no estimate; None if there are none."""
    if not len(aliased):
        return None
    names = names_of(estimator)
    are = "is a linear function" if len(aliased) == 1 else "are linear functions"
    return ALIASED.format(names=", ".join(str(names[j]) for j in aliased), are=are)


class Lazy:
    """A number that takes passes over the rows: computed only where a message names it."""

    def __init__(self, number):
        self.number = number

    def __format__(self, spec):
        return format(self.number(), spec)


def warn_of_end(message: str | None) -> None:
    """Warn the caller of ``fit`` with a message, unless the message is None."""
    if message is not None:
        warnings.warn(message, ConvergenceWarning, stacklevel=3)


def names_of(estimator):
    """The names of the features, or "feature 0" and so on where they have none."""
    names = getattr(estimator, "feature_names_in_", None)
    return [f"feature {j}" for j in range(estimator.n_features_in_)] if names is None else names


def penalise(estimator):
    """The remedy for separable classes."""
    is_bounded = estimator.coef_bounds is not None or estimator.monotonic_cst is not None
    if is_bounded:
        remedy = "Set a finite C" if estimator.C == inf else "Give such features a penalty_factor above 0"
        return f"{remedy}, or finite coef_bounds."
    return FINITE if estimator.C == inf else "Give such features a penalty_factor above 0."
