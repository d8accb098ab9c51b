"""The quadratic model with l1 over few entries of theta: their Hessian, and the minimum over all parameters."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.special import logsumexp

from gdlogit import GDLogisticRegression
from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.objective import FORMED_PARAMETERS, Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.few_entries import entries_metric, hessian_of, working_entries
from gdlogit.quadratic.l1_metric import L1Products
from gdlogit.quadratic.lasso import least_slope

N, P, K = 80, 60, 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def objective_at(rng, *, sparse=False, dtype=float, l1=0.02, l2=0.01):
    X = rng.poisson(0.4, (N, P)) * rng.standard_normal((N, P))
    y = np.unique((X[:, :K] + rng.gumbel(size=(N, K))).argmax(axis=1), return_inverse=True)[1]
    X = csr_array(X.astype(dtype)) if sparse else X.astype(dtype)
    rows = rows_of(X, y, rng.uniform(0.5, 2, N), n_scores=K).centred()
    return Objective(rows, loss_of(K), ElasticNet(l2, l1), formed_parameters=FORMED_PARAMETERS)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_hessian_of_entries_is_a_part_of_the_hessian(rng, sparse, dtype):
    objective = objective_at(rng, sparse=sparse, dtype=dtype)
    theta, entries = 0.3 * rng.standard_normal(objective.shape), rng.random(objective.shape) < 0.3
    entries[-1] = np.arange(K) == 1  # of all intercepts together, a shift is given curvature
    whole = objective.hessian(theta)
    part = hessian_of(objective, objective.curvature(objective.scores(theta)), entries)
    flat = np.flatnonzero(entries)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(part, whole[np.ix_(flat, flat)], rtol=0, atol=tolerance * np.abs(whole).max())


@pytest.mark.parametrize("sparse", [False, True])
def test_the_minimum_over_few_entries_is_that_over_all(rng, sparse):
    objective = objective_at(rng, sparse=sparse)
    theta = np.zeros(objective.shape)
    point = objective.at(theta)
    c = objective.curvature(objective.scores(theta))
    strength = objective.penalty.l1_strengths(theta.shape)
    direction, fall = entries_metric(objective, c, products_of(objective, c)).by_entries(point, 0.0)
    x, bend = theta + direction, objective.hessian_product(c)(direction)
    slopes = least_slope(x, point.gradient + bend, strength)
    assert (np.abs(slopes) <= 1.1e-3 * strength + 1e-9).all()
    promised = -np.vdot(point.gradient + bend / 2, direction) - np.vdot(strength, np.abs(x) - np.abs(theta))
    assert fall == pytest.approx(promised, rel=1e-8)


def products_of(objective, c):
    return L1Products(objective.hessian_product(c), objective.hessian_diagonal(c), objective.penalty)


def test_a_working_set_has_the_nonzeros_and_the_zeros_furthest_beyond_their_strengths():
    theta, slope = np.array([[1.0, 0], [0, 0], [0, 0]]), np.array([[0.0, 1.5], [3, 2], [0.5, 0]])
    strength = np.array([[1.0, 1], [1, 1], [1, 0]])
    assert np.array_equal(working_entries(theta, slope, strength, 4), [[True, False], [True, True], [False, True]])
    assert np.array_equal(working_entries(theta, slope, strength, 1), [[True, False], [False, False], [False, True]])


def test_a_working_set_grows_with_the_nonzeros():
    theta, slope, strength = np.zeros((900, 2)), 2 + np.arange(1800.0).reshape(900, 2), np.ones((900, 2))
    assert np.count_nonzero(working_entries(theta, slope, strength, 1500)) == 100
    theta[:80] = 1.0
    assert np.count_nonzero(working_entries(theta, slope, strength, 1500)) == 320
    theta[:500] = 1.0
    assert np.count_nonzero(working_entries(theta, slope, strength, 1500)) == 1500


def test_many_nonzeros_are_left_to_products(rng):
    objective = objective_at(rng)
    theta = rng.standard_normal(objective.shape)
    point, c = objective.at(theta), objective.curvature(objective.scores(theta))
    products = products_of(objective, c)
    metric = entries_metric(objective, c, products)
    assert metric.by_entries(point, 0.3) is None
    assert np.array_equal(metric.step_and_fall(point, 0.3)[0], products.step_and_fall(point, 0.3)[0])


def test_a_minimum_that_keeps_all_entries_is_left_to_products(rng):
    objective = objective_at(rng, l1=1e-9, l2=1e-3)
    point, c = objective.at(np.zeros(objective.shape)), objective.curvature(objective.scores_of_zero())
    assert entries_metric(objective, c, products_of(objective, c)).by_entries(point, 1e-3) is None


def test_collinear_features_and_few_rows_end_at_a_proven_minimum():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 8)) @ rng.standard_normal((8, 400)) + 0.1 * rng.standard_normal((150, 400))
    y = (X @ rng.standard_normal((400, 3)) / 10 + rng.gumbel(size=(150, 3))).argmax(axis=1)
    model = GDLogisticRegression(C=3, l1_ratio=1, random_state=0).fit(X, y)
    z, W = X @ model.coef_.T + model.intercept_, model.coef_
    value = (logsumexp(z, axis=1) - z[np.arange(150), y]).mean() + np.abs(W).sum() / (3 * 150)
    assert model.converged_
    assert model.duality_gap_ <= 1e-6 * value


def test_many_classes_of_few_rows_end_at_a_proven_minimum():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 8)) @ rng.standard_normal((8, 150)) + 0.1 * rng.standard_normal((200, 150))
    y = (X @ rng.standard_normal((150, 15)) / 6 + rng.gumbel(size=(200, 15))).argmax(axis=1)
    model = GDLogisticRegression(C=100, l1_ratio=1, random_state=0, tol=1e-6).fit(X, y)
    z, W = X @ model.coef_.T + model.intercept_, model.coef_
    value = (logsumexp(z, axis=1) - z[np.arange(200), y]).mean() + np.abs(W).sum() / (100 * 200)
    assert model.converged_
    assert model.duality_gap_ <= 1e-4 * value
