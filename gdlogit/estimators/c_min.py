r"""The smallest C with a nonzero coefficient, at which a path of l1 penalties begins.

    C_min = l1_ratio / max |G_j| / f_j,    G = sum_i s_i x_i (a_i - y_i)^T,

with a_i the probabilities at W = 0 and the best intercept: the weighted frequencies of the classes, or equal
probabilities without an intercept. W = 0 is the minimum as long as no slope of the loss exceeds the slope of the
penalty, f_j l1_ratio / C. Features whose penalty factor f_j is 0, and an offset, are in the model from the start: a_i
are then the probabilities of the best model with these features and the offset alone.

References
----------
Hastie, Tibshirani and Wainwright, "Statistical Learning with Sparsity" (2015), section 5.6.
"""

from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data

from ..data.overflow import overflow_named
from ..descent.status import Status
from ..objective import Objective
from ..penalty import ElasticNet
from ..problem import Coordinates, Problem
from ..solve import Settings, solve
from ..typing import ByFeature, ClassWeight, Matrix
from .by_feature import penalty_factors
from .classifier import GDLogisticRegression
from .offset import check_offset, narrowed, scores_of
from .validation import check_weight, encode

__all__ = ["c_min", "smallest_C"]


def c_min(
    X: Matrix,
    y: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    fit_intercept: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
    penalty_factor: ByFeature = None,
    offset: ArrayLike | None = None,
) -> float:
    """The smallest C at which `GDLogisticRegression` has a nonzero coefficient.

    For every C up to this value all penalised coefficients are exactly 0. So a grid of ``C`` begins here, for example
    ``c_min(X, y) * np.logspace(0, 4)``. So that rounding keeps this promise, the value is the exact one less a share of
    it, 1.5e-8 for rows in float64 and 3.5e-4 for rows in float32. Where features have a ``penalty_factor`` of 0, a fit
    knows their coefficients only to its ``tol``. Then one coefficient of about 1e-7 may leave 0; with ``tol=1e-12``
    none does.

    Parameters
    ----------
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows.
    y : array-like of shape (n_samples,)
        The labels, at least two different ones.
    l1_ratio : float, default=1.0
        Share of the l1 penalty, above 0 and at most 1.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, not negative. Default: all 1.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in `GDLogisticRegression`.
    penalty_factor : array-like of shape (n_features,), dict or None, default=None
        The factor of each feature's penalty, as in `GDLogisticRegression`.
    offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
        Numbers that are added to the scores, as in ``fit``.

    Returns
    -------
    float
        The smallest C, in the units of `GDLogisticRegression`; ``np.inf`` if no feature carries any signal, for
        example if all are 0 in all rows.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described; or if features without a penalty separate the classes, so that no model
        exists at which a path could begin.

    See Also
    --------
    sklearn.svm.l1_min_c : The same for liblinear, whose models penalise the intercept and have no weights.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import GDLogisticRegression, c_min
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> smallest = c_min(X, y)
    >>> below = GDLogisticRegression(C=0.99 * smallest, l1_ratio=1).fit(X, y)
    >>> above = GDLogisticRegression(C=1.01 * smallest, l1_ratio=1).fit(X, y)
    >>> int((below.coef_ != 0).sum()), int((above.coef_ != 0).sum())
    (0, 1)
    """
    if not isinstance(l1_ratio, Real) or isinstance(l1_ratio, bool) or not 0 < l1_ratio <= 1:
        raise ValueError(f"l1_ratio must be a number above 0 and at most 1; got {l1_ratio!r}.")
    if not isinstance(fit_intercept, bool | np.bool_):
        raise ValueError(f"fit_intercept must be True or False; got {fit_intercept!r}.")
    model = GDLogisticRegression(penalty_factor=penalty_factor)
    X, y = validate_data(model, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
    factors = penalty_factors(model)
    factors = np.ones(X.shape[1]) if factors is None else factors
    columns, codes, weight = encode(y, check_weight(sample_weight, X), class_weight, fit_intercept)
    of_features = partial(
        Problem.of,
        codes=codes,
        weight=weight,
        n_classes=len(columns.classes),
        n_used=columns.n_used,
        intercept=fit_intercept,
        offset=narrowed(check_offset(offset, X, scores_of(columns.classes)), columns),
    )
    with overflow_named(X):
        problem = of_features(X)
        start, free = None, factors == 0
        if free.any() or (problem.has_offset and fit_intercept):
            start = np.zeros(problem.shape)
            start[np.append(free, True)] = of_the_unpenalised(of_features(X[:, free]))
        return smallest_C(problem, l1_ratio, factors, start)


def smallest_C(problem: Problem, l1_ratio: float, factors: Any = 1.0, start: np.ndarray | None = None) -> float:
    """The smallest C for a problem, whose own penalty is not used; ``start`` has the best unpenalised parameters."""
    if start is None:
        start = np.zeros(problem.shape)
        start[-1] = problem.best_intercepts()
    centred = Coordinates.of_newton(problem.rows, 0)  # residuals add up to 0, so only the rounding changes
    objective = Objective(centred.rows, problem.loss, ElasticNet(0.0))
    slopes = objective.total * centred.slopes(objective.at(centred.into(start)).gradient)
    factors = np.broadcast_to(factors, slopes.shape)
    penalised = factors > 0
    steepest = (slopes[penalised] / factors[penalised]).max(initial=0.0)
    rounding = np.sqrt(np.finfo(problem.dtype).eps)
    return float((1 - rounding) * l1_ratio / steepest) if steepest > 0 else np.inf


def of_the_unpenalised(problem):
    """The theta of the model with only the unpenalised features."""
    solution = solve(problem, Settings(tol=0.0))
    if solution.status is Status.SEPARABLE:
        raise ValueError(
            "penalty_factor is 0 for features that separate the classes: without a penalty these features have no best "
            "coefficients, so no model exists at which a path could begin. Give them a penalty_factor above 0."
        )
    return solution.theta
