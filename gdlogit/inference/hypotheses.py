"""Tests of hypotheses: Wald's, and likelihood-ratio tests."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from .parameters import Parameters
from .profile import drop_tests

__all__ = ["HypothesisTest", "HypothesisTests"]


class HypothesisTest(NamedTuple):
    """A test: its statistic, with a chi-squared distribution of ``df`` degrees of freedom, and its p-value.

    The fields are arrays where there is a test for each feature.
    """

    statistic: Any
    df: Any
    pvalue: Any

    @classmethod
    def of(cls, statistic: Any, df: Any) -> "HypothesisTest":
        """The test with a statistic; nan without a degree of freedom."""
        df = np.asarray(df, dtype=float)
        pvalue = np.where(df > 0, chdtrc(df, np.maximum(statistic, 0.0)), np.nan)
        return cls(*(a if a.ndim else a.item() for a in (np.asarray(statistic, dtype=float), df, pvalue)))


class HypothesisTests(Parameters):
    """The tests of a result."""

    def wald_test(self, r_matrix: Any) -> HypothesisTest:
        """Test that some coefficients, or some linear functions of the coefficients, are 0.

        Parameters
        ----------
        r_matrix : name or list of names of terms, or array-like of shape (n_functions, n_params)
            The terms whose coefficients, for all classes, are 0 under the hypothesis; or the functions, as
            coefficients over ``params.T.ravel()``.

        Returns
        -------
        HypothesisTest
            ``statistic``, ``df``, ``pvalue``.
        """
        R = self._functions(r_matrix)
        used = np.flatnonzero((R != 0).any(axis=0))
        R, estimate, V = R[:, used], self._terms.flat(self.params)[used], self._covariance_at(used)
        if np.isnan(V).any():
            raise ValueError(f"r_matrix names parameters that have no estimate; these are {', '.join(self.aliased)}.")
        values, spread = R @ estimate, R @ V @ R.T
        rank = np.linalg.matrix_rank(spread, hermitian=True)
        return HypothesisTest.of(values @ np.linalg.pinv(spread, hermitian=True) @ values, rank)

    def _functions(self, r_matrix: Any) -> NDArray[np.float64]:
        terms = [r_matrix] if isinstance(r_matrix, str) else r_matrix
        n = len(self._terms.order)
        if len(terms) and all(isinstance(term, str) for term in terms):
            return np.eye(n)[np.concatenate([self._terms.parameters(term) for term in terms])]
        R = np.atleast_2d(np.asarray(r_matrix, dtype=float))
        if R.ndim != 2 or R.shape[1] != n:
            raise ValueError(
                f"r_matrix must be names of terms, or have shape (n, {n}), a column for each parameter; "
                f"got shape {R.shape}."
            )
        return R

    def lr_test(self, features: Any = None) -> HypothesisTest:
        """Likelihood-ratio test of the model against one without some features.

        Parameters
        ----------
        features : name or list of names of terms, default=None
            Terms to leave out, together. None tests each feature by itself.

        Returns
        -------
        HypothesisTest
            ``statistic``, ``df``, ``pvalue``: arrays with an entry for each feature if ``features`` is None, with nan
            for aliased features.

        Raises
        ------
        ValueError
            With sampling weights, or with robust or cluster errors, which do not suppose that the likelihood is right.
            Use ``wald_test``.
        """
        self._require_likelihood("lr_test", "wald_test")
        terms = self._terms
        if features is None:
            return self._lr_tests([terms.parameters(j) for j in range(int(terms.has_intercept), len(terms.names))])
        together = [features] if isinstance(features, str) else features
        tests = self._lr_tests([np.concatenate([terms.parameters(term) for term in together])])
        return HypothesisTest(*(float(array[0]) for array in tests))

    def _lr_tests(self, dropped: list[NDArray[np.intp]]) -> HypothesisTest:
        """The tests of several models, each without some parameters, by their places in the user's flat order."""
        kept = [parameters[self._is_estimated[parameters]] for parameters in dropped]
        df = np.array([len(parameters) for parameters in kept])
        functions = self._estimate.likelihood.user_parameters()[self._terms.order]
        statistic = np.full(len(kept), np.nan)
        for q in np.unique(df[df > 0]):
            some = np.flatnonzero(df == q)
            normals = functions[np.array([kept[i] for i in some])].transpose(2, 0, 1)
            with self._estimate.likelihood.threads():
                loglik = drop_tests(self._estimate, normals, self._columns_class)
            statistic[some] = 2 * (self._estimate.loglik - loglik)
        return HypothesisTest.of(statistic, df)

    def _require_likelihood(self, wanted: str, instead: str) -> None:
        if self.cov_type != "nonrobust" or self.weights != "frequency":
            raise ValueError(
                f"{wanted} needs the likelihood to be right, which cov_type={self.cov_type!r} and "
                f"weights={self.weights!r} do not assume. Use {instead}."
            )
