"""Preconditioners of few rows: contrasts add up to the rows' curvature, and both solve what they say they solve."""

import numpy as np
import pytest

from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.few_rows import FewRows, kernel_of
from gdlogit.quadratic.row_curvature import AlikeScores, Contrasts, contrasts_of, preconditioner_of, rows_with_curvature


def probabilities(spread, n=12, k=5):
    z = spread * np.random.default_rng(0).standard_normal((n, k))
    return loss_of(k).curvature(z)


def kernel_and_share(n=12, scale=1.0):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 2 * n))
    return scale * X @ X.T, rng.uniform(0.5, 2, n) / n


def of_rows(D, scores):
    """Products of each row's matrix in D, (n, k, k), with its scores."""
    return np.einsum("ijk,ik->ij", D, scores)


def expected_solution(kernel, D, scores):
    """D (I + K D)^-1 scores, by a formed system."""
    n, k = scores.shape
    whole = np.zeros((n, k, n, k))
    whole[np.arange(n), :, np.arange(n)] = D
    system = np.eye(n * k) + np.kron(kernel, np.eye(k)) @ whole.reshape(n * k, n * k)
    return of_rows(D, np.linalg.solve(system, scores.ravel()).reshape(n, k))


@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 1e4])
def test_contrasts_add_up_to_the_curvature_of_each_row(spread):
    a, share = probabilities(spread), kernel_and_share()[1]
    found = contrasts_of(a, share)
    vectors = found.matrix(np.arange(12 * 4)).toarray().reshape(12, 4, 12, 5)[np.arange(12), :, np.arange(12)]
    sums = np.einsum("ijk,ijl->ikl", vectors, vectors)
    bends = share[:, None, None] * np.stack([loss_of(5).bend(a, np.tile(unit, (12, 1))) for unit in np.eye(5)], axis=2)
    np.testing.assert_allclose(sums, bends, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.squares, (vectors**2).sum(axis=2), rtol=1e-12, atol=1e-100)
    np.testing.assert_allclose(
        found.squares.sum(axis=1), share * loss_of(5).bend_diagonal(a).sum(axis=1), 1e-12, 1e-100
    )


@pytest.mark.parametrize("scale", [1.0, 1e8])  # in float32, and in float64
def test_contrasts_solve_the_system_of_their_part_of_the_curvature(scale):
    (kernel, share), a = kernel_and_share(scale=scale), probabilities(3.0)
    scores = np.random.default_rng(2).standard_normal((12, 5))
    found = contrasts_of(a, share)
    some = np.flatnonzero(np.random.default_rng(3).random(48) < 0.6)
    matrix = found.matrix(some)
    vectors = matrix.toarray().reshape(len(some), 12, 5)
    D = np.einsum("mij,mik->ijk", vectors, vectors)
    largest = (found.squares * kernel.diagonal()[:, None]).max()
    u = Contrasts(kernel, matrix, largest).solve(scores)
    expected = expected_solution(kernel, D, scores)
    np.testing.assert_allclose(u, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1.0, 1e8])
def test_alike_scores_solve_the_system_with_one_curvature_a_row(scale):
    kernel, share = kernel_and_share(scale=scale)
    scores = np.random.default_rng(2).standard_normal((12, 5))
    w = share * 3.0
    u = AlikeScores(kernel, w).solve(scores)
    expected = expected_solution(kernel, w[:, None, None] * np.eye(5), scores)
    np.testing.assert_allclose(u, expected, atol=1e-4 * np.abs(expected).max())


def test_rows_without_curvature_are_left_out_and_hardly_change_the_solve():
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-12, 6, 200)
    kept = rows_with_curvature(sizes)
    left_out = np.setdiff1d(np.arange(200), kept)
    assert 20 < len(left_out) < 180
    assert sizes[left_out].sum() < 1 <= sizes[left_out].sum() + sizes[kept].min()


def test_certain_rows_have_contrasts_and_others_have_alike_scores():
    kernel, share = kernel_and_share(60, scale=1e4)
    assert isinstance(preconditioner_of(kernel, probabilities(0.1, 60, 30), share), AlikeScores)
    assert isinstance(preconditioner_of(kernel, probabilities(50.0, 60, 30), share), Contrasts)


def test_contrasts_take_few_products_where_most_rows_are_certain():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 300)), rng.integers(0, 6, 200)
    objective = Objective(rows_of(X, y, np.ones(200), n_scores=6), loss_of(6), ElasticNet(1e-5), formed_parameters=0)
    theta = np.vstack([20 * np.linalg.pinv(X) @ np.eye(6)[y], np.zeros((1, 6))])
    theta[:-1] += 0.3 * rng.standard_normal((300, 6))
    theta -= theta.mean(axis=1, keepdims=True)
    z = objective.scores(theta)
    point, kernel = objective.at_scores(theta, z), kernel_of(objective)

    def products(preconditioner):
        few = FewRows(objective, kernel, point, z)
        few._preconditioner = preconditioner or few._preconditioner
        return next(number for number, found in enumerate(few.iterates(point.gradient)) if found.residual <= 1e-3)

    trace = objective.loss.bend_diagonal(objective.loss.curvature(z)).sum(axis=1) / 200
    assert isinstance(FewRows(objective, kernel, point, z)._preconditioner, Contrasts)
    assert 0 < products(None) < 0.5 * products(AlikeScores(kernel, trace / 2))
