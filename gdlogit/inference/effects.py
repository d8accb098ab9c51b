r"""Effects on probabilities, with errors by the delta method.

The average marginal effect of feature j on the probability of class c is a mean over the rows,

    E_jc = mean_i dP_ic / dx_ij = sum_d W_jd M_dc,    M_dc = mean_i a_id (1[d = c] - a_ic),

and depends on theta through W and through M. A contrast compares two mean probabilities (standardisation): if a feature
had one value in all rows, and if it had another value. Both take one block of rows at a time.

References
----------
Bartus, "Estimation of marginal effects using margeff", Stata Journal 5 (2005).
Muller and MacLehose, "Estimating predicted probabilities from logistic regression", Int. J. Epidemiology 43 (2014).
"""

from functools import partial
from operator import and_
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from . import summands
from .parameters import Parameters
from .table import Block, Table, digits, probability

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Effects", "HasEffects"]

Array = NDArray[np.float64]
MEASURES = ("difference", "ratio", "odds")


class Effects:
    """Effects on probabilities: for two classes of the class that is not the reference, for more of every class.

    Parameters
    ----------
    values : ndarray of shape (n, n_classes)
        The effects; for "ratio" and "odds" their logarithms.
    root : ndarray of shape (n, n_classes, rank)
        A, with the covariance A A^T of ``values``.
    names : tuple of str
        The names of the effects.
    classes : tuple of labels
        The classes on whose probabilities the effects are.
    measure : str
        "dy/dx", "difference", "ratio" or "odds".
    has_tests : bool
        Whether there are p-values.

    Attributes
    ----------
    estimate : ndarray of shape (n,) or (n, n_classes)
        The effects; ratios are not logarithms here.
    se : ndarray in the same shape
        The standard errors of the effects; for a ratio, of its logarithm.
    margeff, margeff_se : ndarrays
        ``estimate`` and ``se``, by statsmodels' names.
    """

    def __init__(
        self,
        values: Array,
        root: Array,
        names: tuple[str, ...],
        classes: tuple[Any, ...],
        measure: str,
        has_tests: bool = True,
    ) -> None:
        squeeze: Any = 0 if len(classes) == 1 else slice(None)
        self._values, self._root = values[:, squeeze], root[:, squeeze]
        self.names, self.classes, self.measure, self._has_tests = names, classes, measure, has_tests
        self.se = np.sqrt(np.square(self._root).sum(axis=-1))

    @property
    def _is_log(self) -> bool:
        return self.measure in ("ratio", "odds")

    @property
    def estimate(self) -> Array:
        """The effects."""
        return np.exp(self._values) if self._is_log else self._values

    margeff = estimate

    @property
    def margeff_se(self) -> Array:
        """The standard errors."""
        return self.se

    @property
    def zvalues(self) -> Array:
        """The effects in units of their standard errors; for a ratio, its logarithm in units of ``se``."""
        return self._values / self.se

    @property
    def pvalues(self) -> Array:
        """The two-sided p-values of the hypothesis that there is no effect."""
        if not self._has_tests:
            raise AttributeError("method='bayes' gives credible intervals, which have no p-value.")
        return 2 * ndtr(-np.abs(self.zvalues))

    def cov_params(self) -> Array:
        """The covariance of the flattened effects; for ratios, of their logarithms."""
        root = self._root.reshape(-1, self._root.shape[-1])
        return root @ root.T

    def conf_int(self, alpha: float = 0.05) -> Array:
        """Confidence intervals, shape (n, 2) or (n, n_classes, 2).

        Parameters
        ----------
        alpha : float, default=0.05
            1 less the coverage.

        Returns
        -------
        ndarray
            The limits.
        """
        half = -ndtri(alpha / 2) * self.se
        limits = np.stack([self._values - half, self._values + half], axis=-1)
        return np.exp(limits) if self._is_log else limits

    def to_frame(self, conf_level: float = 0.95) -> "pd.DataFrame":
        """The effects as a pandas DataFrame, by name, and by class where there are several.

        Parameters
        ----------
        conf_level : float, default=0.95
            The coverage of the intervals.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        columns = {name: array.T.ravel() for name, array in self._columns(1 - conf_level).items()}
        names = np.tile(np.array(self.names, dtype=object), len(self.classes))
        if len(self.classes) == 1:
            return pd.DataFrame(columns, index=names)
        levels = np.repeat(np.array(self.classes), len(self.names))
        return pd.DataFrame(columns, index=pd.MultiIndex.from_arrays([levels, names]))

    def summary(self, alpha: float = 0.05) -> Table:
        """The table of effects, to print; HTML in a notebook.

        Parameters
        ----------
        alpha : float, default=0.05
            1 less the coverage of the intervals.

        Returns
        -------
        Table
        """
        columns = self._columns(alpha)
        forms = [probability if name.startswith("P>") else digits for name in columns]
        blocks = []
        for c, label in enumerate(self.classes):
            arrays = [array.reshape(len(self.names), -1)[:, c] for array in columns.values()]
            rows = [(n, [f(a[i]) for f, a in zip(forms, arrays, strict=True)]) for i, n in enumerate(self.names)]
            blocks.append(Block(f"P({label})", list(columns), rows))
        return Table("Effects on probabilities", [("Measure:", self.measure)], blocks)

    def __repr__(self) -> str:
        """The summary."""
        return str(self.summary())

    def _repr_html_(self) -> str:
        """The summary, in a notebook."""
        return self.summary()._repr_html_()

    def _columns(self, alpha: float) -> dict[str, Array]:
        limits = self.conf_int(alpha)
        columns = {self.measure: self.estimate, "std err": self.se, "z": self.zvalues}
        if self._has_tests:
            columns["P>|z|"] = self.pvalues
        return columns | {f"[{alpha / 2:.6g}": limits[..., 0], f"{1 - alpha / 2:.6g}]": limits[..., 1]}


class HasEffects(Parameters):
    """The effects of a result."""

    _has_tests = True

    def margins(self, at: Literal["overall", "mean"] = "overall", dummy: bool = False) -> Effects:
        """Marginal effects of the features on the probabilities.

        Parameters
        ----------
        at : {"overall", "mean"}, default="overall"
            "overall" is the mean of dP/dx over the rows, the average marginal effect. "mean" is dP/dx at the means of
            all features.
        dummy : bool, default=False
            Whether to replace dP/dx, for a feature that is 0 or 1 in all rows, by the change of the mean probability
            when the feature changes from 0 to 1.

        Returns
        -------
        Effects
            nan for aliased features.
        """
        if at not in ("overall", "mean"):
            raise ValueError(f"at must be 'overall' or 'mean'; got {at!r}.")
        if dummy and at == "mean":
            raise ValueError("dummy=True compares probabilities over all rows: at must be 'overall'; got 'mean'.")
        if at == "mean" and self._estimate.likelihood.has_offset:
            raise ValueError("at='mean' is not defined with an offset: at must be 'overall'.")
        values, root = self._slopes(at)
        if dummy:
            for j in np.flatnonzero(self._flags() & self._has_feature):
                values[j], root[j] = self._difference(int(j), 1.0, 0.0, "difference")
        values[~self._has_feature] = root[~self._has_feature] = np.nan
        return self._effects(values, root, self._terms.features, "dy/dx")

    def contrast(
        self, feature: Any, high: float, low: float, measure: Literal["difference", "ratio", "odds"] = "difference"
    ) -> Effects:
        """Compare the mean probabilities for two values that a feature would have in all rows.

        Parameters
        ----------
        feature : str or int
            The feature, by its name or by its index among the features. No other feature may depend on it: no product
            with it, and none of its powers.
        high, low : float
            The two values of the feature.
        measure : {"difference", "ratio", "odds"}, default="difference"
            The difference of the mean probabilities (risk difference), their ratio (risk ratio), or the ratio of their
            odds. The interval of a ratio comes from the interval of its logarithm.

        Returns
        -------
        Effects
            One effect, for each class.
        """
        if measure not in MEASURES:
            raise ValueError(f"measure must be one of {MEASURES}; got {measure!r}.")
        terms = self._terms
        j = terms.row(feature) - int(terms.has_intercept) if isinstance(feature, str) else int(feature)
        if not 0 <= j < len(terms.features):
            raise ValueError(f"feature must be one of {', '.join(terms.features)}; got {feature!r}.")
        if not self._has_feature[j]:
            raise ValueError(f"{terms.features[j]} is aliased: its effect cannot be told from the effects of others.")
        values, root = self._difference(j, float(high), float(low), measure)
        return self._effects(values[None], root[None], (f"{terms.features[j]}: {high:g} vs {low:g}",), measure)

    @property
    def _has_feature(self) -> NDArray[np.bool_]:
        """Which features have an estimate, for all classes."""
        return self._estimate.information.estimable.reshape(self._estimate.theta.shape)[:-1].all(axis=1)

    def _effects(self, values, root, names, measure) -> Effects:
        """The Effects of values (n, K) on K classes; of two classes, only the one that is not the reference is kept."""
        classes = self._terms.all_classes
        if len(classes) == 2:
            others = self._estimate.likelihood.contrasts.others
            values, root, classes = values[:, others], root[:, others], self.classes
        return Effects(values, root, names, classes, measure, self._has_tests)

    def _slopes(self, at: str) -> tuple[Array, Array]:
        """The marginal effects (p, K), and the root (p, K, rank) of their covariance."""
        likelihood, theta = self._estimate.likelihood, self._estimate.theta
        total, W = likelihood.total, theta[:-1]
        if at == "overall":
            f = partial(summands.slopes_of_effects, likelihood.loss, likelihood.contrasts, theta)
            products = 2 * likelihood.shape[1] * (1 + likelihood.shape[1] * len(self._terms.all_classes))
            M, derivatives = (part / total for part in likelihood.sum(f, products=products))
        else:
            M, derivatives = self._at_means(likelihood.sum(summands.feature_means)[0] / total)
        p, k = W.shape
        root = self._root.reshape(p + 1, k, -1)
        through_W = np.einsum("dc,jdr->jcr", M, root[:-1])
        through_M = np.einsum("lfr,ldfc->dcr", root, derivatives, optimize=True)
        return W @ M, through_W + np.einsum("jd,dcr->jcr", W, through_M)

    def _at_means(self, x: Array) -> tuple[Array, Array]:
        """The result of ``slopes_of_effects`` for a single row x of weight 1."""
        likelihood = self._estimate.likelihood
        others = likelihood.contrasts.others
        a = likelihood.contrasts.probabilities(x[None] @ self._estimate.theta, likelihood.loss)
        M = a.T[others] * (np.eye(a.shape[1])[others] - a)
        third = np.stack([third[0] for _, third in summands.third_cumulants(a, others)], axis=-1)
        return M, np.multiply.outer(x, third)

    def _difference(self, j: int, high: float, low: float, measure: str) -> tuple[Array, Array]:
        """A contrast (K,), or its logarithm for a ratio, and the root (K, rank) of its covariance."""
        (P1, dP1), (P0, dP0) = (self._standardised(j, value) for value in (high, low))
        if measure == "difference":
            return P1 - P0, dP1 - dP0
        if measure == "ratio":
            return np.log(P1 / P0), dP1 / P1[:, None] - dP0 / P0[:, None]
        odds = [P / (1 - P) for P in (P1, P0)]
        return np.log(odds[0] / odds[1]), dP1 / (P1 * (1 - P1))[:, None] - dP0 / (P0 * (1 - P0))[:, None]

    def _standardised(self, j: int, value: float) -> tuple[Array, Array]:
        """The mean probabilities (K,) if a feature had one value in all rows, and their covariance's root (K, rank)."""
        likelihood, theta = self._estimate.likelihood, self._estimate.theta
        value = float(likelihood.coordinates.centred.measured(value, j))
        f = partial(summands.standardised, likelihood.loss, likelihood.contrasts, theta, j, value)
        products = 2 * likelihood.shape[1] * len(self._terms.all_classes)
        P, derivatives = (part / likelihood.total for part in likelihood.sum(f, products=products))
        return P, derivatives.reshape(-1, len(P)).T @ self._root

    def _flags(self) -> NDArray[np.bool_]:
        """Which features are 0 or 1 in all rows."""
        return self._estimate.likelihood.coordinates.given.fold(summands.are_flags, and_)[0]
