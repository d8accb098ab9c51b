"""Proximal quasi-Newton descent: l1 with several classes and too many parameters to form a Hessian."""

import tracemalloc
import warnings
from inspect import getmodule

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from gdlogit import GDLogisticRegression
from gdlogit.backprop import Softmax, loss_of
from gdlogit.data.memory import rows_of
from gdlogit.descent.loop import descend
from gdlogit.descent.proximal_quasi_newton import model, proximal_quasi_newton, slope_along
from gdlogit.descent.quasi_newton import quasi_newton
from gdlogit.moments import second_moment
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet, shrink
from gdlogit.quadratic.features import Features
from gdlogit.quadratic.l1_metric import L1Restricted, l1_metric
from gdlogit.quadratic.spectral import LEAST_CLASS_CURVATURE, Eigenbasis, SpectralMetric

K = 6


def drawn(n, p, k, rng, correlation=0.5):
    X = rng.standard_normal((n, p))
    X[:, 1:] += correlation * X[:, :1]
    X += rng.standard_normal(p)
    scores = X[:, :5] @ rng.standard_normal((5, k)) + rng.gumbel(size=(n, k))
    return X, np.unique(scores.argmax(axis=1), return_inverse=True)[1]


def objective_of(X, y, k, l1=1e-3, l2=0.0):
    rows = rows_of(X, y, np.ones(len(y)), n_scores=k).centred()
    return Objective(rows, loss_of(k), ElasticNet(l2, l1), formed_parameters=100)


def value(X, y, model, C, l1_ratio):
    z = X @ model.coef_.T + model.intercept_
    loss = (logsumexp(z, axis=1) - z[np.arange(len(y)), y]).mean()
    W = model.coef_
    return loss + (l1_ratio * np.abs(W).sum() + (1 - l1_ratio) / 2 * (W**2).sum()) / (C * len(y))


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_the_minimum_is_no_higher_than_sagas(l1_ratio):
    X, y = drawn(300, 60, K, np.random.default_rng(0))
    ours = GDLogisticRegression(C=0.1, l1_ratio=l1_ratio, random_state=0).fit(X, y)
    theirs = LogisticRegression(solver="saga", C=0.1, l1_ratio=l1_ratio, tol=1e-6, max_iter=3000, random_state=0)
    if theirs.penalty == "l2":  # before scikit-learn 1.8
        theirs.set_params(penalty="elasticnet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(X, y)
    assert ours.converged_
    assert value(X, y, ours, 0.1, l1_ratio) <= value(X, y, theirs, 0.1, l1_ratio) * (1 + 1e-6)
    assert 0 < np.count_nonzero(ours.coef_) < ours.coef_.size


@pytest.mark.parametrize("size", [0.0, 0.1, 10.0])
def test_j_falls_at_every_step_whatever_the_start(size):
    rng = np.random.default_rng(1)
    objective = objective_of(*drawn(500, 40, K, rng), K)
    start = size * rng.standard_normal(objective.shape)
    result = descend(proximal_quasi_newton(1e-6, rng), objective, start, tol=1e-6, max_iter=200)
    values = [objective.at(start).value, *(record.value for record in result.history)]
    assert all(np.diff(values) <= objective.resolution * np.abs(values[:-1]))


@pytest.mark.parametrize("l2", [0.0, 1e-3])
def test_the_end_satisfies_the_conditions_of_a_minimum(l2):
    rng = np.random.default_rng(2)
    objective = objective_of(*drawn(500, 40, K, rng), K, l2=l2)
    tol = 1e-10
    result = descend(proximal_quasi_newton(tol, rng), objective, np.zeros(objective.shape), tol=tol, max_iter=300)
    W, slopes = result.point.theta[:-1], result.point.gradient[:-1]
    # The excess is at most tol J, and no second derivative of the mean loss exceeds half of its feature's mean square.
    enough = 10 * np.sqrt(tol * (objective.spread()[:, None] ** 2 + l2))
    assert (np.abs(np.where(W == 0, shrink(slopes, 1e-3), slopes + 1e-3 * np.sign(W))) <= enough).all()
    assert 0 < np.count_nonzero(W) < W.size


def test_a_step_of_the_model_reaches_its_minimum_and_the_newest_pair_holds():
    rng = np.random.default_rng(3)
    objective = objective_of(*drawn(400, 20, K, rng), K, l1=1e-2)
    z = objective.scores(np.zeros(objective.shape))
    point = objective.at(np.zeros(objective.shape))
    moment = second_moment(objective, objective.n_rows, None, rng)
    features = Features(moment.diagonal(), moment)
    basis = Eigenbasis.of(features, objective.coupling_at(z))
    metric = SpectralMetric(basis)
    for _ in range(3):
        step = rng.standard_normal(objective.shape)
        step -= step.mean(axis=1, keepdims=True)
        change = objective.at(0.1 * step).gradient - point.gradient
        metric = metric.with_steps([(0.1 * step, change)])
    best, reached = 0.0, []
    for _ in range(30):  # each with the rho of the last
        step, fall, metric = metric.step_and_fall(point, objective.penalty)
        reached.append(fall)
        best = max(best, fall)
    assert best > 0
    assert reached[-1] >= best * (1 - 1e-3)


def test_a_feature_basis_gives_back_what_goes_into_it():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((50, 7))
    features = Features((X**2).mean(axis=0), X.T @ X / 50)
    B = np.diag([0.2, 0.1, 0.3]) - 0.05
    basis, theta = Eigenbasis.of(features, B), rng.standard_normal((7, 3))
    np.testing.assert_allclose(basis.out_of(basis.into(theta)), theta, atol=1e-5)  # the rotations are in float32
    curvature = (basis.values * basis.into(theta / basis.scale) ** 2).sum()
    B += LEAST_CLASS_CURVATURE * B.diagonal().max() * np.eye(3)
    np.testing.assert_allclose(curvature, np.vdot(theta, features.gram @ theta @ B), rtol=1e-4)


def test_a_class_without_curvature_is_scaled_like_the_others():
    """Where a step makes all rows of a class certain, B knows nothing of that class, and a step there is not free."""
    X = np.random.default_rng(4).standard_normal((50, 7))
    features = Features((X**2).mean(axis=0), None)
    basis = Eigenbasis.of(features, np.diag([1e-40, 1e-12, 1e-3]))
    shares = basis.scale / basis.scale.min(axis=1, keepdims=True)
    np.testing.assert_allclose(shares.max(), LEAST_CLASS_CURVATURE**-0.5, rtol=1e-3)


def test_a_step_that_makes_all_rows_certain_leaves_a_metric():
    X = np.random.default_rng(4).standard_normal((50, 7))
    for gram in (None, X.T @ X / 50):
        basis = Eigenbasis.of(Features((X**2).mean(axis=0), gram), np.zeros((3, 3)))
        assert (basis.values > 0).all()
        assert np.isfinite(basis.scale).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_clusters_that_a_step_makes_certain_are_fitted(dtype):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 3000)
    X = (5 * rng.standard_normal((3, 600))[y] + rng.standard_normal((3000, 600))) * 10 ** rng.uniform(-2, 2, 600)
    assert GDLogisticRegression(l1_ratio=1, random_state=0).fit(X.astype(dtype), y).converged_


