"""Inference for a fitted model: checks and names for the package ``inference``, which knows no estimator."""

from functools import partial
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.memory import rows_of
from ..data.on_dask import is_collection, is_frame
from ..data.overflow import overflow_named
from ..inference.ask import Asked, infer
from ..inference.covariance import COVARIANCES
from ..inference.result import InferenceResult
from ..inference.terms import Terms
from ..typing import Matrix
from .base import Classifier
from .by_feature import penalty_factors
from .counted import counted_in_memory, counted_on_parts
from .limits import features_at_limits
from .offset import offset_of_prediction, scores_of
from .pipelines import UnwrappedModel, unwrapped
from .predictor import theta_of

__all__ = ["WithInference", "inference"]

CovType = Literal["nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"]
Weights = Literal["frequency", "sampling"]
Method = Literal["wald", "debiased", "bayes"]
ACCEPTED = {"cov_type": COVARIANCES, "weights": ("frequency", "sampling"), "method": ("wald", "debiased", "bayes")}


class WithInference(Classifier):
    """The method of GDLogisticRegression that infers from its coefficients."""

    def inference(
        self,
        X: Matrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        cov_type: CovType = "nonrobust",
        groups: ArrayLike | None = None,
        weights: Weights = "frequency",
        reference: Any = None,
        method: Method = "wald",
        features: Any = None,
    ) -> InferenceResult:
        """Standard errors, tests, intervals and effects of the coefficients.

        The estimator keeps no rows, so the rows of the fit are given again. They are checked: the score at the
        coefficients must be 0.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows of the fit.
        y : array-like of shape (n_samples,)
            The labels of the fit.
        sample_weight : array-like of shape (n_samples,), default=None
            The weights of the fit.
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            The offset of the fit, if it got one.
        cov_type : {"nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"}, default="nonrobust"
            The covariance of the coefficients. "nonrobust" is the inverse of the information matrix, which is right if
            the model is right. "HC0" to "HC3" are robust (sandwich) covariances; HC2 and HC3 use leverages, for few
            rows. "cluster" lets the rows of a group depend on each other.
        groups : array-like of shape (n_samples,), default=None
            The group of each row, for ``cov_type="cluster"``.
        weights : {"frequency", "sampling"}, default="frequency"
            The meaning of a weight. "frequency": how often the row occurs; ``nobs`` is the sum of the weights.
            "sampling": how many rows of a population the row stands for; ``nobs`` is the number of rows, and the
            covariance is robust, namely "HC0" if ``cov_type`` is "nonrobust".
        reference : label, default=None
            The class with which the others are compared. None is the first of ``classes_``.
        method : {"wald", "debiased", "bayes"}, default="wald"
            "wald" is for models without a penalty, ``C=np.inf``. For models with a penalty, "debiased" goes on from the
            coefficients to the maximum of the likelihood, and gives the intervals there. "bayes" takes an l2 penalty as
            a prior, and gives credible intervals.
        features : list of names or indices, default=None
            Terms to compute standard errors for, by a conjugate-gradient solve for each; for models with more than
            1,500 parameters. The standard errors of other terms are nan.

        Returns
        -------
        InferenceResult
            With statsmodels' names: ``params``, ``bse``, ``pvalues``, ``conf_int()``, ``summary()``, and more.

        Raises
        ------
        ValueError
            If an argument is not as described, or if a standard error would not mean what it seems to: other rows
            than those of the fit, a penalty with ``method="wald"``, a fit that has not converged, separable classes,
            held-out rows that have chosen the coefficients. The message says what to do.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_breast_cancer
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        >>> X = X[["mean texture", "mean smoothness"]]
        >>> result = GDLogisticRegression(C=np.inf).fit(X, y).inference(X, y)
        >>> result.names
        ('const', 'mean texture', 'mean smoothness')
        >>> result.bse.round(3)
        array([1.237, 0.03 , 9.054])
        """
        asked = {"cov_type": cov_type, "weights": weights, "method": method}
        return _infer(UnwrappedModel(self, ()), X, y, sample_weight, offset, groups, reference, features, asked)


class WithoutInference(Classifier):
    """The method of GDLogisticRegressionCV that refuses inference and says what to do."""

    def inference(self, *given: Any, **asked: Any) -> NoReturn:
        """Refused: see Raises.

        Raises
        ------
        ValueError
            Always. Cross-validation has chosen the penalty by the same rows, and the coefficients are penalised.
        """
        raise ValueError(
            "GDLogisticRegressionCV has chosen C by cross-validation on the same rows, and the penalty draws the "
            "coefficients towards 0: no interval around them would cover the true coefficients as often as it claims. "
            "For inference, fit GDLogisticRegression(C=np.inf), whatever C is best for predictions."
        )


