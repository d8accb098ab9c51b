"""Contrasts: coefficients as differences from those of a reference class.

A softmax does not change where all its k scores change by the same amount, so only differences between classes have a
meaning. For three or more classes the contrasts are theta_c - theta_r, for every class c other than the reference r.
Two classes have one score, the log-odds of the second class. Its coefficients are the contrasts with the first class as
the reference, and minus the contrasts with the second class as the reference.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Contrasts"]


class Contrasts(NamedTuple):
    """The number of outputs k, and the code of the reference class."""

    n_outputs: int
    reference: int = 0

    @property
    def others(self) -> list[int]:
        """The codes of the classes that are compared with the reference, in order."""
        return [code for code in range(max(2, self.n_outputs)) if code != self.reference]

    @property
    def n(self) -> int:
        """How many contrasts a feature has."""
        return len(self.others)

    @property
    def sign(self) -> int:
        """For two classes: -1 if the reference is the class whose log-odds the score is, otherwise 1."""
        return -1 if self.n_outputs == 1 and self.reference == 1 else 1

    def of(self, theta: np.ndarray) -> np.ndarray:
        """The contrasts (p + 1, k') of a theta (p + 1, k)."""
        if self.n_outputs == 1:
            return self.sign * theta
        return theta[:, self.others] - theta[:, [self.reference]]

    def theta(self, contrasts: np.ndarray) -> np.ndarray:
        """The theta with these contrasts in which the reference has zeros."""
        if self.n_outputs == 1:
            return self.sign * contrasts
        return np.insert(contrasts, self.reference, 0.0, axis=1)

    def of_slopes(self, dz: np.ndarray) -> np.ndarray:
        """The derivatives (m, k') in the contrasts' scores, from the derivatives (m, k) in all scores."""
        return self.sign * dz if self.n_outputs == 1 else dz[:, self.others]

    def of_hessian(self, H: np.ndarray) -> np.ndarray:
        """The Hessian of the contrasts, from the Hessian of all scores; both over theta flattened."""
        if self.n_outputs == 1:
            return H
        p, k, others = len(H) // self.n_outputs, self.n_outputs, self.others
        return H.reshape(p, k, p, k)[:, others][:, :, :, others].reshape(p * self.n, -1)

    def probabilities(self, z: np.ndarray, loss) -> np.ndarray:
        """P of every class (m, n_classes), from the contrasts' scores (m, k')."""
        return loss.probabilities(self.theta(z))