@pytest.mark.parametrize(("descent", "l1"), [(proximal_quasi_newton, 1e-3), (quasi_newton, 0.0)])
def test_a_small_estimate_of_a_descent_that_has_settled_is_verified(descent, l1):
    """The descent would end there: its claim, and the proof, need Newton's step."""
    X, y = drawn(300, 60, K, np.random.default_rng(0))
    objective = objective_of(X, y, K, l1, 1e-3 - l1)
    with_direction = getmodule(descent).with_direction
    state = descent(2.0, np.random.default_rng(0)).start(objective, np.zeros(objective.shape))
    state = state._replace(is_small=False, solved=None)
    goes_on = state._replace(values=(np.log(K),))
    settled = state._replace(values=12 * (np.log(K),))
    assert with_direction(objective, goes_on, 2.0).solved is None
    assert with_direction(objective, settled, 2.0).solved is not None


@pytest.mark.parametrize("smooth", [-2.0, -0.3, 0.0, 0.4, 3.0])
def test_the_slope_at_a_kink_is_the_one_sided_slope_of_least_size(smooth):
    rng = np.random.default_rng(7)
    theta, direction, strengths = rng.standard_normal((6, 2)), rng.standard_normal((6, 2)), rng.uniform(0, 0.3, (6, 2))
    theta[::2] = 0.0
    h = 1e-7

    def rise(rate):
        return smooth * rate + (strengths * (np.abs(theta + rate * direction) - np.abs(theta))).sum()

    behind, ahead = -rise(-h) / h, rise(h) / h
    expected = 0.0 if behind <= 0 <= ahead else min(behind, ahead, key=abs)
    np.testing.assert_allclose(slope_along(smooth, theta, direction, strengths), expected, atol=1e-7)


def test_steps_near_the_minimum_are_full():
    """Coefficients reach 0 at a rate of 1; a search that asks for a small slope ahead would cut each such step."""
    rng = np.random.default_rng(8)
    y = rng.integers(0, 10, 400)
    X = rng.standard_normal((10, 200))[y] + rng.standard_normal((400, 200))
    fitted = GDLogisticRegression(C=1.0, l1_ratio=1, random_state=0).fit(X, y)
    assert fitted.converged_
    assert (fitted.history_["rate"][-3:] == 1).all()


