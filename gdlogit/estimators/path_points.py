"""The models at the points of a path."""

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.utils.validation import check_is_fitted

from .classifier import GDLogisticRegression
from .forms import OtherForms, named, with_l1

__all__ = ["PathPoints"]

SAME_C = 1e-9  # relative


class PathPoints(OtherForms):
    """The methods of GDLogisticRegressionCV that make models of the points of its path."""

    def at(self, C: float | None = None, l1_ratio: float | None = None) -> GDLogisticRegression:
        """The model at a point of the path, fitted to all rows.

        Parameters
        ----------
        C : float, default=None
            A value of ``Cs_``, such as ``C_1se_``. None is ``C_``.
        l1_ratio : float, default=None
            A value of ``l1_ratios_``. None is ``l1_ratio_``.

        Returns
        -------
        GDLogisticRegression
            A fitted estimator; no fit is needed.

        Raises
        ------
        ValueError
            If the grid does not have this point.
        """
        check_is_fitted(self)
        C, l1_ratio = self.C_ if C is None else C, self.l1_ratio_ if l1_ratio is None else l1_ratio
        r = int(np.abs(self.l1_ratios_ - l1_ratio).argmin())
        if not np.isclose(self.l1_ratios_[r], l1_ratio, rtol=0, atol=SAME_C):
            raise ValueError(f"l1_ratio must be one of l1_ratios_, {self.l1_ratios_.tolist()}; got {l1_ratio!r}.")
        Cs = np.broadcast_to(self.Cs_, self.scores_.shape[1:])[r]
        i = int(np.abs(np.log(Cs) - np.log(C)).argmin()) if C > 0 and np.isfinite(C) else len(Cs) - 1
        if not (Cs[i] == C or np.isclose(Cs[i], C, rtol=SAME_C, atol=0)):
            raise ValueError(f"C must be a value of Cs_; got {C!r}, and the nearest is {Cs[i]:.17g}.")
        return self._model(
            C=float(Cs[i]),
            l1_ratio=float(self.l1_ratios_[r]),
            coef_=self.coef_path_[r, i].copy(),
            intercept_=self.intercept_path_[r, i].copy(),
            duality_gap_=float(self.duality_gap_path_[r, i]),
        )

    def to_sklearn(self) -> LogisticRegression:
        """The chosen model as a LogisticRegression: see `GDLogisticRegression.to_sklearn`.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            A fitted model with the same coefficients.
        """
        check_is_fitted(self)
        model = self._model(C=self.C_, l1_ratio=self.l1_ratio_, coef_=self.coef_, intercept_=self.intercept_)
        return model.to_sklearn()

    @property
    def penalty(self) -> str | None:
        """The penalty of the chosen model by scikit-learn's name, read-only: "l2", "l1", "elasticnet" or None."""
        return named(self.C_, self.l1_ratio_)

    def _model(self, C, l1_ratio, **fitted):
        """A GDLogisticRegression at a point, with fitted attributes."""
        names = ("penalty_factor", "coef_bounds", "monotonic_cst", "fit_intercept", "class_weight", "max_iter", "tol")
        names = (*names, "random_state")
        model = GDLogisticRegression(C=C, l1_ratio=l1_ratio, **{name: getattr(self, name) for name in names})
        kept = ("n_features_in_", "feature_names_in_", "has_offset_")
        of_fit = {name: getattr(self, name) for name in kept if hasattr(self, name)}
        vars(model).update(of_fit | {"classes_": getattr(self, "classes_", None)} | fitted)
        return model

    def _unfitted(self):
        same = ("Cs", "l1_ratios", "scoring", "refit", "fit_intercept", "class_weight")
        model = LogisticRegressionCV(**{name: getattr(self, name) for name in same})
        if not isinstance(self.cv, str):
            model.set_params(cv=self.cv)
        return with_l1(model) if any(self.l1_ratios) else model
