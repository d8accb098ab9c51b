"""Predicted probabilities with intervals.

The delta method gives an interval for the log-odds eta_c = log(P_c / (1 - P_c)) of each class, and the sigmoid makes an
interval for P_c of it, which stays within 0 and 1. For two classes it is the interval of the score itself.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, ndtri

from . import summands
from .parameters import Parameters

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Prediction", "Predictions"]

Array = NDArray[np.float64]


class Prediction(NamedTuple):
    """Probabilities of rows: for two classes of the class that is not the reference, for more of every class.

    The fields are ``probability``, ``lower`` and ``upper``, the log-odds ``linear`` and their standard error
    ``se_linear``, each of shape (n_samples,) or (n_samples, n_classes).
    """

    probability: Array
    lower: Array
    upper: Array
    linear: Array
    se_linear: Array

    def to_frame(self) -> "pd.DataFrame":
        """The prediction as a pandas DataFrame; the rows of several classes stand one class below the other."""
        import pandas as pd

        return pd.DataFrame({name: array.T.ravel() for name, array in self._asdict().items()})


class Predictions(Parameters):
    """The predictions of a result."""

    def predict(self, X: Any, interval: float = 0.95, *, offset: Any = None) -> Prediction:
        """Predict the probability of each row, with its interval.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as the estimator takes them.
        interval : float, default=0.95
            The coverage of the intervals: confidence intervals of the probability, not of a label.
        offset : float or array-like, default=None
            Numbers that are added to the scores, as in ``fit``; required if ``fit`` got an offset.

        Returns
        -------
        Prediction
            ``probability``, ``lower``, ``upper``, ``linear``, ``se_linear``.
        """
        if not 0 < interval < 1:
            raise ValueError(f"interval must be between 0 and 1; got {interval!r}.")
        likelihood, theta = self._estimate.likelihood, self._estimate.theta
        rows = self._read(X, offset, likelihood.coordinates.centred)
        of = likelihood.contrasts, theta, self._root
        f = partial(summands.in_float64, partial(summands.scores_and_covariances, *of))
        with rows.threads():
            found = rows.each(f)
        k = likelihood.shape[1]
        z, covariance = found[:, :k], found[:, k:].reshape(-1, k, k)
        if k == 1:
            linear, error = z[:, 0], np.sqrt(covariance[:, 0, 0])
        else:
            linear, error = log_odds(likelihood.contrasts.theta(z), covariance, likelihood.contrasts.others)
        half = -ndtri((1 - interval) / 2) * error
        probability, lower, upper = map(expit, (linear, linear - half, linear + half))
        return Prediction(probability, lower, upper, linear, error)


def log_odds(z: Array, covariance: Array, others: list[int]) -> tuple[Array, Array]:
    """The log-odds (n, n_classes) of each class against all others, and their standard errors.

    With d eta_c / dz_c = 1, and d eta_c / dz_d = -P_d / (1 - P_c) for another class d.
    """
    linear, error = np.empty_like(z), np.empty_like(z)
    for c in range(z.shape[1]):
        other_scores = np.delete(z, c, axis=1)
        total = logsumexp(other_scores, axis=1, keepdims=True)
        slope = np.insert(-np.exp(other_scores - total), c, 1.0, axis=1)[:, others]
        linear[:, c] = z[:, c] - total[:, 0]
        error[:, c] = np.sqrt(np.maximum(np.einsum("id,ide,ie->i", slope, covariance, slope), 0))
    return linear, error
