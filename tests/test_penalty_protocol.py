"""Penalties at work: foreign ones, written by the recipe in docs/architecture.rst, and an elastic net of vectors."""

from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import scale

from gdlogit.backprop import Sigmoid, Softmax
from gdlogit.bounds import Bounded
from gdlogit.data.memory import rows_of
from gdlogit.descent import gradient, newton, quasi_newton, stochastic, truncated
from gdlogit.descent.loop import descend
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import LEFT_OUT, Conjugate, ElasticNet, L1Penalty, Penalty, lacking
from gdlogit.quadratic.lasso import least_slope
from gdlogit.quadratic.metric import LocalModel, NewtonMetric
from gdlogit.quadratic.proximal import Proximal
from gdlogit.verdict.duality import duality_gap

TOL = 1e-10


def method(name, tol=TOL, is_smooth=False):
    rng = np.random.default_rng(0)
    return {
        "gd": lambda: gradient.batch("auto"),
        "nesterov": lambda: gradient.nesterov("auto"),
        "sgd": lambda: stochastic.minibatch("auto", 1000, rng),  # all rows: the noise of a batch would never end
        "newton": lambda: newton.sketch(tol, rng),
        "by products": lambda: quasi_newton.quasi_newton(tol, rng) if is_smooth else truncated.truncated(),
    }[name]()


SOLVERS = ["gd", "nesterov", "sgd", "newton", "by products"]
TEXTBOOK = SOLVERS[:3]
solvers = pytest.mark.parametrize("solver", SOLVERS)
newtons = pytest.mark.parametrize("solver", SOLVERS[3:])


class Ridge(NamedTuple):
    """By the recipe, the smooth case."""

    strength: float

    is_none = False
    is_smooth = True
    is_rotation_invariant = True

    @property
    def largest_curvature(self):
        return self.strength

    def value(self, theta):
        return 0.5 * self.strength * float(np.vdot(theta[:-1], theta[:-1]))

    def nonsmooth_value(self, theta):
        return 0.0

    def gradient(self, theta):
        gradient = self.strength * theta
        gradient[-1] = 0
        return gradient

    def curvature(self, theta):
        curvature = np.full_like(theta, self.strength)
        curvature[-1] = 0
        return curvature

    def prox(self, theta, step):
        return theta


class GroupLasso(NamedTuple):
    """By the recipe, the nonsmooth case: strength sum_G sqrt(|G|) |W_G|_2 over groups of neighbouring features."""

    strength: float
    size: int

    is_none = False
    is_smooth = False
    is_rotation_invariant = False
    largest_curvature = 0.0

    def value(self, theta):
        return self.nonsmooth_value(theta)

    def nonsmooth_value(self, theta):
        return self.weight * self.norms(theta).sum()

    def gradient(self, theta):
        return np.zeros_like(theta)

    def curvature(self, theta):
        return np.zeros_like(theta)

    def prox(self, theta, step):
        norms = self.norms(theta)
        share = np.maximum(1 - step * self.weight / np.where(norms > 0, norms, np.inf), 0)
        share[norms == 0] = 0
        return np.vstack([np.repeat(share, self.size)[:, None] * theta[:-1], theta[-1:]])

    @property
    def weight(self):
        return self.strength * np.sqrt(self.size)

    def norms(self, theta):
        return np.linalg.norm(theta[:-1].reshape(-1, self.size * theta.shape[1]), axis=1)


def objective_of(load, penalty, form=np.asarray, centred=True):
    X, y = load(return_X_y=True)
    k = y.max() + 1
    rows = rows_of(form(scale(X)), y, np.ones(len(y)))
    return Objective(rows.centred() if centred else rows, Sigmoid() if k == 2 else Softmax(k), penalty)


def solved(objective, solver, tol=TOL, max_iter=20_000):
    descent = method(solver, tol, objective.penalty.is_smooth)
    return descend(descent, objective, np.zeros(objective.shape), tol=tol, max_iter=max_iter)


loads = pytest.mark.parametrize("load", [load_breast_cancer, load_iris], ids=["two classes", "three classes"])


