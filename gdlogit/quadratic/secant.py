"""A metric that learns from the steps taken: secant pairs (L-BFGS).

A step ds changed the gradient by dg, so M ds = dg ought to hold for the metric M. ``Secant`` is the metric that a first
one becomes when the last pairs are put into it, the oldest first.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 7.2: algorithm 7.4 and, for the scale, equation 7.20.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Secant"]

MEMORY = 10  # pairs
TINY = float(np.finfo(float).tiny)


class Secant(NamedTuple):
    """A first metric, the ``scale`` that its inverse is multiplied by, and pairs (ds, dg, ds^T dg), the newest last."""

    first: Any
    pairs: tuple[tuple[np.ndarray, np.ndarray, float], ...] = ()
    scale: float = 1.0

    def solve(self, g: np.ndarray) -> np.ndarray:
        """M^-1 g."""
        g, parts = g.copy(), []
        for ds, dg, curvature in reversed(self.pairs):
            part = np.vdot(ds, g) / curvature
            parts.append(part)
            g -= part * dg
        step = self.scale * self.first.solve(g)
        for (ds, dg, curvature), part in zip(self.pairs, reversed(parts), strict=True):
            step += (part - np.vdot(dg, step) / curvature) * ds
        return step

    def with_step(self, ds: np.ndarray, dg: np.ndarray) -> "Secant":
        """The same with one more pair, where J curves upwards along it."""
        curvature = float(np.vdot(ds, dg))
        return self._replace(pairs=(*self.pairs, (ds, dg, curvature))[-MEMORY:]) if curvature > 0 else self

    def scaled(self) -> "Secant":
        """The same, its first metric of the size that the newest pair shows: it may know no more than the shape."""
        if not self.pairs:
            return self._replace(scale=1.0)
        _, dg, curvature = self.pairs[-1]
        return self._replace(scale=curvature / max(float(np.vdot(dg, self.first.solve(dg))), TINY))
