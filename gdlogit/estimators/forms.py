"""The model in other forms: as a LogisticRegression, alone or in a Pipeline; and with coefficients in CSR."""

from collections.abc import Mapping
from contextvars import ContextVar
from copy import copy, deepcopy
from numbers import Real
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from .arrays import as_numbers
from .base import Classifier

__all__ = ["OtherForms", "to_sklearn"]

TRANSLATES = ContextVar("whether a deep copy of a GDLogisticRegression is a LogisticRegression", default=False)

PRIOR_ROUNDING = 1e-6  # shares that are written with six digits may differ from a sum of 1 by so much


class OtherForms(Classifier):
    """The methods of GDLogisticRegression that convert the fitted model."""

    @property
    def penalty(self) -> str | None:
        """The penalty by scikit-learn's name, read-only: "l2", "l1", "elasticnet", or None if ``C`` is infinite.

        ``C`` and ``l1_ratio`` determine the penalty. SelectFromModel reads this attribute: it keeps all nonzero
        coefficients of an l1 model.
        """
        return named(self.C, self.l1_ratio)

    def to_sklearn(self) -> LogisticRegression:
        """The same model as a LogisticRegression, for programs that know only that class, such as exports to ONNX.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            A fitted model with the same coefficients (dense), C, l1_ratio, fit_intercept and class_weight. Labels,
            scores and probabilities are the same to the last bit (after ``sparsify``, up to rounding), with one
            exception. For two classes scikit-learn computes the probability of the first class as 1 - p, which is 0
            where the probability is below 1e-16 (6e-8 in float32); this model gives the probability itself.

        Raises
        ------
        ValueError
            If the model was fitted with an offset, which `LogisticRegression` does not know.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_iris(return_X_y=True)
        >>> model = GDLogisticRegression().fit(X, y)
        >>> (model.to_sklearn().predict(X) == model.predict(X)).all()
        np.True_
        """
        if getattr(self, "has_offset_", False):
            raise ValueError("to_sklearn: LogisticRegression has no offset, and this model was fitted with one.")
        dense, model = copy(self).densify(), self._unfitted()
        for name in ("classes_", "coef_", "intercept_", "n_features_in_", "feature_names_in_"):
            if hasattr(dense, name):
                setattr(model, name, copy(getattr(dense, name)))
        model.n_iter_ = copy(getattr(self, "n_iter_", np.ones(1, dtype=np.int32)))  # a stream has none
        return model

    def calibrated_for(self, prior: float | ArrayLike | Mapping[Any, float]) -> Self:
        """The same model for other shares of the classes than those of the fit, for example after undersampling.

        The intercept of each class moves by log(prior / ``class_prior_``). That is Bayes's rule, if the rows within
        each class are distributed as in the fit. So a model of undersampled rows, or of ``class_weight="balanced"``,
        gives the probabilities of the population. The other coefficients do not change.

        Parameters
        ----------
        prior : float, array-like of shape (n_classes,) or dict
            The shares of the classes where the model is to be used: positive numbers that add up to 1. A dict has them
            by label. For two classes, a single number is the share of ``classes_[1]``.

        Returns
        -------
        estimator
            A copy; the model itself stays as it is.

        Raises
        ------
        ValueError
            If the prior is not as described, or the model has no intercept or no ``class_prior_``, as after
            ``partial_fit``.

        References
        ----------
        Prentice and Pyke, "Logistic disease incidence models and case-control studies", Biometrika 66 (1979).
        King and Zeng, "Logistic regression in rare events data", Political Analysis 9 (2001).

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = GDLogisticRegression(class_weight="balanced", random_state=0).fit(X, y)
        >>> calibrated = model.calibrated_for(0.63)  # the share of class 1 in the table
        >>> model.predict_proba(X)[:, 1].mean().round(2), calibrated.predict_proba(X)[:, 1].mean().round(2)
        (np.float64(0.61), np.float64(0.63))
        """
        check_is_fitted(self)
        if not hasattr(self, "class_prior_"):
            raise ValueError("calibrated_for needs class_prior_, which fit, fit_batches and fit_proba set.")
        if not self.fit_intercept:
            raise ValueError("calibrated_for moves the intercept; it needs fit_intercept=True.")
        if not self.class_prior_.all():
            lacking = self.classes_[self.class_prior_ == 0].tolist()
            raise ValueError(f"calibrated_for cannot give a share to {lacking}, whose rows had no weight in the fit.")
        share = shares_of_classes(prior, self.classes_)
        shift = np.log(share) - np.log(self.class_prior_)
        shift = shift[1:] - shift[:1] if len(self.intercept_) == 1 else shift - shift.mean()
        model = copy(self)
        model.intercept_, model.class_prior_ = (self.intercept_ + shift).astype(self.intercept_.dtype), share
        return model

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A deep copy; inside the function ``to_sklearn`` a LogisticRegression."""
        if TRANSLATES.get():
            return self.to_sklearn() if hasattr(self, "coef_") else self._unfitted()
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

    def _unfitted(self) -> Any:
        """A LogisticRegression with these parameters."""
        ratio = {"l1_ratio": self.l1_ratio} if self.l1_ratio else {}
        model = LogisticRegression(C=self.C, fit_intercept=self.fit_intercept, class_weight=self.class_weight, **ratio)
        return with_l1(model) if ratio else model


def shares_of_classes(prior, classes):
    """The share of each class; for two classes a single number is the share of the second."""
    given = prior
    if isinstance(prior, Mapping):
        if set(prior) != set(classes.tolist()):
            raise ValueError(f"prior must have a share for each of the classes {classes.tolist()}; got {given!r}.")
        prior = [prior[label] for label in classes.tolist()]
    elif isinstance(prior, Real) and len(classes) == 2:
        prior = [1 - prior, prior]
    shares = as_numbers([prior] if np.isscalar(prior) else prior, "prior")
    if shares.shape != classes.shape or not (shares > 0).all() or abs(shares.sum() - 1) > PRIOR_ROUNDING:
        raise ValueError(
            f"prior must have a positive share for each of {len(classes)} classes, which add up to 1; got {given!r}."
        )
    return shares / shares.sum()


def named(C: float, l1_ratio: float) -> str | None:
    """scikit-learn's name of a penalty."""
    if C == np.inf:
        return None
    return {0.0: "l2", 1.0: "l1"}.get(l1_ratio, "elasticnet")


