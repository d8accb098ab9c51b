"""Without a penalty, features that carry nothing new change no score; of all minima the one of least norm is found."""

import numpy as np
import pytest
import scipy.sparse as sp

from gdlogit import GDLogisticRegression
from gdlogit.backprop import Sigmoid
from gdlogit.data.memory import rows_of
from gdlogit.descent import newton
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet

forms = pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "CSR"])
sizes = pytest.mark.parametrize("n", [300, 6000], ids=["all rows", "sampled"])


def drawn(n, n_classes=2):
    rng = np.random.default_rng(n)
    X = rng.standard_normal((n, 3))
    return rng, X, (X @ rng.standard_normal((3, n_classes)) + rng.gumbel(size=(n, n_classes))).argmax(axis=1)


def redundant(n, n_classes=2):
    """Name: features, and those of the same span without what is redundant."""
    rng, X, _ = drawn(n, n_classes)
    levels = np.eye(5)[rng.integers(0, 5, n)]
    groups = levels @ [[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]]
    return {
        "a column twice": (np.c_[X, X[:, 0]], X),
        "twice, on another scale": (np.c_[X, 1e6 * X], X),
        "a sum": (np.c_[X, X.sum(axis=1)], X),
        "all levels of a category": (np.c_[X, levels], np.c_[X, levels[:, 1:]]),
        "levels and groups of them": (np.c_[levels, groups, X], np.c_[X, levels[:, 1:]]),
        "nearly a column twice": (np.c_[X, X[:, 0] + 1e-13 * rng.standard_normal(n)], X),
        "a constant of 1": (np.c_[X, np.ones(n)], X),
        "a constant of 0.1": (np.c_[X, np.full(n, 0.1)], X),
        "a large constant": (np.c_[X, np.full(n, 1e6 / 3)], X),
        "nothing": (np.c_[np.zeros((n, 1)), X], X),
    }


@forms
@sizes
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", redundant(300))
def test_redundant_features_change_no_score(name, n_classes, n, form):
    X, plain = redundant(n, n_classes)[name]
    y = drawn(n, n_classes)[2]
    ours = GDLogisticRegression(C=np.inf, tol=1e-13, random_state=0).fit(form(X), y)
    theirs = GDLogisticRegression(C=np.inf, tol=1e-13, random_state=0).fit(plain, y)
    assert ours.converged_
    assert np.abs(ours.coef_[:, :3]).max() < 1e4
    np.testing.assert_allclose(ours.predict_proba(form(X)), theirs.predict_proba(plain), atol=1e-5)
    fall = theirs.loss_curve_[-1] - ours.loss_curve_[-1]
    assert -1e-12 <= fall <= (1e4 * 1e-13 if name.startswith("nearly") else 1e-12)  # the coefficient times the noise


@forms
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("name", [name for name in redundant(300) if not name.startswith("nearly")])
def test_of_all_minima_the_one_of_least_norm_is_returned(name, n_classes, form):
    X, plain = redundant(300, n_classes)[name]
    y = drawn(300, n_classes)[2]
    z = plain @ (theirs := GDLogisticRegression(C=np.inf, tol=1e-13).fit(plain, y)).coef_.T + theirs.intercept_
    spread = np.where(X.std(axis=0) > 1e-9, X.std(axis=0), 1)
    least = np.linalg.lstsq((X - X.mean(axis=0)) / spread, z - z.mean(axis=0), rcond=1e-9)[0]
    ours = GDLogisticRegression(C=np.inf, tol=1e-13, random_state=0).fit(form(X), y)
    np.testing.assert_allclose(ours.coef_.T * spread[:, None], least, atol=1e-5)