def inference(
    estimator: Any,
    X: Matrix,
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    offset: ArrayLike | None = None,
    cov_type: CovType = "nonrobust",
    groups: ArrayLike | None = None,
    weights: Weights = "frequency",
    reference: Any = None,
    method: Method = "wald",
    features: Any = None,
) -> InferenceResult:
    """Standard errors, tests, intervals and effects for a model inside a Pipeline or a search.

    Parameters
    ----------
    estimator : GDLogisticRegression, or a Pipeline or a search that ends in one
        Fitted. The terms are the features that the model sees; their names are those of ``get_feature_names_out``.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        The rows of the fit, as ``estimator.fit`` took them.
    y, sample_weight, offset, cov_type, groups, weights, reference, method, features
        As in `GDLogisticRegression.inference`.

    Returns
    -------
    InferenceResult

    Raises
    ------
    TypeError
        If the model inside is not a GDLogisticRegression.
    ValueError
        As in `GDLogisticRegression.inference`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> import gdlogit
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean texture", "mean smoothness"]]
    >>> pipeline = make_pipeline(StandardScaler(), gdlogit.GDLogisticRegression(C=np.inf)).fit(X, y)
    >>> gdlogit.inference(pipeline, X, y).zvalues.round(2)
    array([ 6.74, -9.61, -8.64])
    """
    found = unwrapped(estimator)
    if isinstance(found.model, WithoutInference):
        found.model.inference(X, y)
    if not isinstance(found.model, WithInference):
        raise TypeError(f"estimator must be a GDLogisticRegression, or end in one; got {found.model!r}.")
    check_is_fitted(found.model)
    asked = {"cov_type": cov_type, "weights": weights, "method": method}
    return _infer(found, X, y, sample_weight, offset, groups, reference, features, asked)


def _infer(found, X, y, sample_weight, offset, groups, reference, features, asked):
    model = found.model
    check_is_fitted(model)
    check_asked(model, **asked)
    factors = penalty_factors(model)
    if factors is not None and np.isinf(factors).any():
        raise ValueError("penalty_factor leaves some features out (np.inf). Fit the model to the others alone.")
    outcome, names = name_of(y), found.feature_names(X)
    check_groups(groups, asked["cov_type"])
    read = counted_on_parts if is_collection(X, y, sample_weight, offset, groups) else counted_in_memory
    counted = read(found, X, y, sample_weight, offset, groups)
    if groups is not None and counted.n_groups < 2:
        raise ValueError(f"groups must be at least two, in rows with a weight; got {counted.n_groups}.")
    names = names or [f"x{j}" for j in range(model.n_features_in_)]
    code = code_of(reference, model.classes_)
    terms = Terms(tuple(names), tuple(model.classes_.tolist()), code, bool(model.fit_intercept))
    if is_robust(**asked):
        asked = asked | {"cov_type": "HC0"}
    if model.bias_reduction is not None:
        asked = asked | {"method": "firth"}
    known = Asked(
        **asked,
        reference=code,
        settings=model._settings(),
        converged=model.converged_,
        outcome=outcome,
        read=partial(rows_to_predict, found),
        value=model.loss_curve_[-1] if len(model.loss_curve_) else np.nan,
        features=features_asked(features, **asked),
        group=counted.group,
        n_groups=counted.n_groups,
    )
    with overflow_named(counted.numbers):
        return infer(counted.problem, theta_of(model), terms, known)


def name_of(y):
    """The name of a Series, pandas' or Dask's; "y" for others. The name of a Dask array is that of its tasks."""
    has_name = is_frame(y) if is_collection(y) else True
    return str((has_name and getattr(y, "name", None)) or "y")


