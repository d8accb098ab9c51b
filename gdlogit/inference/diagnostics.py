"""Diagnostics of single rows: leverages, influence, residuals.

References
----------
Pregibon, "Logistic regression diagnostics", Annals of Statistics 9 (1981).
"""

from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import summands
from .parameters import Parameters

__all__ = ["Diagnostics"]


class Diagnostics(Parameters):
    """Diagnostics of the rows, in their order. A row of weight 2 gets the diagnostics of each one of two equal rows."""

    @cached_property
    def _influence(self) -> Any:
        estimate = self._estimate
        likelihood, information = estimate.likelihood, estimate.information
        of = likelihood.loss, likelihood.contrasts, estimate.theta, information.root, likelihood.weighted
        return likelihood.each(partial(summands.influence, *of))

    @property
    def hat(self) -> NDArray[np.float64]:
        """The leverage of each row, shape (n_samples,): how strongly the row determines its own prediction.

        It is between 0 and 1 for two classes, and at most n_classes - 1. The weighted sum of the leverages is ``rank``.
        """
        return np.asarray(self._influence[:, 0])

    @property
    def cooks_distance(self) -> NDArray[np.float64]:
        """Cook's distance of each row, shape (n_samples,): the move of the coefficients without it, to first order."""
        return np.asarray(self._influence[:, 1]) / self.rank

    @cached_property
    def resid_deviance(self) -> NDArray[np.float64]:
        """Deviance residuals, shape (n_samples,): their squares add up to -2 ``llf``.

        For two classes they have the sign of y - p; for three or more they are not negative.
        """
        return self._residuals(summands.deviance_residuals)[:, 0]

    @cached_property
    def resid_pearson(self) -> NDArray[np.float64]:
        """Pearson residuals (y - p) / sqrt(p (1 - p)), shape (n_samples,) or (n_samples, n_classes)."""
        residuals = self._residuals(summands.pearson_residuals)
        return residuals[:, 0] if residuals.shape[1] == 1 else residuals

    def _residuals(self, f) -> NDArray[np.float64]:
        likelihood = self._estimate.likelihood
        return np.asarray(likelihood.each(partial(f, likelihood.loss, likelihood.contrasts, self._estimate.theta)))