@solvers
@loads
def test_a_ridge_by_the_recipe_has_the_minimum_of_the_elastic_net(solver, load):
    ours = solved(objective_of(load, ElasticNet(0.05)), "newton", 1e-14).point
    theirs = solved(objective_of(load, Ridge(0.05)), solver)
    assert theirs.status is Status.CONVERGED
    assert theirs.point.value == pytest.approx(ours.value, abs=2 * TOL)
    np.testing.assert_allclose(theirs.point.theta[:-1], ours.theta[:-1], atol=np.sqrt(2 * 2 * TOL / 0.05))


def least_group_lasso(objective):
    """The least J that L-BFGS finds of W_G = a_G V_G, where 2 |W_G| is the least a_G^2 + |V_G|^2: a smooth problem."""
    penalty, plain = objective.penalty, Objective(objective.rows, objective.loss, ElasticNet(0.0))
    n_groups, (p, k) = (objective.shape[0] - 1) // penalty.size, objective.shape

    def wide(a):
        return np.append(np.repeat(a, penalty.size), 1.0)[:, None]

    def factored(flat):
        a, V = flat[:n_groups], flat[n_groups:].reshape(p, k)
        point = plain.at(wide(a) * V)
        slopes = (point.gradient * V)[:-1].reshape(n_groups, -1).sum(axis=1) + penalty.weight * a
        value = point.value + 0.5 * penalty.weight * (a @ a + np.vdot(V[:-1], V[:-1]))
        return value, np.append(slopes, wide(a) * point.gradient + penalty.weight * bare(V))

    def bare(V):
        return np.vstack([V[:-1], 0 * V[-1:]])

    start = np.random.default_rng(0).uniform(0.1, 1, n_groups + p * k)
    options = {"maxiter": 50_000, "maxfun": 100_000, "ftol": 0, "gtol": 1e-10, "maxcor": 50}
    x = minimize(factored, start, jac=True, method="L-BFGS-B", options=options).x
    return objective.value(wide(x[:n_groups]) * x[n_groups:].reshape(p, k))


@pytest.mark.parametrize("solver", TEXTBOOK)
@pytest.mark.parametrize(("load", "size"), [(load_breast_cancer, 2), (load_iris, 1)])
def test_a_group_lasso_by_the_recipe_reaches_its_minimum(solver, load, size):
    objective = objective_of(load, GroupLasso(0.05, size))
    penalty, result = objective.penalty, solved(objective, solver)
    assert result.status is Status.CONVERGED
    assert result.point.value == pytest.approx(least_group_lasso(objective), abs=1e-9)
    norms = penalty.norms(result.point.theta)
    assert 0 < np.count_nonzero(norms == 0) < len(norms)  # exactly
    slopes = np.linalg.norm(result.point.gradient[:-1].reshape(len(norms), -1), axis=1)
    assert (slopes[norms == 0] <= penalty.weight).all()
    np.testing.assert_allclose(slopes[norms > 0], penalty.weight, atol=1e-4)


@newtons
def test_a_penalty_that_lacks_something_is_refused_by_name(solver):
    objective = objective_of(load_breast_cancer, GroupLasso(0.02, 2))
    with pytest.raises(TypeError) as refused:
        solved(objective, solver)
    assert str(refused.value) == (
        f"{method(solver).name} cannot use GroupLasso: "
        "this penalty lacks balanced, l1_strengths, restricted, uniform_strengths."
    )


@solvers
def test_what_is_no_penalty_at_all_is_refused_by_every_solver(solver):
    class Half(NamedTuple):
        is_none, is_smooth, is_rotation_invariant, largest_curvature = False, True, True, 0.0

        def value(self, theta):
            return 0.0

    objective = objective_of(load_breast_cancer, Half())
    name = method(solver, is_smooth=True).name
    with pytest.raises(TypeError, match=f"{name} cannot use Half.*lacks curvature, gradient, nonsmooth_value, prox"):
        solved(objective, solver)


@pytest.mark.parametrize("protocol", [Penalty, L1Penalty, Conjugate])
def test_the_elastic_net_has_all_that_is_ever_needed(protocol):
    assert not lacking(ElasticNet(0.1, 0.1), protocol)
    assert len(lacking(object(), protocol)) >= 4


