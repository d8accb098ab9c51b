"""The Hessian of few rows by Woodbury's identity: its solve is the whole Hessian's, and it shortens the descent."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.descent.loop import descend
from gdlogit.descent.quasi_newton import quasi_newton
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.few_rows import FewRows, kernel_of, kernel_price, rows_with_curvature


def problem(seed=0, n=40, p=90, intercept=True, k=1, factors=None):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, p)) + 1, rng.integers(0, max(k, 2), n)
    rows = rows_of(X, y, rng.uniform(0.5, 2, n), intercept, n_scores=k)
    penalty = ElasticNet.of(1.0, 0.0, rows.total, factors)
    return Objective(rows, loss_of(max(k, 2)), penalty, formed_parameters=0)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("factors", [None, np.linspace(0.1, 3, 90)])
def test_the_solve_is_that_of_the_formed_hessian_beside_the_intercepts_own_curvature(intercept, factors):
    objective = problem(intercept=intercept, factors=factors)
    theta = np.random.default_rng(1).standard_normal(objective.shape) / 10
    c = objective.curvature(objective.scores(theta))
    H = objective.hessian(theta)
    H[-1, -1] += float(objective.weighed(c).sum())
    g = np.random.default_rng(2).standard_normal(objective.shape)
    found = FewRows(objective, kernel_of(objective), c).solve(g)
    np.testing.assert_allclose(H @ found, g, atol=1e-9 * np.abs(g).max())


def test_rows_without_curvature_leave_the_penalty_alone():
    objective = problem()
    g = np.ones(objective.shape)
    found = FewRows(objective, kernel_of(objective), np.zeros((objective.n_rows, 1))).solve(g)
    np.testing.assert_allclose(found[:-1], 1 / objective.penalty.curvature(np.empty(objective.shape))[:-1])


@pytest.mark.parametrize("intercept", [True, False])
def test_each_class_has_its_own_block_of_the_hessian(intercept):
    objective = problem(intercept=intercept, k=3, factors=np.full(90, 0.01))  # so weak that no row is left out
    theta = np.random.default_rng(1).standard_normal(objective.shape) / 10
    c, g = objective.curvature(objective.scores(theta)), np.random.default_rng(2).standard_normal(objective.shape)
    H = objective.hessian(theta).reshape(91, 3, 91, 3)
    found = FewRows(objective, kernel_of(objective), c).solve(g)
    intercepts = objective.weighed(c * (1 - c)).sum(axis=0)
    for score in range(3):
        block = H[:, score, :, score].copy()
        block[-1, -1] += intercepts[score]
        np.testing.assert_allclose(block @ found[:, score], g[:, score], atol=1e-9 * np.abs(g).max())


def test_rows_without_curvature_in_a_class_are_left_out_and_hardly_change_the_solve():
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-12, 6, 200)
    kept = rows_with_curvature(sizes, 4)
    left_out = np.setdiff1d(np.arange(200), kept)
    assert 20 < len(left_out) < 180
    assert sizes[left_out].sum() < 1 <= sizes[left_out].sum() + sizes[kept].min()
    assert len(rows_with_curvature(np.ones(4000), 32)) == 1024


def test_it_is_not_for_features_without_a_penalty():
    assert kernel_price(problem()) < np.inf
    assert kernel_price(problem(k=3)) < np.inf
    assert kernel_price(problem(factors=np.r_[0.0, np.ones(89)])) == np.inf


def test_several_separable_classes_of_few_rows_end_at_the_minimum_in_few_passes():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((300, 10)) @ rng.standard_normal((10, 700)) + 0.1 * rng.standard_normal((300, 700))
    y = (X @ rng.standard_normal((700, 4))).argmax(axis=1)
    X = X * 10 ** rng.uniform(-1, 1, 700)
    objective = Objective(rows_of(X, y, np.ones(300), n_scores=4), loss_of(4), ElasticNet(1 / 300), formed_parameters=0)
    ending = descend(quasi_newton(1e-6, rng), objective, np.zeros(objective.shape), tol=1e-6, max_iter=100)
    left, sizes, _ = np.linalg.svd(X, full_matrices=False)  # the rows' span has the same J
    theirs = LogisticRegression(tol=1e-10, solver="newton-cg", max_iter=1000).fit(left * sizes, y)
    z = left * sizes @ theirs.coef_.T + theirs.intercept_
    least = (logsumexp(z, axis=1) - z[np.arange(300), y]).mean() + (theirs.coef_**2).sum() / 600
    assert ending.status is Status.CONVERGED
    assert ending.point.value <= least * (1 + 2e-6)
    assert objective.passes < 500


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_separable_rows_of_more_features_end_at_the_minimum_within_a_hundred_passes(dtype):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((300, 10)) @ rng.standard_normal((10, 700)) + 0.1 * rng.standard_normal((300, 700))
    y = (X @ rng.standard_normal(700) > 0).astype(int)
    X = (X * 10 ** rng.uniform(-1, 1, 700)).astype(dtype)
    objective = Objective(rows_of(X, y, np.ones(300)), loss_of(2), ElasticNet(1 / 300), formed_parameters=0)
    ending = descend(quasi_newton(1e-6, rng), objective, np.zeros(objective.shape), tol=1e-6, max_iter=100)
    theirs = LogisticRegression(tol=1e-12, solver="newton-cholesky").fit(X.astype(float), y)
    z = X.astype(float) @ theirs.coef_[0] + theirs.intercept_
    least = np.logaddexp(0, np.where(y == 1, -z, z)).mean() + (theirs.coef_**2).sum() / 600
    assert ending.status is Status.CONVERGED
    assert ending.point.value <= least * (1 + 2e-6 if dtype == np.float64 else 1 + 1e-4)
    assert objective.passes < 100


@pytest.mark.parametrize(("dtype", "C"), [(np.float64, 1e160), (np.float32, 1e25)])
def test_it_is_not_for_a_penalty_whose_inverse_might_overflow(dtype, C):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 90)).astype(dtype), rng.integers(0, 2, 40)
    objective = Objective(rows_of(X, y, np.ones(40)), loss_of(2), ElasticNet.of(C, 0.0, 40.0), formed_parameters=0)
    assert kernel_price(objective) == np.inf
