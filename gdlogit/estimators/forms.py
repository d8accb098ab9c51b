"""The model in other forms: as a LogisticRegression, alone or in a Pipeline; and with coefficients in CSR."""

from contextvars import ContextVar
from copy import copy, deepcopy
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from .base import Classifier

__all__ = ["OtherForms", "to_sklearn"]

TRANSLATES = ContextVar("whether a deep copy of a GDLogisticRegression is a LogisticRegression", default=False)


class OtherForms(Classifier):
    """The methods of GDLogisticRegression that convert the fitted model."""

    @property
    def penalty(self) -> str | None:
        """The penalty by scikit-learn's name, read-only: "l2", "l1", "elasticnet", or None if ``C`` is infinite.

        ``C`` and ``l1_ratio`` set it. SelectFromModel reads it: of an l1 model it keeps all nonzero coefficients.
        """
        if self.C == np.inf:
            return None
        return {0: "l2", 1: "l1"}.get(self.l1_ratio, "elasticnet")

    def to_sklearn(self) -> LogisticRegression:
        """The same model as a LogisticRegression, for programs that know only that, such as exports to ONNX or PMML.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            A fitted model with the same coefficients (dense), C, l1_ratio, fit_intercept and class_weight. Labels,
            scores and probabilities are the same to the last bit (after ``sparsify``, up to rounding), with one
            exception: for two classes scikit-learn computes the probability of the first as 1 - p, which is 0 if this
            model's probability is below 1e-16 (6e-8 in float32).

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_iris(return_X_y=True)
        >>> model = GDLogisticRegression().fit(X, y)
        >>> (model.to_sklearn().predict(X) == model.predict(X)).all()
        np.True_
        """
        dense, model = copy(self).densify(), unfitted(self)
        for name in ("classes_", "coef_", "intercept_", "n_features_in_", "feature_names_in_"):
            if hasattr(dense, name):
                setattr(model, name, copy(getattr(dense, name)))
        model.n_iter_ = copy(getattr(self, "n_iter_", np.ones(1, dtype=np.int32)))  # a stream has none
        return model

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A deep copy; inside the function ``to_sklearn`` a LogisticRegression."""
        if TRANSLATES.get():
            return self.to_sklearn() if hasattr(self, "coef_") else unfitted(self)
        memo[id(self)] = copied = object.__new__(type(self))
        copied.__setstate__(deepcopy(self.__getstate__(), memo))
        return copied

    def sparsify(self) -> Self:
        """Store only the nonzeros of ``coef_``, in a CSR matrix; predictions and further fits work with it.

        Returns
        -------
        self
            The fitted estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Turn ``coef_`` back into an ndarray, as it is after ``fit``.

        Returns
        -------
        self
            The fitted estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_).toarray()
        return self


def unfitted(ours) -> LogisticRegression:
    """A LogisticRegression with the parameters of ours."""
    names = ("C", "fit_intercept", "class_weight") + (("l1_ratio",) if ours.l1_ratio else ())
    model = LogisticRegression(**{name: getattr(ours, name) for name in names})
    if ours.l1_ratio:
        model.set_params(solver="saga")
        if model.penalty == "l2":  # before scikit-learn 1.8, which only has l1_ratio
            model.set_params(penalty="elasticnet")
    return model


def to_sklearn(estimator: Any) -> Any:
    """The same Pipeline, search or ensemble with a LogisticRegression for each GDLogisticRegression in it.

    Some programs know scikit-learn's estimators by their type, such as the converters to ONNX and PMML, and eli5.

    Parameters
    ----------
    estimator : object
        Any estimator, fitted or not, that holds GDLogisticRegression anywhere: as a step, as a candidate of a search,
        or as a member of an ensemble. Nothing in it is changed.

    Returns
    -------
    object
        A deep copy of the estimator that predicts the same. Each fitted GDLogisticRegression is replaced by the result
        of its method ``to_sklearn``. One that is not fitted, such as the template of a search, is replaced by a
        LogisticRegression with the same C, l1_ratio, fit_intercept and class_weight. The copy can be fitted again if no
        grid in it names a parameter that only GDLogisticRegression has.

    See Also
    --------
    GDLogisticRegression.to_sklearn : The same for one model alone.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from gdlogit import GDLogisticRegression, to_sklearn
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), GDLogisticRegression())
    >>> search = GridSearchCV(pipeline, {"gdlogisticregression__C": [0.1, 1.0]}).fit(X, y)
    >>> theirs = to_sklearn(search)
    >>> theirs.best_estimator_[-1]
    LogisticRegression()
    >>> bool((theirs.predict(X) == search.predict(X)).all())
    True
    """
    token = TRANSLATES.set(True)
    try:
        return deepcopy(estimator)
    finally:
        TRANSLATES.reset(token)