def test_nothing_is_proven_with_a_penalty_of_unknown_conjugate():
    result = solved(objective := objective_of(load_breast_cancer, Ridge(0.05)), "newton")
    assert duality_gap(LocalModel(objective, result.point), np.random.default_rng(0)) == np.inf


# The estimate with a penalty of which only value and prox are known


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_the_fall_of_the_model_is_that_of_the_elastic_net(l2):
    """Of which the reduced Newton method finds the minimum."""
    objective = objective_of(load_breast_cancer, ElasticNet(l2, 0.02))
    theta = solved(objective, "newton", 1e-2).point.theta
    hessian, point = objective.hessian(theta) + 1e-3 * np.eye(theta.size), objective.at(theta)
    proximal = Proximal(hessian, objective.penalty)
    exact = newton.L1Metric(hessian, objective.penalty).excess(point)
    assert exact <= proximal.excess(point) * (1 + 1e-9)
    assert proximal.excess(point) <= 1.2 * exact
    step, _ = proximal.step_and_fall(point)
    moved = theta + step
    change = objective.penalty.nonsmooth_value(moved) - objective.penalty.nonsmooth_value(theta)
    fall = -np.vdot(point.gradient, step) - 0.5 * step.ravel() @ hessian @ step.ravel() - change
    assert 0.9 * exact <= fall <= exact * (1 + 1e-9)


def test_a_smooth_model_falls_by_half_the_newton_decrement():
    objective = objective_of(load_breast_cancer, Ridge(0.05))
    point = objective.at(np.zeros(objective.shape))
    hessian = objective.hessian(point.theta)
    estimate = Proximal(hessian, objective.penalty).excess(point)
    decrement = 0.5 * point.gradient.ravel() @ np.linalg.solve(hessian, point.gradient.ravel())
    assert decrement <= estimate * (1 + 1e-9)
    assert estimate <= 1.2 * decrement


@pytest.mark.parametrize("hessian", [None, np.ones((31, 31))], ids=["unknown", "singular"])
def test_a_model_without_a_hessian_or_with_a_singular_one_claims_nothing(hessian):
    objective = objective_of(load_breast_cancer, GroupLasso(0.02, 2))
    assert Proximal(hessian, objective.penalty).excess(objective.at(np.zeros(objective.shape))) == np.inf


@pytest.mark.parametrize("l1", [0.0, 0.02])
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_without_a_hessian_the_estimate_bounds_the_distance_and_ends_at_the_minimum(load, l1):
    shape = objective_of(load, ElasticNet(0.1)).shape
    W = np.ones((shape[0] - 1, shape[1]))
    objective = objective_of(load, Bounded(ElasticNet(0.1, l1), -0.1 * W, 0.2 * W))
    best = solved(objective, "newton").point
    assert (np.isclose(best.theta[:-1], -0.1) | np.isclose(best.theta[:-1], 0.2)).any()
    proximal = Proximal(None, objective.penalty)
    assert proximal.excess(best) <= 1e-8
    for size in (1e-4, 1e-2, 0.1):
        move = size * np.random.default_rng(0).standard_normal(shape)
        point = objective.at(objective.penalty.prox(best.theta + move, 0.0))
        assert objective.value(point.theta) - objective.value(best.theta) <= proximal.excess(point) * (1 + 1e-9)


def test_without_a_hessian_and_a_penalty_the_estimate_is_j_itself():
    objective = objective_of(load_breast_cancer, ElasticNet(0.0))
    point = objective.at(np.full(objective.shape, 0.1))
    assert Proximal(None, objective.penalty).excess(point) >= point.value


# Strengths that are vectors


FACTORS = {"some unpenalised": [0.0, 1.0, 2.0, 0.1], "all penalised": [0.5, 1.0, 3.0]}


def net(load, factors, l1_ratio, C=1.0):
    X, y = load(return_X_y=True)
    strength = np.resize(factors, X.shape[1]) / (C * len(y))
    return ElasticNet((1 - l1_ratio) * strength, l1_ratio * strength)


