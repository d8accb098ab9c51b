r"""An l2 penalty as a prior: Laplace's approximation of the posterior.

With W_jc ~ N(0, 1 / d_j), where d_j = 1 / C in scikit-learn's terms, the mode is the penalised fit, and the precision
there is I + D. The k - 1 contrasts of a feature in a softmax have the prior precision d_j (E - 1 1^T / k), with E the
identity, because the k coefficients are independent.

References
----------
MacKay, "The evidence framework applied to classification networks", Neural Computation 4 (1992).
"""

import numpy as np

from .likelihood import Likelihood

__all__ = ["Posterior"]


class Posterior(Likelihood):
    """The log-likelihood plus the log-density of the prior, up to a constant."""

    def __init__(self, coordinates, loss, contrasts, weighted, penalty):
        super().__init__(coordinates, loss, contrasts, weighted)
        strength = self.total * coordinates.penalty(penalty).curvature(np.zeros((self.shape[0], 1)))
        k = contrasts.n_outputs
        of_contrasts = np.eye(contrasts.n) - (1 / k if k > 1 else 0.0)
        self.prior = np.kron(np.diag(strength[:, 0]), of_contrasts)

    def information(self, theta):
        """The log-posterior, its slope and its precision, in one pass."""
        loglik, score, information = super().information(theta)
        pull = self.prior @ theta.ravel()
        return loglik - 0.5 * theta.ravel() @ pull, score - pull.reshape(theta.shape), information + self.prior

    def of_data(self, theta, value):
        """The log-likelihood of the rows alone, from the log-posterior ``value``."""
        return value + 0.5 * float(theta.ravel() @ self.prior @ theta.ravel())
