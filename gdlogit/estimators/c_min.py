r"""The smallest C with a nonzero coefficient, at which a path of l1 penalties begins.

    C_min = l1_ratio / max |G|,    G = sum_i s_i x_i (a_i - y_i)^T,

with a_i the probabilities at W = 0 and the best intercept: the weighted frequencies of the classes, or equal
probabilities without an intercept. W = 0 is the minimum as long as no slope of the loss exceeds the slope of the
penalty, l1_ratio / C.

References
----------
Hastie, Tibshirani and Wainwright, "Statistical Learning with Sparsity" (2015), section 5.6.
"""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_X_y

from ..data.labels import totals_of
from ..data.overflow import overflow_named
from ..objective import Objective
from ..problem import Coordinates, Problem
from ..typing import ClassWeight, Matrix
from .validation import check_weight, encode

__all__ = ["c_min"]


def c_min(
    X: Matrix,
    y: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    fit_intercept: bool = True,
    sample_weight: ArrayLike | None = None,
    class_weight: ClassWeight = None,
) -> float:
    """The smallest C at which `GDLogisticRegression` has a nonzero coefficient.

    For every C up to this value all coefficients are exactly 0. So a grid of ``C`` begins here, for example
    ``c_min(X, y) * np.logspace(0, 4)``.

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

    Returns
    -------
    float
        The smallest C, in the units of `GDLogisticRegression`; ``np.inf`` if no feature carries any signal, for
        example if all are 0 in all rows.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described.

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
    X, y = check_X_y(X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
    columns, codes, weight = encode(y, check_weight(sample_weight, X), class_weight, fit_intercept)
    n_classes, n_used = len(columns.classes), columns.n_used
    with overflow_named(X):
        problem = Problem.of(X, codes, weight, n_classes, n_used=n_used, intercept=fit_intercept)
        theta = np.zeros(problem.shape)
        if fit_intercept:
            log_frequency = np.log(totals_of(codes, weight, n_used))
            theta[-1] = log_frequency[1:] - log_frequency[:1] if n_classes == 2 else log_frequency
        centred = Coordinates.of_newton(problem.rows, 0)  # residuals add up to 0, so only the rounding changes
        objective = Objective(centred.rows, problem.loss, problem.penalty)
        gradient = objective.total * objective.at(theta).gradient
    steepest = np.abs(gradient[:-1]).max(initial=0.0)
    return float(l1_ratio / steepest) if steepest > 0 else np.inf