def least_subgradient(objective, point):
    return least_slope(point.theta, point.gradient, objective.penalty.l1_strengths(point.theta.shape))


@newtons
@loads
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
def test_vector_strengths_reach_a_proven_minimum(solver, load, l1_ratio, factors):
    objective = objective_of(load, net(load, factors, l1_ratio))
    if solver == "by products":
        objective.formed_parameters = 0
    result = solved(objective, solver)
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(least_subgradient(objective, result.point), 0, atol=1e-5)
    excess = result.excess if l1_ratio else 0.0
    assert (
        duality_gap(LocalModel(objective, result.point), np.random.default_rng(0), TOL, excess)
        < 1e-6 * result.point.value
    )


@newtons
@loads
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_the_bound_holds_on_the_way_where_some_features_are_unpenalised(solver, load, l1_ratio):
    penalty = net(load, FACTORS["some unpenalised"], l1_ratio)
    lowest = solved(objective_of(load, penalty), "newton", 1e-14).point.value
    objective, sharp = objective_of(load, penalty), 0
    if solver == "by products":
        objective.formed_parameters = 0
    for steps in (*range(1, 10), 20, 40, 80):
        point = solved(objective, solver, max_iter=steps).point
        gap = duality_gap(LocalModel(objective, point), np.random.default_rng(0))
        assert gap >= point.value - lowest - 4 * objective.resolution
        sharp += gap < 0.5 * point.value
    assert sharp


@pytest.mark.parametrize("solver", ["nesterov", "newton", "by products"])
def test_vector_strengths_are_the_problem_of_scaled_features(solver):
    """With l1 alone: a factor f on |w_j| is the feature divided by f, its coefficient times f."""
    X, y = load_breast_cancer(return_X_y=True)
    X, factors = scale(X), np.resize([0.5, 1.0, 2.0], 30)
    values, thetas = [], []
    for features, l1 in ((X, 0.02 * factors), (X / factors, 0.02)):
        objective = Objective(rows_of(features, y, np.ones(len(y))).centred(), Sigmoid(), ElasticNet(0.0, l1))
        point = solved(objective, solver, 1e-9).point
        values.append(point.value)
        thetas.append(point.theta[:-1, 0])
    assert values[0] == pytest.approx(values[1], abs=1e-8)
    np.testing.assert_allclose(thetas[0] * factors, thetas[1], atol=2e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_feature_that_is_left_out_is_as_if_it_had_no_column(solver):
    X, y = load_breast_cancer(return_X_y=True)
    X, others = scale(X), np.arange(30) % 3 != 0
    l1 = np.where(others, 0.02, LEFT_OUT)
    points = [
        solved(
            Objective(rows_of(features, y, np.ones(len(y))).centred(), Sigmoid(), ElasticNet(0.01, strength)), solver
        ).point
        for features, strength in ((X, l1), (X[:, others], 0.02))
    ]
    assert points[0].value == pytest.approx(points[1].value, abs=2 * TOL)
    np.testing.assert_array_equal(points[0].theta[:-1][~others], 0)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_compiled_coordinate_descent_sees_no_vectors(form, l1_ratio, monkeypatch):
    """It takes one l1 and one l2; where features differ, zeros are freed by steepest descent."""
    monkeypatch.setattr("gdlogit.quadratic.lasso.swept", None)
    objective = objective_of(load_breast_cancer, net(load_breast_cancer, [0.0, 1.0, 2.0, 0.1], l1_ratio), form)
    objective.formed_parameters = 0
    assert objective.has_least_squares
    result = solved(objective, "by products")
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(least_subgradient(objective, result.point), 0, atol=1e-5)
    objective.penalty = ElasticNet(0.0, 0.01)
    with pytest.raises(TypeError, match="not callable"):
        solved(objective, "by products")


def test_many_unpenalised_features_and_classes_are_solved_by_a_smooth_metric():
    objective = objective_of(load_iris, ElasticNet(np.array([0.01, 0.0, 0.02, 0.01]), 0.0))
    state = method("newton").start(objective, np.zeros(objective.shape))
    assert isinstance(state.metric, NewtonMetric)
