"""From a problem and its coefficients to the result: the request, the refusals, and what the messages recommend.

A number that would not mean what it seems to mean is not given. This module refuses what only the rows can show: rows
other than those of the fit, coefficients that are not at the optimum, and separable classes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..objective import FORMED_PARAMETERS
from ..penalty import ElasticNet
from ..problem import Coordinates, Problem
from ..solve import Settings, Solution, Status, solve
from .contrasts import Contrasts
from .covariance import covariance_root
from .estimate import Estimate, maximum
from .firth import FirthLikelihood
from .firth_result import FirthResult, firth_maximum
from .likelihood import Likelihood
from .posterior import Posterior
from .result import CredibleResult, InferenceResult
from .some import SomeResult, solved
from .terms import Terms

__all__ = ["Asked", "infer"]

L = TypeVar("L", bound=Likelihood)

RESULTS = {"bayes": CredibleResult, "firth": FirthResult}
MARGIN = 10  # allowed excess / goal of the fit: the fit's estimate of the excess may be wrong by so much
FLOOR = 1e-10  # of the mean loss: a smaller excess may be rounding
NOT_THE_ROWS = (
    "X, y and the weights are not the rows that this model was fitted to: {evidence}. Pass the X, y and sample_weight "
    "of fit, or fit the model to these rows."
)
NOT_CONVERGED = "The model has not converged (converged_ is False), so the coefficients are no estimate. {remedy}"
SEPARABLE = (
    "The classes are separable, completely or in part{direction}: without a penalty some coefficients have no finite "
    "estimate, and a standard error would mean nothing. Fit with bias_reduction='firth', whose estimates are finite."
)


class Asked(NamedTuple):
    """What a user asks for, and facts of the fit: its settings, whether it has converged, and J at its end.

    ``reference`` is the code of a class. ``read(X, offset, centre)`` makes rows of other data. ``group`` has the number
    of each row's group, from 0 to ``n_groups`` - 1.
    """

    cov_type: str
    method: str
    weights: str
    reference: int
    settings: Settings
    converged: bool
    outcome: str
    read: Any
    value: float = np.nan
    features: Any = None
    group: Any = None
    n_groups: int = 0

    def allowed(self, problem: Problem, value: float) -> float:
        """How far J may be above its minimum at the coefficients of the fit."""
        tol = max(self.settings.formed_tol, 10 * float(np.finfo(problem.dtype).eps))
        return MARGIN * max(tol * min(1.0, value), FLOOR)


def infer(problem: Problem, theta: np.ndarray, terms: Terms, asked: Asked) -> InferenceResult:
    """The result at the user's theta, which is the minimum of a problem."""
    if not asked.converged:
        raise ValueError(why_not(problem, theta, terms, asked))
    if asked.features is not None:
        return of_some(problem, theta, terms, asked)
    require_formed(problem, terms)
    match asked.method:
        case "firth":
            likelihood = likelihood_of(FirthLikelihood, problem, asked)
            check = rows_check(problem, likelihood, asked)
            estimate = firth_maximum(likelihood, likelihood.inside(theta), check)
        case "wald":
            estimate = at_maximum(problem, theta, asked)
        case "debiased":
            estimate = at_maximum(*unpenalised(problem, theta, terms, asked), asked)
        case "bayes":
            estimate = at_mode(problem, theta, asked)
    root = covariance_root(estimate, asked.cov_type, asked.group, asked.n_groups)
    return RESULTS.get(asked.method, InferenceResult)(estimate, root, terms, asked)


# --- The estimate ---------------------------------------------------------------------------------------------------


def at_maximum(problem: Problem, theta: np.ndarray, asked: Asked) -> Estimate:
    """The maximum of the likelihood, near the user's theta."""
    likelihood = likelihood_of(Likelihood, problem, asked)
    start = likelihood.inside(theta)
    return maximum(likelihood, start, rows_check(problem, likelihood, asked))


def of_some(problem: Problem, theta: np.ndarray, terms: Terms, asked: Asked) -> SomeResult:
    """The result with standard errors for some terms only."""
    likelihood = likelihood_of(Likelihood, problem, asked)
    start = likelihood.inside(theta)
    places = np.sort(np.concatenate([terms.parameters(term) for term in asked.features]))
    parameters = [divmod(int(terms.order[place]), likelihood.shape[1]) for place in places]
    names = [terms.labels()[place] for place in places]
    *found, covariance = solved(likelihood, start, parameters, names, rows_check(problem, likelihood, asked))
    top, loglik, excess, information = found
    return SomeResult(Estimate(likelihood, top, loglik, information, excess), covariance, places, terms, asked)


