"""Several constrained maxima of a likelihood over the same rows, climbed side by side: one pass serves all.

Column m is a theta that moves within the constraint a_m^T theta = const, for normals a_m (P, q). At first all columns
use the information V^-1 at the maximum of l. With V and the score u, the step to the constrained maximum, the rise of l
by that step, and the tangent, along which the constrained maximum moves when the constants change, are

    d = V u - T a^T V u,    rise = u^T d / 2,    T = V a (a^T V a)^-1.

A column that approaches its maximum too slowly gets the information at its own theta.
"""

from typing import NamedTuple

import numpy as np

from .information import Information

__all__ = ["PASSES", "SLOW", "Columns", "climb"]

SETTLED = 1e-11  # promised rise of l at which a column ends: a step of less than 1e-5 standard errors
SLOW = 0.5  # distance after a step / distance before, in standard errors: more is slow
PASSES = 100  # at most
LIKELIHOOD_ROUNDING = 1e-10  # relative to l: a smaller fall may be the rounding of a nearly singular log |I|


class Moves(NamedTuple):
    """For each column: the step (P, M), the rise of l by the step (M,), the tangents (P, M, q), a^T V a (M, q, q)."""

    step: np.ndarray
    rise: np.ndarray
    tangent: np.ndarray
    spread: np.ndarray


class Columns:
    """Thetas (P, M) of a likelihood, with normals (P, M, q), and the information for the steps of each."""

    def __init__(self, likelihood, information, normals, thetas):
        self.likelihood, self.normals, self.thetas = likelihood, normals, thetas
        self.informations = [information] * thetas.shape[1]
        self.rank, self.passes = information.rank, 0

    def evaluate(self, some):
        """L (n,) and the scores (P, n) of some columns, in one pass."""
        self.passes += 1
        thetas = self.thetas[:, some]
        loglik, score = self.likelihood.columns(thetas.reshape(*self.likelihood.shape, -1))
        return loglik, score.reshape(thetas.shape)

    def refresh(self, some):
        """Give some columns the information at their own thetas, unless that information has a lower rank."""
        for column in some:
            theta = self.thetas[:, column].reshape(self.likelihood.shape)
            information = Information(self.likelihood.information(theta)[2], self.likelihood.shape[1])
            if information.rank == self.rank:
                self.informations[column] = information

    def moves(self, some, score):
        """The moves of some columns, whose scores are given."""
        (P, n), q = score.shape, self.normals.shape[2]
        moves = Moves(np.empty((P, n)), np.empty(n), np.empty((P, n, q)), np.empty((n, q, q)))
        owners = np.array([id(self.informations[column]) for column in some])
        for owner in np.unique(owners):
            mine = np.flatnonzero(owners == owner)
            information = self.informations[some[mine[0]]]
            parts = moves_with(information, self.normals[:, some[mine]], score[:, mine])
            moves.step[:, mine], moves.rise[mine], moves.tangent[:, mine], moves.spread[mine] = parts
        return moves


def moves_with(information, normals, score):
    """The moves of columns that share an information."""
    P, n, q = normals.shape
    Va = information.solve_columns(normals.reshape(P, -1)).reshape(P, n, q)
    spread = np.einsum("jmq,jmr->mqr", normals, Va)
    tangent = np.einsum("jmq,mqr->jmr", Va, np.linalg.inv(spread))
    Vu = information.solve_columns(score)
    step = Vu - np.einsum("jmq,mq->jm", tangent, np.einsum("jmq,jm->mq", normals, Vu))
    return Moves(step, 0.5 * np.einsum("jm,jm->m", score, step), tangent, spread)


def climb(columns):
    """Take each column to its constrained maximum of l; return l (M,) there, nan where a column did not arrive.

    A step after which l is lower is halved, and its column gets the information at the step's start.
    """
    M = columns.thetas.shape[1]
    reached, left = np.full(M, np.nan), np.arange(M)
    loglik, score = columns.evaluate(left)
    moves = columns.moves(left, score)
    step, rise, rate = moves.step, moves.rise, np.ones(M)
    while True:
        done = left[rise[left] <= SETTLED]
        reached[done] = loglik[done] + rise[done]
        left = np.setdiff1d(left, done)
        if not len(left) or columns.passes >= PASSES:
            return reached
        before = columns.thetas[:, left]
        columns.thetas[:, left] = before + rate[left] * step[:, left]
        value, slope = columns.evaluate(left)
        fell = value < loglik[left] - LIKELIHOOD_ROUNDING * np.abs(loglik[left])
        columns.thetas[:, left[fell]] = before[:, fell]
        rate[left] = np.where(fell, rate[left] / 2, 1.0)
        new = left[~fell]
        loglik[new], score[:, new] = value[~fell], slope[:, ~fell]
        slow = new[columns.moves(new, score[:, new]).rise > SLOW**2 * rise[new]]
        columns.refresh([*slow, *left[fell & (rate[left] == 0.5)]])
        moves = columns.moves(left, score[:, left])
        step[:, left], rise[left] = moves.step, moves.rise
