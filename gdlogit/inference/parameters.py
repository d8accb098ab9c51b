"""The coefficients of a result, and their covariance."""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .columns import Columns
from .estimate import Estimate
from .terms import Terms

__all__ = ["Parameters"]

Array = NDArray[np.float64]


class Parameters:
    """The coefficients of a result, with their covariance, which the other parts of the result build on."""

    _columns_class = Columns

    def __init__(self, estimate: Estimate, root: Array | None, terms: Terms, asked: Any) -> None:
        self._estimate, self._terms, self._read = estimate, terms, asked.read
        self._root: Any = root  # A, with the covariance A A^T of theta; None where only some terms have errors
        self.features = terms.features
        self.names, self.classes, self.reference = terms.names, terms.classes, terms.reference
        self.cov_type, self.method, self.weights = asked.cov_type, asked.method, asked.weights
        self.outcome, self.rank = asked.outcome, estimate.information.rank
        self.excess = estimate.excess_at_start / estimate.likelihood.total
        self.nobs = estimate.likelihood.n_observations
        self.llf = estimate.likelihood.of_data(estimate.theta, estimate.loglik)
        self.df_model = float(self.rank - (len(self.classes) if terms.has_intercept else 0))
        self.df_resid = self.nobs - self.rank

    @cached_property
    def params(self) -> Array:
        """The coefficients."""
        theta = self._estimate.likelihood.coordinates.centred.leave(self._estimate.theta)
        flat = theta.ravel()[self._terms.order]
        flat[~self._is_estimated] = np.nan
        return self._terms.shaped(flat)

    @cached_property
    def _is_estimated(self) -> NDArray[np.bool_]:
        return self._estimate.information.estimable[self._terms.order]

    @property
    def aliased(self) -> tuple[str, ...]:
        """The parameters without an estimate, whose features are linear functions of the features before them."""
        return tuple(np.array(self._terms.labels(), dtype=object)[~self._is_estimated])

    def cov_params(self) -> Array:
        """The covariance of the coefficients.

        Returns
        -------
        ndarray of shape (n_params, n_params)
            In the order of ``params.T.ravel()``, class by class; nan for aliased parameters.
        """
        return self._covariance.copy()

    def _covariance_at(self, places: NDArray[np.intp]) -> Array:
        """The covariance of some parameters, by their places in the user's flat order."""
        return self._covariance[np.ix_(places, places)]

    @cached_property
    def _covariance(self) -> Array:
        likelihood, estimable = self._estimate.likelihood, self._estimate.information.estimable
        V = likelihood.coordinates.covariance(self._root @ self._root.T, likelihood.shape[1])
        V[~estimable] = V[:, ~estimable] = np.nan
        return V[np.ix_(self._terms.order, self._terms.order)]

    @cached_property
    def bse(self) -> Array:
        """The standard errors."""
        return self._terms.shaped(np.sqrt(self._covariance.diagonal()))
