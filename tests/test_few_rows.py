"""Newton's step in the span of few rows: it is the formed Hessian's, and it shortens the descent."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.descent.loop import descend
from gdlogit.descent.quasi_newton import quasi_newton
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.few_rows import FewRows, kernel_of, kernel_price


def problem(seed=0, n=40, p=90, intercept=True, k=1, factors=None, dtype=float, computed=None):
    rng = np.random.default_rng(seed)
    X, y = (rng.standard_normal((n, p)) + 1).astype(dtype), rng.integers(0, max(k, 2), n)
    rows = rows_of(X.astype(computed or dtype), y, rng.uniform(0.5, 2, n), intercept, n_scores=k)
    penalty = ElasticNet.of(1.0, 0.0, rows.total, factors)
    return Objective(rows, loss_of(max(k, 2)), penalty, formed_parameters=0)


def formed(objective, point, z):
    """Newton's step of the formed Hessian; a softmax does not see a shift of all intercepts, which have a mean of 0."""
    H = objective.hessian_at(objective.curvature(z))
    step = (np.linalg.pinv(H, rcond=1e-13, hermitian=True) @ point.gradient.ravel()).reshape(objective.shape)
    step[-1] -= step[-1].mean() if objective.shape[1] > 1 else 0.0
    return step


def excess(objective, z, error):
    """How far the model of J is above its minimum where Newton's step has an error."""
    error = error.ravel()
    return 0.5 * float(error @ objective.hessian_at(objective.curvature(z)) @ error)


def solved(objective, theta, z=None, most_products=200, **how):
    """The iterate of ``FewRows`` at theta, whose scores are z, solved to rounding; and the point."""
    z = objective.scores(theta) if z is None else z
    point = objective.at_scores(theta, z)
    few = FewRows(objective, kernel_of(objective), point, z, sharp=0.0, most_products=most_products, **how)
    found = few.solved(point.gradient)
    return found, point, z


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("factors", [None, np.linspace(0.1, 3, 90)])
@pytest.mark.parametrize("from_residuals", [True, False])
def test_the_solve_is_that_of_the_formed_hessian(k, intercept, factors, from_residuals):
    objective = problem(intercept=intercept, k=k, factors=factors)
    theta = np.random.default_rng(1).standard_normal(objective.shape) / 10
    theta[-1] *= intercept
    found, point, z = solved(objective, theta, from_residuals=from_residuals)
    step = formed(objective, point, z)
    fall = 0.5 * float(np.vdot(point.gradient, step))
    assert excess(objective, z, found.x - step) < 1e-8 * fall
    np.testing.assert_allclose([found.estimate, found.fall, found.bound], fall, rtol=1e-8)


def test_a_rough_solve_estimates_the_fall_and_bounds_it():
    objective = problem(k=4, factors=np.full(90, 1e-3))
    theta = np.random.default_rng(1).standard_normal(objective.shape)
    theta -= theta.mean(axis=1, keepdims=True)
    z = objective.scores(theta)
    point = objective.at_scores(theta, z)
    few = FewRows(objective, kernel_of(objective), point, z, most_products=30)
    fall = 0.5 * float(np.vdot(point.gradient, formed(objective, point, z)))
    iterates = [(found.fall, found.bound) for found in few.iterates(point.gradient)]
    falls, bounds = np.transpose(iterates)
    assert (np.diff(falls) >= -1e-12 * fall).all()
    assert (falls <= fall * (1 + 1e-9)).all()
    assert (bounds >= fall * (1 - 1e-9)).all()


def test_the_solve_for_float32_rows_is_right_beyond_float32():
    objective = problem(k=3, dtype=np.float32)
    theta = np.random.default_rng(1).standard_normal(objective.shape) / 10
    z = objective.scores(theta).astype(np.float32)
    found, point, _ = solved(objective, theta, z)
    double = problem(k=3, dtype=np.float32, computed=np.float64)
    step = formed(double, double.at_scores(theta, z.astype(float)), z.astype(float))
    fall = 0.5 * float(np.vdot(point.gradient, step))
    assert excess(double, z.astype(float), found.x - step) < 1e-8 * fall


def test_rows_without_curvature_leave_the_penalty_alone():
    objective = problem()
    theta = np.zeros(objective.shape)
    z = np.where(objective.rows.y == 1, 1.0, -1.0)[:, None] * 1e4
    found, point, _ = solved(objective, theta + 1.0, z)
    penalty = objective.penalty.curvature(np.empty(objective.shape[0]))[:-1, None]
    np.testing.assert_allclose(found.x[:-1], point.gradient[:-1] / penalty)


def test_products_of_sparse_rows_are_those_of_the_same_dense_rows():
    rng = np.random.default_rng(0)
    X, y = rng.poisson(0.3, (30, 70)).astype(float), rng.integers(0, 2, 30)
    rows = [rows_of(form, y, np.ones(30)).centred() for form in (X, sp.csr_array(X))]
    factors = rng.uniform(0.5, 2, 70)
    for some in rows:
        objective = Objective(some, loss_of(2), ElasticNet(1.0))
        centred = X - some.centre
        np.testing.assert_allclose(objective.row_products(factors), centred * factors @ centred.T, atol=1e-12)


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