def with_l1(model: Any) -> Any:
    """A model of scikit-learn's with the solver that its l1_ratio needs, and, before 1.8, the penalty."""
    model.set_params(solver="saga")
    if model.penalty == "l2":  # from 1.8 on it is deprecated, and only l1_ratio counts
        model.set_params(penalty="elasticnet")
    return model


def to_sklearn(estimator: Any) -> Any:
    """The same Pipeline, search or ensemble with a LogisticRegression for each GDLogisticRegression in it.

    Some programs know scikit-learn's estimators by their type, such as the converters to ONNX and PMML, and eli5.

    Parameters
    ----------
    estimator : object
        Any estimator, fitted or not, that holds a GDLogisticRegression anywhere: as a step, as a candidate of a search,
        or as a member of an ensemble. The estimator itself does not change.

    Returns
    -------
    object
        A deep copy of the estimator that predicts the same. The result of the method ``to_sklearn`` replaces each
        fitted GDLogisticRegression. A LogisticRegression with the same C, l1_ratio, fit_intercept and class_weight
        replaces each GDLogisticRegression that is not fitted, such as the template of a search. The same holds for
        GDLogisticRegressionCV, with a LogisticRegressionCV for one that is not fitted. The copy can be fitted again if
        no grid in it names a parameter that only GDLogisticRegression has.

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
