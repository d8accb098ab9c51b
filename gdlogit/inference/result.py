"""The result of inference, with statsmodels' names."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from .diagnostics import Diagnostics
from .effects import HasEffects
from .hypotheses import HypothesisTest, HypothesisTests
from .prediction import Predictions
from .profile import profile_limits
from .summary import frame_of, odds_ratios_of, summary_of
from .table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CredibleResult", "InferenceResult"]

NO_TESTS = (
    "method='bayes' gives credible intervals, which have no test and no p-value. Fit with C=np.inf, or pass "
    "method='debiased', for tests."
)

Array = NDArray[np.float64]


class InferenceResult(HypothesisTests, HasEffects, Predictions, Diagnostics):
    """Standard errors, tests, intervals and effects of a fitted model.

    ``model.inference(X, y)`` and ``gdlogit.inference(pipeline, X, y)`` make this result. The names are statsmodels'.
    Arrays have the order of ``names``, the intercept first. With three or more classes, arrays have a column for each
    class other than the reference, whose coefficients are 0.

    Attributes
    ----------
    names : tuple of str
        The terms: "const" for the intercept, and the features.
    features : tuple of str
        The features alone.
    classes, reference : tuple of labels, label
        The classes that the columns of ``params`` compare with the reference.
    params : ndarray of shape (n_terms,) or (n_terms, n_classes - 1)
        Coefficients: log-odds of the class against the reference per unit of the feature; nan where a feature is
        aliased.
    bse, zvalues, pvalues : ndarray in the shape of ``params``
        Standard errors, ``params / bse``, and the p-values of the normal distribution.
    llf, llnull : float
        The log-likelihood of the model, and of the model without features.
    llr, llr_pvalue : float
        The likelihood-ratio statistic of all features, and its p-value.
    aic, bic, prsquared : float
        Information criteria, and McFadden's pseudo R^2.
    nobs, df_model, df_resid : float
        The number of rows; the number of parameters without intercepts; the number of rows less all parameters.
    rank, aliased : int, tuple of str
        The number of parameters with an estimate; the names of the parameters without one.
    cov_type, method, weights : str
        The arguments of ``inference``.
    excess : float
        How far J was above its minimum at the coefficients of the model; the estimates here are at the minimum.
    """

    _method = "MLE"
    _notes: tuple[str, ...] = ()
    _interval: Literal["wald", "profile"] = "wald"  # the default of ``conf_int``
    _columns: tuple[str, ...] = ("coef", "std err", "z", "P>|z|")  # of a summary, before the limits

    # --- Errors, tests, intervals -------------------------------------------------------------------------------------

    @property
    def zvalues(self) -> Array:
        """The coefficients in units of their standard errors."""
        return self.params / self.bse

    @property
    def pvalues(self) -> Array:
        """The two-sided p-values of ``zvalues``."""
        return 2 * ndtr(-np.abs(self.zvalues))

    def conf_int(self, alpha: float = 0.05, method: Literal["wald", "profile"] | None = None) -> Array:
        """Confidence intervals of the coefficients.

        Parameters
        ----------
        alpha : float, default=0.05
            1 less the coverage.
        method : {"wald", "profile"}, default=None
            "wald" is ``params`` plus and minus a multiple of ``bse``. "profile" has the values that a likelihood-ratio
            test does not reject, with all other coefficients fitted anew; it is better for few rows or rare events. All
            limits are computed side by side, in about ten passes over the rows. None is "profile" with
            ``bias_reduction="firth"``, and "wald" otherwise.

        Returns
        -------
        ndarray of shape (n_terms, 2) or (n_terms, n_classes - 1, 2)
            The limits; nan for aliased terms.
        """
        check_alpha(alpha)
        method = self._interval if method is None else method
        if method == "profile":
            return self._terms.shaped(self._profile(alpha))
        if method != "wald":
            raise ValueError(f"method must be 'wald' or 'profile'; got {method!r}.")
        half = -ndtri(alpha / 2) * self.bse
        return np.stack([self.params - half, self.params + half], axis=-1)

    def _profile(self, alpha: float) -> Array:
        """The limits of the profile intervals, in the user's flat order."""
        self._require_likelihood("method='profile'", "method='wald'")
        functions = self._estimate.likelihood.user_parameters()[self._terms.order[self._is_estimated]]
        limits = np.full((len(self._is_estimated), 2), np.nan)
        with self._estimate.likelihood.threads():
            limits[self._is_estimated] = profile_limits(self._estimate, functions.T, alpha, self._columns_class)
        return limits

    def _table(self, alpha: float) -> dict[str, Array]:
        """The columns of a summary, each in the shape of ``params``."""
        limits = self.conf_int(alpha)
        numbers = self._numbers()
        return dict(zip(self._columns, numbers, strict=True)) | {"low": limits[..., 0], "high": limits[..., 1]}

    @property
    def _shown(self) -> Sequence[int]:
        """The terms of a summary."""
        return range(len(self.names))

    @property
    def _largest_hat(self) -> float | None:
        return float(self._influence[:, 0].max())

    def _numbers(self) -> tuple[Array, ...]:
        return self.params, self.bse, self.zvalues, self.pvalues

    # --- The fit ----------------------------------------------------------------------------------------------------

    @cached_property
    def llnull(self) -> float:
        """The log-likelihood of a model without features."""
        return self._estimate.likelihood.null()

    @property
    def llr(self) -> float:
        """Twice the logarithm of the likelihood ratio of the model and the model without features."""
        return self._if_likelihood(2 * (self.llf - self.llnull))

    @property
    def llr_pvalue(self) -> float:
        """The p-value of ``llr``."""
        return self._if_likelihood(HypothesisTest.of(self.llr, self.df_model).pvalue)

    @property
    def aic(self) -> float:
        """Akaike's information criterion."""
        return self._if_likelihood(2 * self.rank - 2 * self.llf)

    @property
    def bic(self) -> float:
        """The Bayesian information criterion."""
        return self._if_likelihood(np.log(self.nobs) * self.rank - 2 * self.llf)

    @property
    def prsquared(self) -> float:
        """McFadden's pseudo R^2."""
        return 1 - self.llf / self.llnull

    def _if_likelihood(self, value: float) -> float:
        return float(value) if self.weights == "frequency" and self.method != "bayes" else np.nan

    # --- Tables -----------------------------------------------------------------------------------------------------

    def summary(self, alpha: float = 0.05) -> Table:
        """The table of coefficients in statsmodels' layout, to print; HTML in a notebook.

        Parameters
        ----------
        alpha : float, default=0.05
            1 less the coverage of the intervals.

        Returns
        -------
        Table
        """
        return summary_of(self, alpha)

    def __repr__(self) -> str:
        """What the result is about, in a line; ``summary()`` has the table."""
        of = ", ".join(map(str, self.classes))
        return (
            f"<{type(self).__name__}: {of} against {self.reference}, {len(self.names)} terms, {self.nobs:g} rows, "
            f"cov_type={self.cov_type!r}, method={self.method!r}>"
        )

    def _repr_html_(self) -> str:
        """The summary, in a notebook."""
        return self.summary()._repr_html_()

    def to_frame(self, conf_level: float = 0.95, exponentiate: bool = False, tidy: bool = False) -> "pd.DataFrame":
        """The table of coefficients as a pandas DataFrame.

        Parameters
        ----------
        conf_level : float, default=0.95
            The coverage of the intervals.
        exponentiate : bool, default=False
            Whether to give exp(coefficient) and exp(limits): odds ratios.
        tidy : bool, default=False
            Whether to name the columns as R's broom does, with the terms in a column.

        Returns
        -------
        pandas.DataFrame
            Indexed by term, or by class and term; columns "coef", "std err", "z", "P>|z|" and the limits. Tidy: "term",
            "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high" and, for several classes,
            "y.level".
        """
        return frame_of(self, conf_level, exponentiate, tidy)

    def odds_ratios(self, conf_level: float = 0.95) -> "pd.DataFrame":
        """Odds ratios exp(coefficient), the factors of the odds per unit of a feature, and their intervals.

        Parameters
        ----------
        conf_level : float, default=0.95
            The coverage of the intervals.

        Returns
        -------
        pandas.DataFrame
            Columns "odds ratio" and the limits; without the intercept.
        """
        return odds_ratios_of(self, conf_level)


class CredibleResult(InferenceResult):
    """Credible intervals of a model whose l2 penalty is taken as a prior.

    ``bse`` are standard deviations of the posterior, ``conf_int`` are credible intervals. There are no z-values, no
    p-values, and no tests.
    """

    _method = "MAP"
    _columns = ("coef", "std dev")
    _has_tests = False

    def _numbers(self):
        return self.params, self.bse

    @property
    def zvalues(self) -> Array:
        """Refused."""
        raise AttributeError(NO_TESTS)

    @property
    def pvalues(self) -> Array:
        """Refused."""
        raise AttributeError(NO_TESTS)

    def wald_test(self, r_matrix: Any) -> HypothesisTest:
        """Refused."""
        raise ValueError(NO_TESTS)

    def _require_likelihood(self, wanted, instead):
        raise ValueError(NO_TESTS)


def check_alpha(alpha: float) -> float:
    """The same alpha, if it is between 0 and 1."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1; got {alpha!r}.")
    return alpha