def rows_to_predict(found, X, offset, like):
    """Rows without labels, for the model inside a Pipeline, measured as other rows are."""
    X = validate_data(found.model, found.transform(X), reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
    n, intercept, k = X.shape[0], found.model.fit_intercept, scores_of(found.model.classes_)
    offset = offset_of_prediction(found.model, offset, X, k)
    where = {"centre": like.centre, "unit": like.unit}
    return rows_of(X, np.zeros(n, dtype=np.uint8), np.ones(n), intercept, k, offset=offset, **where)


def is_robust(cov_type, weights, method):
    """Whether sampling weights ask for a robust covariance in the place of "nonrobust"."""
    return weights == "sampling" and cov_type == "nonrobust" and method != "bayes"


def features_asked(features, cov_type, weights, method):
    """The terms to compute standard errors for, by name or index; None for all."""
    if features is None:
        return None
    if isinstance(features, str) or not len(features):
        raise ValueError(f"features must be a list of terms, by name or index; got {features!r}.")
    if (cov_type, weights, method) != ("nonrobust", "frequency", "wald"):
        raise ValueError(
            "features=[...] is for cov_type='nonrobust', weights='frequency' and method='wald'; got "
            f"{cov_type!r}, {weights!r} and {method!r}."
        )
    return features


def code_of(reference, classes):
    """The code of the reference class."""
    if reference is None:
        return 0
    found = np.flatnonzero(classes == reference)
    if len(found) != 1:
        raise ValueError(f"reference must be one of the classes {classes!r}; got {reference!r}.")
    return int(found[0])


def check_groups(groups, cov_type):
    """Raise a ValueError for groups without a covariance that takes them, and the other way round."""
    if cov_type == "cluster" and groups is None:
        raise ValueError("cov_type='cluster' needs groups, the group of each row.")
    if cov_type != "cluster" and groups is not None:
        raise ValueError(f"groups are for cov_type='cluster'; cov_type is {cov_type!r}.")


def check_asked(model, cov_type, weights, method):
    """Raise a ValueError for arguments that are not accepted, or not for this model. The message says what to do."""
    for name, value in (("cov_type", cov_type), ("weights", weights), ("method", method)):
        if value not in ACCEPTED[name]:
            raise ValueError(f"{name} must be one of {ACCEPTED[name]}; got {value!r}.")
    if hasattr(model, "_stream"):
        raise ValueError(
            "The model was fitted by partial_fit, whose coefficients are near the minimum but not at it. "
            "Fit it by fit or fit_batches."
        )
    if model.early_stopping:
        raise ValueError(
            "early_stopping=True lets held-out rows choose the coefficients, which are not at the minimum. "
            "Fit with early_stopping=False."
        )
    if model.class_weight is not None and weights == "frequency":
        raise ValueError(
            f"class_weight={model.class_weight!r} makes weights that are not how often a row occurs. "
            "Pass weights='sampling' for robust errors of the weighted model, or fit with class_weight=None."
        )
    at_limits = features_at_limits(model)
    if at_limits:
        raise ValueError(
            f"coef_bounds or monotonic_cst hold coefficients of {', '.join(at_limits)} at a bound, where a standard "
            "error would mean nothing. Fit without bounds for inference of all coefficients."
        )
    check_method(model, cov_type, weights, method)


def check_method(model, cov_type, weights, method):
    """Raise a ValueError for a method that does not fit the model's penalty or its bias reduction."""
    if model.bias_reduction is not None:
        if (cov_type, weights, method) != ("nonrobust", "frequency", "wald"):
            raise ValueError(
                "bias_reduction='firth' has its own tests and intervals, for cov_type='nonrobust', weights='frequency' "
                f"and method='wald'; got {cov_type!r}, {weights!r} and {method!r}."
            )
        if model.intercept_correction is not None:
            raise ValueError(
                f"intercept_correction={model.intercept_correction!r} is for predictions: its coefficients are not at "
                "the maximum of the penalised likelihood. Fit with intercept_correction=None for tests and intervals."
            )
    is_penalised = model.C < np.inf
    if method == "wald" and is_penalised:
        raise ValueError(
            f"C={model.C!r} penalises the coefficients: they are biased towards 0, and the inverse of their Hessian "
            "makes intervals that miss the true coefficients far more often than they say. Fit with C=np.inf, or pass "
            "method='debiased' for intervals of the coefficients without the penalty, or, with an l2 penalty, "
            "method='bayes' for credible intervals."
        )
    if method == "bayes":
        if not is_penalised or model.l1_ratio > 0:
            raise ValueError(
                "method='bayes' takes an l2 penalty as a prior: it needs a finite C and l1_ratio=0; got "
                f"C={model.C!r} and l1_ratio={model.l1_ratio!r}."
            )
        if cov_type != "nonrobust":
            raise ValueError(f"method='bayes' has cov_type='nonrobust' only; got {cov_type!r}.")
