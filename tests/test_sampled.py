"""The Hessian of random rows as a metric: it is near that of all rows, and a descent in it arrives and says so."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from gdlogit import GDLogisticRegression
from gdlogit.backprop import loss_of
from gdlogit.bounds import bounded
from gdlogit.data.memory import rows_of
from gdlogit.descent import products_first
from gdlogit.moments import likely_rows, mean_squares
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.curvature import Jacobi
from gdlogit.quadratic.sampled import replaces_hessian, sample_of

N, P, K = 4000, 20, 12


def labels_of(scores, rng):
    return (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)


def normal(seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P))
    return X, labels_of(X @ rng.standard_normal((P, K)) / 3, rng)


def rare_flags(seed=1):
    """Half of the features are flags, some of them set in a few rows."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N, P))
    X[:, ::2] = rng.random((N, P // 2)) < np.geomspace(2 / N, 0.5, P // 2)
    return X, labels_of(X @ rng.standard_normal((P, K)), rng)


def separable(seed=2):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, K, N)
    return 2.5 * rng.standard_normal((K, P))[y] + rng.standard_normal((N, P)), y


def counts(seed=3):
    """Features on very different scales, classes that hardly overlap."""
    rng = np.random.default_rng(seed)
    X = rng.poisson(10 ** rng.uniform(-1, 1, P), (N, P)).astype(float)
    return X, labels_of(X / X.std(axis=0) @ rng.standard_normal((P, K)), rng)


SETS = pytest.mark.parametrize("draw", [normal, rare_flags, separable, counts])


def objective_of(X, y, penalty=None):
    rows = rows_of(X, y, np.ones(len(y)), n_scores=K).centred()
    return Objective(rows, loss_of(K), penalty or ElasticNet(1e-3))


def minimum_of(X, y, C):
    """The least J, by Newton's method on a theta with an intercept for each class."""
    n, p = X.shape
    A = np.hstack([X - X.mean(axis=0), np.ones((n, 1))])
    ridge = np.repeat([*np.full(p, 1 / (C * n)), 0], K)
    theta, own = np.zeros((p + 1, K)), (np.arange(n), y)

    def J(theta):
        z = A @ theta
        return np.mean(logsumexp(z, axis=1) - z[own]) + 0.5 * ridge @ theta.ravel() ** 2

    for _ in range(60):
        a = softmax(A @ theta, axis=1)
        dz = a.copy()
        dz[own] -= 1
        g = (A.T @ dz / n).ravel() + ridge * theta.ravel()
        coupled = (A[:, :, None] * a[:, None]).reshape(n, -1)
        H = -coupled.T @ coupled / n + np.diag(ridge)
        blocks = H.reshape(p + 1, K, p + 1, K)
        for c in range(K):
            blocks[:, c, :, c] += (A.T * a[:, c]) @ A / n
        blocks[-1, :, -1] += 1 / K  # the intercepts may all move together
        step, rate = np.linalg.solve(H, g).reshape(theta.shape), 1.0
        if g @ step.ravel() < 1e-16:
            break
        while J(theta - rate * step) > J(theta) - 1e-4 * rate * g @ step.ravel():
            rate /= 2
        theta = theta - rate * step
    return J(theta)


@SETS
@pytest.mark.parametrize("C", [0.01, 1.0, pytest.param(1e3, marks=pytest.mark.deep)])
def test_a_fit_reaches_the_minimum_and_proves_that(draw, C):
    X, y = draw()
    assert replaces_hessian(objective_of(X, y))
    model, least = GDLogisticRegression(C=C, random_state=0).fit(X, y), minimum_of(X, y, C)
    excess = model.loss_curve_[-1] - least
    assert model.converged_
    assert -1e-12 <= excess <= model.tol_ * min(1, least)
    assert excess - 1e-12 <= model.duality_gap_ <= 1e-6 * least


@SETS
def test_a_sampled_hessian_is_near_that_of_all_rows(draw):
    X, y = draw()
    objective, rng = objective_of(X, y), np.random.default_rng(0)
    theta = 0.3 * rng.standard_normal(objective.shape)
    z = objective.scores(theta)
    c = objective.curvature(z)
    sample = sample_of(objective, mean_squares(objective), z, rng)
    sampled = sample.hessian(objective, z, Jacobi(objective.hessian_diagonal(c))).product
    exact = objective.hessian_product(c)
    for _ in range(20):
        v = rng.standard_normal(objective.shape) / np.sqrt(objective.hessian_diagonal(c))
        v -= v.mean(axis=1, keepdims=True)
        assert np.vdot(v, sampled(v)) == pytest.approx(np.vdot(v, exact(v)), rel=0.3)


def test_rows_with_curvature_or_a_rare_feature_are_drawn_and_each_row_stands_for_its_share():
    X, y = rare_flags()
    objective, rng = objective_of(X, y), np.random.default_rng(0)
    theta = np.zeros(objective.shape)
    theta[1] = np.linspace(-2000, 2000, K)  # nearly all rows are certain
    z = objective.scores(theta)
    index, times = likely_rows(objective, N // 4, mean_squares(objective), rng, z)
    curvature = objective.loss.bend_diagonal(objective.curvature(z)).sum(axis=1)
    assert np.isin(np.argsort(curvature)[-10:], index).all()
    assert times @ curvature[index] == pytest.approx(curvature.sum(), rel=0.05)
    assert times.sum() == pytest.approx(N, rel=0.1)
    index, _ = likely_rows(objective, N // 4, mean_squares(objective), rng)
    assert np.isin(np.flatnonzero(X[:, 0]), index).all()


def test_newtons_method_goes_on_where_products_with_the_sample_are_too_many(monkeypatch):
    X, y = counts()
    turns, refresh = [], products_first.refresh
    monkeypatch.setattr(products_first, "refresh", lambda o, *rest: turns.append(o.passes) or refresh(o, *rest))
    model = GDLogisticRegression(C=10.0, random_state=0).fit(X, y)
    assert len(turns) == 1
    assert model.converged_
    assert model.loss_curve_[-1] - minimum_of(X, y, 10.0) <= 1e-8
    assert model.duality_gap_ <= 1e-6


def test_newtons_method_does_not_begin_where_all_rows_of_a_class_are_on_the_wrong_side():
    X, y = normal()
    objective = objective_of(X, y)
    theta = np.zeros(objective.shape)
    for lost in (False, True):
        state = SimpleNamespace(point=objective.at(theta), scores=objective.scores(theta))
        assert products_first.is_lost(objective, state) == lost
        theta[-1, 0] = -30.0


def test_hessians_are_formed_where_rows_are_few_or_there_may_be_no_minimum():
    X, y = normal()
    assert not replaces_hessian(objective_of(X[:1000], y[:1000]))
    assert not replaces_hessian(objective_of(X, y, ElasticNet(0.0)))
    assert not replaces_hessian(objective_of(X, y, ElasticNet(1e-3, 1e-3)))
    assert not replaces_hessian(objective_of(X, y, bounded(ElasticNet(1e-3), (np.zeros(P), np.full(P, np.inf)))))