def at_mode(problem: Problem, theta: np.ndarray, asked: Asked) -> Estimate:
    """The mode of the posterior, near the user's theta."""
    likelihood = likelihood_of(Posterior, problem, asked, problem.penalty)
    require_optimum(problem, theta, asked)
    return maximum(likelihood, likelihood.inside(theta), lambda *_: None)


def unpenalised(problem: Problem, theta: np.ndarray, terms: Terms, asked: Asked) -> tuple[Problem, np.ndarray]:
    """The problem without its penalty, and its minimum, sought from the minimum with the penalty."""
    require_optimum(problem, theta, asked)
    bare = problem._replace(penalty=ElasticNet(0.0))
    solution = solve(bare, Settings(), theta)
    if solution.status is not Status.CONVERGED:
        raise ValueError(reason(solution, terms, "The maximum of the likelihood was not found. Use method='bayes'."))
    return bare, solution.theta


def likelihood_of(kind: type[L], problem: Problem, asked: Asked, *more) -> L:
    """The likelihood of a problem's rows, for features measured from about their means."""
    contrasts = Contrasts(problem.loss.n_outputs, asked.reference)
    coordinates = Coordinates.of_means(problem.rows)
    if kind is FirthLikelihood:
        coordinates = coordinates.copied_for_passes()
    return kind(coordinates, problem.loss, contrasts, asked.weights == "sampling", *more)


# --- Refusals -------------------------------------------------------------------------------------------------------


def require_formed(problem: Problem, terms: Terms) -> None:
    """Refuse models with too many parameters to form an information matrix."""
    n = problem.shape[0] * len(terms.classes)
    if n > FORMED_PARAMETERS:
        raise ValueError(
            f"The model has {n} parameters; a covariance of all is formed for at most {FORMED_PARAMETERS}. Name the "
            "features whose standard errors you want: features=[...]."
        )


def require_rows(value: float, excess: float, known: float, allowed: float) -> None:
    """Refuse rows on which J could fall further than on the rows of the fit, or J differs from J in the fit."""
    evidence = None
    if not excess <= allowed:
        evidence = f"there J is {excess:.1e} above its minimum, where the fit leaves at most {allowed:.1e}"
    elif abs(value - known) > allowed:
        evidence = f"there J is {value:.10g}, where it was {known:.10g} in the fit"
    if evidence:
        raise ValueError(NOT_THE_ROWS.format(evidence=evidence))


def rows_check(problem: Problem, likelihood: Likelihood, asked: Asked) -> Callable[[float, float], None]:
    """The function that refuses other rows, by l at the coefficients of the fit and by how far l can rise."""

    def check(loglik, rise):
        value, excess = -loglik / likelihood.total, rise / likelihood.total
        known = asked.value if asked.method == "wald" else np.nan
        require_rows(value, excess, known, asked.allowed(problem, value))

    return check


def require_optimum(problem: Problem, theta: np.ndarray, asked: Asked) -> None:
    """Refuse rows on which the penalised J is not at its minimum."""
    audit = audited(problem, theta, asked)
    require_rows(audit.point.value, audit.excess, asked.value, asked.allowed(problem, audit.point.value))


def why_not(problem: Problem, theta: np.ndarray, terms: Terms, asked: Asked) -> str:
    """Why a fit has not converged."""
    remedy = f"J is {{excess:.1e}} above its minimum: raise max_iter={asked.settings.max_iter} and fit again."
    audit = audited(problem, theta, asked)
    return reason(audit, terms, NOT_CONVERGED.format(remedy=remedy.format(excess=audit.excess)))


def reason(solution: Solution, terms: Terms, otherwise: str) -> str:
    """The message that the classes are separable, if a solution says so; otherwise another message."""
    if solution.status is not Status.SEPARABLE:
        return otherwise
    return SEPARABLE.format(direction=solution.along(terms.features, terms.all_classes))


def audited(problem: Problem, theta: np.ndarray, asked: Asked) -> Solution:
    """The solution without a step: the excess at theta, and whether the classes are separable."""
    return solve(problem, asked.settings._replace(max_iter=0, patience=np.inf), theta)
