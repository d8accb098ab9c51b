r"""The smallest C with a nonzero coefficient, where a path of l1 penalties begins.

    C_min = l1_ratio / max |G|,    G = sum_i s_i x_i (a_i - y_i)^T,

with a_i the probabilities at W = 0 and the best intercept: the weighted frequencies of the classes, or equal ones where
there is no intercept. W = 0 is the minimum as long as no slope of the loss exceeds that of the penalty, l1_ratio / C.

References
----------
Hastie, Tibshirani and Wainwright, "Statistical Learning with Sparsity" (2015), section 5.6.
"""

from numbers import Real

import numpy as np
from sklearn.utils.validation import check_X_y

from ..backprop import Sigmoid, Softmax
from ..data.memory import rows_of
from ..data.overflow import overflow_named
from ..objective import Objective
from ..penalty import ElasticNet
from .validation import check_weight, encode

__all__ = ["c_min"]


def c_min(X, y, *, l1_ratio=1.0, fit_intercept=True, sample_weight=None, class_weight=None):
    """The smallest C at which `GDLogisticRegression` has a nonzero coefficient.

    Up to it, all coefficients are exactly 0; so a grid of ``C`` begins here, say ``c_min(X, y) * np.logspace(0, 4)``.

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
        Weights of the rows, not negative. 1 where not given.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in `GDLogisticRegression`.

    Returns
    -------
    float
        The smallest C, in the units of `GDLogisticRegression`; ``np.inf`` where no feature carries any signal, such as
        one that is 0 in all rows.

    Raises
    ------
    ValueError, TypeError
        If a parameter is not as described.

    See Also
    --------
    sklearn.svm.l1_min_c : The same for liblinear, whose models have no free intercept and no weights.

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
    classes, codes, weight = encode(y, check_weight(sample_weight, X), class_weight)
    loss = Sigmoid() if len(classes) == 2 else Softmax(len(classes))
    theta = np.zeros((X.shape[1] + 1, loss.n_outputs))
    with overflow_named(X):
        rows = rows_of(X, codes, weight, intercept=fit_intercept, n_scores=loss.n_outputs)
        if fit_intercept:
            rows = rows.centred()  # the residuals add up to 0: it changes nothing but the rounding
            log_frequency = np.log(np.bincount(codes, weight, len(classes)))
            theta[-1] = log_frequency[1:] - log_frequency[:1] if loss.n_outputs == 1 else log_frequency
        gradient = Objective(rows, loss, ElasticNet(0.0), total=1.0).at(theta).gradient
    steepest = np.abs(gradient[:-1]).max(initial=0.0)
    return float(l1_ratio / steepest) if steepest > 0 else np.inf
