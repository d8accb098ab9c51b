"""The Hessian of random rows, known by products: the metric where there are many rows for each feature.

Each row tells something about all features and classes. So the Hessian of a few dozen rows for each feature is near the
Hessian of all rows, and unlike the metric of the features, G (x) B, it knows which rows have curvature. The rows are
drawn by their leverage and curvature, because the few rows that have a rare feature, or are not certain of their class,
may have most of the curvature in some direction.

A product takes a part of a pass: a quarter of the rows, in float32, without the losses.

References
----------
Byrd, Chin, Neveitt and Nocedal, "On the use of stochastic Hessian information in optimization methods for machine
learning", SIAM Journal on Optimization 21 (2011).
Xu, Yang, Roosta-Khorasani, Re and Mahoney, "Sub-sampled Newton methods with non-uniform sampling", NeurIPS 2016.
"""

from math import inf
from typing import NamedTuple

import numpy as np

from ..bounds import BoxPenalty
from ..moments import likely_rows
from ..objective import Objective
from ..penalty import lacking
from .curvature import ConjugateGradients

__all__ = ["SAMPLE_ROWS_PER_PARAMETER", "RowSample", "replaces_hessian", "sample_of"]

# Rows that are enough: for each feature where products are made, for each parameter where the Hessian is formed. The
# Hessian of 40 rows a feature differs from that of all rows by about a sixth, as sqrt(1 / 40).
SAMPLED_ROWS_PER_FEATURE, SAMPLE_ROWS_PER_PARAMETER = 40, 10
ROUGH_SOLVE = {"fine": 0.1, "most_products": 20}  # a smaller residual is lost beside what the sample does not know


class RowSample(NamedTuple):
    """Some rows of an objective: their numbers; what they contribute to J's sum; and J, estimated from them."""

    numbers: np.ndarray
    part: Objective
    mean: Objective

    def hessian(self, objective: Objective, z: np.ndarray, preconditioner) -> ConjugateGradients:
        """The Hessian of J, estimated from these rows, where all rows have scores z; a product is a part of a pass."""
        c = objective.loss.curvature(z[self.numbers]).astype(np.float32, copy=False)
        product, share = self.mean.hessian_product(c, rough=True), len(self.numbers) / objective.n_rows

        def counted(v):
            objective.passes += share
            return product(v)

        return ConjugateGradients(counted, preconditioner, lambda r: inf, **ROUGH_SOLVE)


def sample_of(objective: Objective, squares: np.ndarray, z: np.ndarray | None, rng) -> RowSample | None:
    """A sample of the rows with scores z, if a sample serves.

    ``squares`` are the mean squares of the features. Without z, all rows have the same curvature.
    """
    if not serves(objective):
        return None
    index, times = likely_rows(objective, objective.sample_size, squares, rng, z)
    return RowSample(index, *objective.drawn(index, times))


def serves(objective: Objective) -> bool:
    """Whether a sample's Hessian is near that of all rows: the rows are in memory, and many for each feature.

    A penalty on all features gives curvature where a sample has none.
    """
    is_penalised = objective.penalty.is_smooth and objective.penalty_curvature[:-1].all()
    has_many = objective.is_in_memory and objective.sample_size >= SAMPLED_ROWS_PER_FEATURE * objective.shape[0]
    return bool(is_penalised and has_many)


def replaces_hessian(objective: Objective) -> bool:
    """Whether products with a sample's Hessian serve better than formed Hessians.

    That is for several scores, where a sample has too few rows for a formed Hessian.
    """
    is_small = objective.sample_size >= SAMPLE_ROWS_PER_PARAMETER * objective.n_parameters
    is_free = bool(lacking(objective.penalty, BoxPenalty))
    return objective.shape[1] > 1 and not is_small and is_free and serves(objective)
