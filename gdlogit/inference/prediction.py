"""Predicted probabilities with intervals.

The interval of the log-odds eta_c = log(P_c / (1 - P_c)) of each class, with the error of the delta method, and back by
the sigmoid: it stays within 0 and 1, and for two classes it is that of the score itself.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp, ndtri

from . import summands

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Prediction", "Predictions"]

Array = NDArray[np.float64]


class Prediction(NamedTuple):
    """Probabilities of rows: of the class that is compared with the reference, or with several of every class.

    ``probability``, ``lower`` and ``upper``, the log-odds ``linear`` and their standard error ``se_linear``, each of
    shape (n_samples,) or (n_samples, n_classes).
    """

    probability: Array
    lower: Array
    upper: Array
    linear: Array
    se_linear: Array

    def to_frame(self) -> "pd.DataFrame":
        """The same as a pandas DataFrame, with several classes one below the other."""
        import pandas as pd

        return pd.DataFrame({name: array.T.ravel() for name, array in self._asdict().items()})


class Predictions:
    """What a result predicts."""

    def predict(self, X: Any, interval: float = 0.95, *, offset: Any = None) -> Prediction:
        """Predict the probability of each row, with its interval.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows, as the estimator takes them.
        interval : float, default=0.95
            The coverage of the intervals: confidence intervals of the probability, not of a label.
        offset : float or array-like, default=None
            What is added to the scores, as in ``fit``; required if ``fit`` got one.

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
        return Prediction(*map(expit, (linear, linear - half, linear + half)), linear, error)


def log_odds(z: Array, covariance: Array, others: list[int]) -> tuple[Array, Array]:
    """The log-odds (n, n_classes) of each class against all others, and their standard errors.

    With d eta_c / dz_c = 1, and d eta_c / dz_d = -P_d / (1 - P_c) for another class d.
    """
    linear, error = np.empty_like(z), np.empty_like(z)
    for c in range(z.shape[1]):
        rest = np.delete(z, c, axis=1)
        total = logsumexp(rest, axis=1, keepdims=True)
        slope = np.insert(-np.exp(rest - total), c, 1.0, axis=1)[:, others]
        linear[:, c] = z[:, c] - total[:, 0]
        error[:, c] = np.sqrt(np.maximum(np.einsum("id,ide,ie->i", slope, covariance, slope), 0))
    return linear, error
