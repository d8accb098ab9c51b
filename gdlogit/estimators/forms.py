"""The fitted model in other forms: as a LogisticRegression, and with coefficients in CSR."""

from copy import copy
from typing import Self

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from .base import Classifier

__all__ = ["OtherForms"]


class OtherForms(Classifier):
    """The methods of GDLogisticRegression that convert the fitted model."""

    def to_sklearn(self) -> LogisticRegression:
        """The same model as a LogisticRegression, for programs that know only that, such as exports to ONNX or PMML.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            A fitted model with the same coefficients (dense), C, l1_ratio, fit_intercept and class_weight. Labels,
            scores and probabilities are the same to the last bit (after ``sparsify``, up to rounding), with one
            exception: for two classes scikit-learn computes the probability of the first as 1 - p, which is 0 if this
            model's probability is below 1e-16 (6e-8 in float32).

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
        dense = copy(self).densify()
        if getattr(self, "has_offset_", False):
            raise ValueError("to_sklearn: LogisticRegression has no offset, and this model was fitted with one.")
        names = ("C", "fit_intercept", "class_weight") + (("l1_ratio",) if self.l1_ratio else ())
        model = LogisticRegression(**{name: getattr(self, name) for name in names})
        if self.l1_ratio:
            model.set_params(solver="saga")
            if model.penalty == "l2":  # before scikit-learn 1.8, which only has l1_ratio
                model.set_params(penalty="elasticnet")
        for name in ("classes_", "coef_", "intercept_", "n_features_in_", "feature_names_in_"):
            if hasattr(dense, name):
                setattr(model, name, copy(getattr(dense, name)))
        model.n_iter_ = copy(getattr(self, "n_iter_", np.ones(1, dtype=np.int32)))  # a stream has none
        return model

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