def test_the_proof_of_a_descent_that_has_settled_costs_no_more_than_the_descent():
    rng = np.random.default_rng(9)
    objective = objective_of(*drawn(3000, 120, K, rng, correlation=3.0), K, l1=1e-7)
    method = proximal_quasi_newton(1e-12, rng)
    state = method.start(objective, np.zeros(objective.shape))
    for _ in range(10):
        state = method.step(objective, state)
    assert state.solved is None
    before = objective.passes
    _ = model(objective, state).step
    # One search ends after a solve on the nonzeros, a step within the signs and one of steepest descent.
    assert objective.passes - before <= before + 50


def test_more_features_than_rows_are_fitted_on_a_working_set():
    X, y = drawn(60, 400, K, np.random.default_rng(5))
    model = GDLogisticRegression(C=1.0, l1_ratio=1, random_state=0).fit(X, y)
    assert model.converged_
    assert model.history_["passes"][-1] < 100
    objective = objective_of(X, y, K, l1=1 / 60)
    zero = np.zeros(objective.shape)
    metric = l1_metric(objective, objective.at(zero), objective.scores(zero))
    assert isinstance(metric, L1Restricted)
    direction, fall = metric.step_and_fall(objective.at(zero))
    assert fall > 0
    assert np.count_nonzero(direction.any(axis=1)) <= 201


def test_some_rows_of_a_fortran_array_are_multiplied_without_a_copy():
    X, y = drawn(4000, 500, 2, np.random.default_rng(6))
    rows = rows_of(np.asfortranarray(X), y, np.ones(len(y)))
    block = rows.block[slice(0, 2000)]
    tracemalloc.start()
    try:
        block.forward(np.ones((501, 1)))
        block.backward(np.ones((2000, 1)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < block.n_bytes / 4


def test_a_class_that_no_row_takes_for_likely_does_not_end_a_tilt():
    z, v = np.array([[0.0, 0.3, -100.0]]), np.array([[0.1, 0.0, 50.0]])
    kl, change, largest = Softmax.tilt(z, v)
    assert largest < 1
    a = Softmax.probabilities(z)
    t = v - (a * v).sum(axis=1, keepdims=True)
    tilted = a * (1 - np.where(t < 1, t, 0))
    np.testing.assert_allclose(kl, (tilted * np.log(tilted / a)).sum(axis=1), rtol=1e-11)
    np.testing.assert_allclose(change, a - tilted, atol=1e-16)
    _, _, beyond = Softmax.tilt(np.zeros((1, 3)), v)
    assert beyond >= 1


@pytest.mark.parametrize("draw", range(3))
def test_a_weak_l1_penalty_is_proven_or_said_to_have_settled(draw):
    X, y = drawn(300, 40, 10, np.random.default_rng(draw), correlation=2.0)
    model = GDLogisticRegression(C=1000, l1_ratio=1, random_state=0).fit(X, y)  # warnings are errors
    assert model.duality_gap_ <= 0.01 * value(X, y, model, 1000, 1) or model.tol_ > 1e-6


def test_a_minimum_with_a_tiny_l1_strength_is_proven():
    """A slope beyond a tiny strength by a few per cent costs as many per cent of J in the proof."""
    rng, C = np.random.default_rng(0), 1e3
    X, y = rng.standard_normal((1500, 52)), rng.integers(0, 30, 1500)
    model = GDLogisticRegression(C=C, l1_ratio=1.0, random_state=0).fit(X, y)  # a loose proof would warn
    best = GDLogisticRegression(C=C, l1_ratio=1.0, tol=1e-9, random_state=0).fit(X, y)
    J = value(X, y, model, C, 1.0)
    assert J - value(X, y, best, C, 1.0) <= model.duality_gap_ <= 0.01 * J


def test_a_nearly_certain_row_that_a_tilt_takes_out_does_not_cost_the_proof():
    """A feature of large scale that is nonzero in few rows: without them there is no tilt that proves much."""
    rng = np.random.default_rng(73300007)
    for size in (4, 5, 4, 4, 3, 6, 2):
        rng.choice(size)
    X = (rng.random((2000, 50)) < rng.random(50) ** 3).astype(float)
    y = (X @ rng.standard_normal((50, 3)) / np.sqrt(50) * 2 + rng.gumbel(size=(2000, 3))).argmax(1)
    rng.random()
    X = (X * 10 ** rng.uniform(-2, 2, 50)).astype("f4")
    model = GDLogisticRegression(l1_ratio=1.0, random_state=0).fit(X, y)
    J = value(X.astype(float), y, model, 1.0, 1.0)
    best = GDLogisticRegression(l1_ratio=1.0, random_state=0).fit(X.astype(float), y)
    assert J - value(X.astype(float), y, best, 1.0, 1.0) <= model.duality_gap_ <= 1e-4 * J
