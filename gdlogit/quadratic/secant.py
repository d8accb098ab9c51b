"""A metric that learns from the steps taken: secant pairs (L-BFGS).

A step ds has changed the gradient by dg, so M ds = dg should hold for the metric M. ``Secant`` is a first metric,
corrected by the last such pairs, the oldest first.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 7.2: algorithm 7.4 and, for the scale, equation 7.20.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Secant"]

MOST_PAIRS = 10  # that are kept: the newest
TINY = float(np.finfo(float).tiny)


class Secant(NamedTuple):
    """A first metric, the ``scale`` that its inverse is multiplied by, and pairs (ds, dg, ds^T dg), the newest last."""

    first: Any
    pairs: tuple[tuple[np.ndarray, np.ndarray, float], ...] = ()
    scale: float = 1.0

    def solve(self, g: np.ndarray) -> np.ndarray:
        """M^-1 g."""
        g, coefficients = g.copy(), []
        for ds, dg, curvature in reversed(self.pairs):
            coefficient = np.vdot(ds, g) / curvature
            coefficients.append(coefficient)
            g -= coefficient * dg
        step = self.scale * self.first.solve(g)
        for (ds, dg, curvature), coefficient in zip(self.pairs, reversed(coefficients), strict=True):
            step += (coefficient - np.vdot(dg, step) / curvature) * ds
        return step

    def with_step(self, ds: np.ndarray, dg: np.ndarray) -> "Secant":
        """The metric with one more pair, if J has positive curvature along it."""
        curvature = float(np.vdot(ds, dg))
        return self._replace(pairs=(*self.pairs, (ds, dg, curvature))[-MOST_PAIRS:]) if curvature > 0 else self

    def scaled(self) -> "Secant":
        """The metric with a scale from the newest pair, because the first metric may have the wrong size."""
        if not self.pairs:
            return self._replace(scale=1.0)
        _, dg, curvature = self.pairs[-1]
        return self._replace(scale=curvature / max(2 * self.first.decrement(dg), TINY))
