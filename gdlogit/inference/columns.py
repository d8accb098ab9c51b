"""Several problems over the same rows, solved side by side: one pass serves all.

Column m is a theta that moves within a_m^T theta = const, for normals a_m (P, q). The information V^-1 at the maximum
of l serves all columns at first. With it, the step to the maximum within, its rise, and the tangent, along which that
maximum moves where the constants change, are

    d = V u - T a^T V u,    rise = u^T d / 2,    T = V a (a^T V a)^-1,    u the score.

A column that comes near too slowly gets the information at its own theta.
"""

from typing import NamedTuple

import numpy as np

from .information import Information

__all__ = ["Columns", "Moves", "climb"]

SETTLED = 1e-11  # rise of l that is left: 1e-5 standard errors, of which the last step leaves a part
SLOW = 0.5  # of the last distance, in standard errors
PASSES = 100  # at most


class Moves(NamedTuple):
    """Of each column: the step within (P, M), the rise of l by it (M,), the tangents (P, M, q), a^T V a (M, q, q)."""

    step: np.ndarray
    rise: np.ndarray
    tangent: np.ndarray
    spread: np.ndarray


class Columns:
    """Thetas (P, M) of a likelihood, with normals (P, M, q), and for each the information that it steps with."""

    def __init__(self, likelihood, information, normals, thetas):
        self.likelihood, self.normals, self.thetas = likelihood, normals, thetas
        self.informations = [information] * thetas.shape[1]
        self.passes = 0

    def evaluate(self, some):
        """L (n,) and the scores (P, n) of some columns, in one pass."""
        self.passes += 1
        thetas = self.thetas[:, some]
        loglik, score = self.likelihood.columns(thetas.reshape(*self.likelihood.shape, -1))
        return loglik, score.reshape(thetas.shape)

    def refresh(self, column):
        """Give a column the information at its own theta."""
        theta = self.thetas[:, column].reshape(self.likelihood.shape)
        self.informations[column] = Information(self.likelihood.information(theta)[2], self.likelihood.shape[1])

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
    (P, n, q), root = normals.shape, information.root
    Va = (root @ (root.T @ normals.reshape(P, -1))).reshape(P, n, q)
    spread = np.einsum("jmq,jmr->mqr", normals, Va)
    tangent = np.einsum("jmq,mqr->jmr", Va, np.linalg.inv(spread))
    Vu = root @ (root.T @ score)
    step = Vu - np.einsum("jmq,mq->jm", tangent, np.einsum("jmq,jm->mq", normals, Vu))
    return Moves(step, 0.5 * np.einsum("jm,jm->m", score, step), tangent, spread)


def climb(columns):
    """Take each column to the maximum of l within; the l (M,) there, nan where a column did not arrive."""
    M = columns.thetas.shape[1]
    loglik, last, rate = np.full(M, -np.inf), np.full(M, np.inf), np.ones(M)
    before, step = columns.thetas.copy(), np.zeros_like(columns.thetas)
    arrived, left = np.full(M, np.nan), np.arange(M)
    while len(left) and columns.passes < PASSES:
        value, score = columns.evaluate(left)
        fell = value < loglik[left] - 1e-12 * np.abs(value)
        rate[left] = np.where(fell, rate[left] / 2, 1.0)
        good = left[~fell]
        moves = columns.moves(good, score[:, ~fell])
        for column, rise in zip(good, moves.rise, strict=True):
            if rise > SLOW**2 * last[column] and rise > SETTLED:
                columns.refresh(column)
        moves = columns.moves(good, score[:, ~fell])
        before[:, good], step[:, good] = columns.thetas[:, good], moves.step
        loglik[good], last[good] = value[~fell], moves.rise
        columns.thetas[:, left] = before[:, left] + rate[left] * step[:, left]
        done = good[moves.rise <= SETTLED]
        arrived[done] = loglik[done] + last[done]
        left = np.setdiff1d(left, done)
    return arrived
