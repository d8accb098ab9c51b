"""Covariances of the coefficients: from the information alone, or robust.

    nonrobust  V = I^-1                                           right if the model is right
    HC0        V (sum_i u_i u_i^T) V                              right for large n, also if the model is wrong
    HC1        HC0 times n / (n - P)
    HC2, HC3   with u_i divided by (1 - h_i)^1/2, by 1 - h_i      h_i the hat value: better for small n
    cluster    V (sum_g u_g u_g^T) V G/(G - 1) (n - 1)/(n - P)    rows of a group may depend on each other

u_i = x_i (x) dz_i is the score of row i, and u_g the sum of the scores of a group's rows. n is the number of rows, and
P the number of parameters with an estimate. For three or more classes h_i is the matrix C_i B_i: see ``summands``.

References
----------
White, "Maximum likelihood estimation of misspecified models", Econometrica 50 (1982).
MacKinnon and White, "Some heteroskedasticity-consistent covariance matrix estimators", J. Econometrics 29 (1985).
Liang and Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73 (1986).
"""

import numpy as np

from .summands import HatAdjustment

__all__ = ["COVARIANCES", "covariance_root"]

POWERS = {"HC2": 0.5, "HC3": 1}
COVARIANCES = ("nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster")


def covariance_root(estimate, kind, group=None, n_groups=0):
    """A root A (P, rank) of the covariance A A^T of a kind, 0 for aliased parameters; ``group`` numbers the groups."""
    likelihood, theta, root = estimate.likelihood, estimate.theta, estimate.information.root
    n, rank = likelihood.n_observations, estimate.information.rank
    if kind == "nonrobust":
        return root
    if kind == "cluster":
        scores = likelihood.scores_of_groups(theta, group, n_groups) @ root
        middle = scores.T @ scores * (n_groups / (n_groups - 1) * (n - 1) / (n - rank))
    else:
        middle = root.T @ likelihood.meat(theta, adjustment(estimate, kind)) @ root
        middle *= n / (n - rank) if kind == "HC1" else 1.0
    values, vectors = np.linalg.eigh(middle)
    return root @ (vectors * np.sqrt(np.maximum(values, 0)))


def adjustment(estimate, kind):
    """The adjustment of the residuals for a kind; None for a kind without one."""
    if kind not in POWERS:
        return None
    likelihood = estimate.likelihood
    of = likelihood.loss, likelihood.contrasts, estimate.theta, estimate.information.root, likelihood.weighted
    return HatAdjustment(*of, POWERS[kind])
