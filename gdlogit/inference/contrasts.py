"""Contrasts: coefficients as differences from those of a reference class.

A softmax of k scores does not see a shift that all of them share; so only differences mean something. Of more than two
classes the contrasts are theta_c - theta_r for the classes c but the reference r. Two classes have one score, the
log-odds of the second: its coefficients are the contrasts with the first as reference, and minus those with the second.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Contrasts"]


class Contrasts(NamedTuple):
    """Of how many outputs k, and which class is the reference."""

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
        """Of two classes: 1 where the score is that of the class that is not the reference, else -1."""
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
        """The derivatives in the contrasts' scores, of those in all scores; shapes (m, k') and (m, k)."""
        return self.sign * dz if self.n_outputs == 1 else dz[:, self.others]

    def of_hessian(self, H: np.ndarray) -> np.ndarray:
        """The Hessian (p + 1) k' of the contrasts, of that of all scores; shapes (P, P), flat feature by feature."""
        if self.n_outputs == 1:
            return H
        p, k, some = len(H) // self.n_outputs, self.n_outputs, self.others
        return H.reshape(p, k, p, k)[:, some][:, :, :, some].reshape(p * self.n, -1)

    def probabilities(self, z: np.ndarray, loss) -> np.ndarray:
        """P of every class (m, n_classes), of the contrasts' scores (m, k')."""
        return loss.probabilities(self.theta(z))