def test_nearly_collinear_features_keep_the_scores_that_they_have():
    rng, X, y = drawn(300)
    X = np.c_[X, X[:, 0] + 1e-5 * rng.standard_normal(300)]
    model = GDLogisticRegression(C=np.inf, tol=1e-13).fit(X, y)
    assert model.converged_
    assert model.loss_curve_[-1] < GDLogisticRegression(C=np.inf, tol=1e-13).fit(X[:, :3], y).loss_curve_[-1] - 1e-5


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 / 3, -7e-5])
def test_a_constant_feature_is_left_to_the_intercept(value):
    _, X, y = drawn(3000)
    model = GDLogisticRegression(C=np.inf, random_state=0).fit(np.c_[X, np.full(len(X), value)], y)
    assert abs(model.coef_[0, 3] * value) < 1e-4
    np.testing.assert_allclose(model.coef_[0, :3], GDLogisticRegression(C=np.inf).fit(X, y).coef_[0], atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_heavy_tails_and_sums_of_columns_in_float32_have_the_minimum_of_the_columns_alone(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_t(1.5, (3000, 15)).astype(np.float32)
    y = (X[:, 0] + rng.logistic(size=3000) > 1).astype(int)
    alone = GDLogisticRegression(C=np.inf).fit(X.astype(float), y)
    model = GDLogisticRegression(C=np.inf, random_state=0).fit(np.c_[X, X[:, :2], X[:, 0] + X[:, 1]], y)
    assert model.converged_
    assert model.loss_curve_[-1] == pytest.approx(alone.loss_curve_[-1], rel=1e-5)
    assert np.abs(model.coef_).max() < 2


def test_float32_makes_nothing_of_what_its_rounding_adds_to_a_sum():
    _, X, y = drawn(300, 3)
    X = (X * [1e-3, 1, 1e3]).astype(np.float32)
    alone = GDLogisticRegression(C=np.inf).fit(X.astype(float), y)
    model = GDLogisticRegression(C=np.inf, random_state=0).fit(np.c_[X, X.sum(axis=1)], y)
    assert model.converged_
    assert model.loss_curve_[-1] == pytest.approx(alone.loss_curve_[-1], rel=2e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of classes that are separable
@forms
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_weights_are_rows_where_there_are_more_features_than_rows(n_classes, fit_intercept, form):
    rng = np.random.default_rng(0)
    X, y, weight = rng.uniform(size=(15, 30)), np.arange(15) % n_classes, rng.integers(1, 6, 15)
    scale = 10.0 ** rng.integers(-3, 4, 30)
    X, new = X * scale, rng.uniform(size=(50, 30)) * scale
    several, more = np.repeat(np.arange(15), weight), np.r_[X, rng.uniform(size=(40, 30)) * scale]
    model = GDLogisticRegression(C=np.inf, fit_intercept=fit_intercept, random_state=0)
    expected = model.fit(form(X), y, weight).predict_proba(form(new))
    twice = model.fit(form(X[several]), y[several]).predict_proba(form(new))
    with_none = model.fit(form(more), np.arange(55) % n_classes, np.r_[weight, np.zeros(40)]).predict_proba(form(new))
    np.testing.assert_allclose(twice, expected, atol=1e-7)
    np.testing.assert_allclose(with_none, expected, atol=1e-7)
    np.testing.assert_allclose(model.fit(X, y, weight).predict_proba(new), expected, atol=1e-7)  # dense or not


@forms
def test_rows_that_contradict_each_other_have_even_odds(form):
    X = np.random.default_rng(0).standard_normal((10, 50))
    model = GDLogisticRegression(C=np.inf).fit(form(np.r_[X, X, X]), np.repeat([0, 1, 2], 10))
    assert model.converged_
    np.testing.assert_allclose(model.predict_proba(form(X)), 1 / 3, atol=1e-4)


def one_hot(n=20_000):
    """Levels of a category from frequent to rare, all with rows of both classes."""
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 31) ** 2.2
    level = np.r_[np.arange(30), np.arange(30), rng.choice(30, n - 60, p=share / share.sum())]
    y = np.r_[np.zeros(30), np.ones(30), rng.random(n - 60) < 0.1].astype(int)
    return np.c_[rng.standard_normal((n, 2)), np.eye(30)[level]], y


@forms
def test_levels_that_a_sample_misses_throw_no_fit(form):
    X, y = one_hot()
    values = [GDLogisticRegression(C=np.inf, random_state=seed).fit(form(X), y).loss_curve_[-1] for seed in range(5)]
    np.testing.assert_allclose(values, values[0], atol=1e-8)


@forms
@pytest.mark.parametrize("intercept", [True, False])
def test_what_is_constant_gets_no_part_and_no_score_changes(form, intercept):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 4))
    X[:, 1], X[:, 2], X[:1500, 3] = 0, 7.5, 1
    rows = rows_of(form(X), np.arange(2000) % 2, np.ones(2000), intercept, centre=np.arange(4.0))
    theta = rng.standard_normal((5, 1))
    objective = Objective(rows, Sigmoid(), ElasticNet(0.0))
    cleaned = objective.without_constants(theta)
    np.testing.assert_allclose(objective.scores(cleaned), objective.scores(theta), atol=1e-12)
    assert (cleaned[:-1, 0] == 0).tolist() == [False, intercept, intercept, False]


@pytest.mark.parametrize("size", [3, 30, 1000])
def test_a_descent_comes_back_from_where_no_row_has_curvature(size):
    _, X, y = drawn(20_000)
    objective = Objective(rows_of(X, y, np.ones(len(y))), Sigmoid(), ElasticNet(0.0))
    minimum = GDLogisticRegression(C=np.inf).fit(X, y)
    state = newton.begin(objective, -size * np.r_[minimum.coef_[0], minimum.intercept_][:, None], None)
    for _ in range(60):
        state = newton.advance(lambda *_: 1e-10, objective, state)
    assert state.point.value == pytest.approx(minimum.loss_curve_[-1], abs=1e-9)
