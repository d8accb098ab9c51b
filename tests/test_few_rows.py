"""The Hessian of few rows by Woodbury's identity: its solve is the whole Hessian's, and it shortens the descent."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.descent.loop import descend
from gdlogit.descent.quasi_newton import quasi_newton
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.few_rows import FewRows, kernel_of, kernel_price


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


@pytest.mark.parametrize("change", [{"k": 3}, {"factors": np.r_[0.0, np.ones(89)]}])
def test_it_is_not_for_several_scores_or_features_without_a_penalty(change):
    assert kernel_price(problem()) < np.inf
    assert kernel_price(problem(**change)) == np.inf


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
