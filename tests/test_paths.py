"""Several weightings of the rows over a path of C: each solution is that of a fit by itself."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris

from gdlogit.descent.quasi_newton import LONG_DESCENT, Known
from gdlogit.descent.several import Metrics, RowMetrics, advance, begin, contraction, descend_side_by_side, is_near
from gdlogit.l1_path import L1Path
from gdlogit.objective import Objective
from gdlogit.paths import OneByOne, paths
from gdlogit.penalty import ElasticNet
from gdlogit.problem import Problem
from gdlogit.quadratic.active_set import ActiveSets
from gdlogit.quadratic.secant import Secant
from gdlogit.several import Columns, Points, Several
from gdlogit.side_by_side import Batch, SideBySide
from gdlogit.solve import Settings, coordinates_of, solve

CS = np.logspace(-3, 3, 9)


def wide():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((60, 150))
    return X, (X[:, 0] + rng.standard_normal(60) > 0).astype(int)


def sparse():
    X = sp.random(300, 20, 0.2, random_state=0, format="csr")
    return X, (X @ np.arange(-10, 10) + np.random.default_rng(0).standard_normal(300) > 0).astype(int)


def rare_flags():
    """Flags that only a few rows have, all of them in one fold; and a feature with heavy tails."""
    rng = np.random.default_rng(2)
    X = np.column_stack([np.exp(3 * rng.standard_normal(400)), rng.standard_normal(400), np.arange(400) < 5])
    return X, (X[:, 1] + X[:, 2] + rng.logistic(size=400) > 0).astype(int)


def single():
    X, y = load_breast_cancer(return_X_y=True)
    return X.astype(np.float32), y


TABLES = {
    "raw": lambda: load_breast_cancer(return_X_y=True),
    "softmax": lambda: load_iris(return_X_y=True),
    "wide": wide,
    "sparse": sparse,
    "rare": rare_flags,
}


def problem_of(X, y, weight=None):
    weight = np.ones(len(y)) if weight is None else weight
    return Problem.of(X, y.astype(np.uint8), weight, len(np.unique(y)))


def shares_of(n, n_folds=3):
    """The whole, folds of every n-th row, and for "rare" one that lacks the first rows; a bootstrap."""
    shares = np.ones((n, n_folds + 3), np.uint8)
    for fold in range(n_folds):
        shares[fold::n_folds, fold + 1] = 0
    shares[: n // 10, n_folds + 1] = 0
    shares[:, n_folds + 2] = np.random.default_rng(0).poisson(1.0, n)
    return shares


def alone(problem, share, C, l1_ratio=0.0, tol=1e-14):
    rows = problem.rows.reweighted(share.astype(float))
    return solve(problem._replace(rows=rows, penalty=ElasticNet.of(C, l1_ratio, rows.total)), Settings(tol=tol))


def excess_over(solution, theta):
    """J at the user's theta above the J of a solution."""
    inside = solution.coordinates.into(theta)
    objective = Objective(solution.coordinates.rows, solution.objective.loss, solution.objective.penalty)
    return objective.value(inside) - solution.point.value


@pytest.mark.parametrize("table", TABLES)
def test_each_solution_is_that_of_a_fit_by_itself(table):
    X, y = TABLES[table]()
    weight = np.random.default_rng(3).uniform(0.5, 2, len(y))
    problem, shares = problem_of(X, y, weight), shares_of(len(y))
    found = dict(paths(problem, shares, CS, settings=Settings(tol=1e-10)))
    assert sorted(found) == [*range(len(CS))]
    for i in (0, 3, 8):
        for f in range(shares.shape[1]):
            theirs = alone(problem, shares[:, f], CS[i])
            assert found[i].converged[f]
            assert abs(excess_over(theirs, found[i].theta[f])) < 1e-10


@pytest.mark.parametrize("table", ["raw", "softmax", "wide", "sparse"])
def test_coefficients_are_those_of_a_fit_by_itself(table):
    X, y = TABLES[table]()
    problem, shares = problem_of(X, y), shares_of(len(y))
    found = dict(paths(problem, shares, CS[:6], settings=Settings(tol=1e-14)))
    for f in range(shares.shape[1]):
        theirs = alone(problem, shares[:, f], CS[3], tol=1e-15).theta
        np.testing.assert_allclose(found[3].theta[f][:-1], theirs[:-1], atol=1e-5 * np.abs(theirs[:-1]).max())


def test_float32_solutions_are_near_those_of_float64():
    X, y = single()
    problem, shares = problem_of(X, y), shares_of(len(y))
    found = dict(paths(problem, shares, CS))
    for f in range(shares.shape[1]):
        theirs = alone(problem_of(X.astype(float), y), shares[:, f], CS[5])
        assert abs(excess_over(theirs, found[5].theta[f])) < 1e-5


def very_wide():
    """More features than are all in play from the start."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((80, 400))
    return X, (X[:, :3].sum(axis=1) + rng.standard_normal(80) > 0).astype(int)


def text():
    """The same as CSR, counts with many zeros, more rows."""
    rng = np.random.default_rng(5)
    X = sp.csr_array(rng.poisson(0.1, (300, 500)).astype(float))
    return X, (X[:, :4].sum(axis=1) + rng.logistic(size=300) > 0.5).astype(int)


def three_classes():
    X, y = very_wide()
    return X, y + (X[:, 3] > 0.5)


WITH_L1 = {**TABLES, "very wide": very_wide, "text": text, "three classes": three_classes}
THREE_CLASSES = pytest.param("three classes", marks=pytest.mark.deep)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("table", [*filter("three classes".__ne__, WITH_L1), THREE_CLASSES])
def test_each_l1_solution_is_that_of_a_fit_by_itself(table, l1_ratio):
    X, y = WITH_L1[table]()
    weight = np.random.default_rng(3).uniform(0.5, 2, len(y))
    problem, shares = problem_of(X, y, weight), shares_of(len(y))
    Cs = 0.01 * np.logspace(-1, 1.5, 6) if table == "very wide" else np.logspace(-3, 0, 6)
    found = dict(paths(problem, shares, Cs, l1_ratio, Settings(tol=1e-10)))
    assert sorted(found) == [*range(len(Cs))]
    for i in (0, 3, 5):
        for f in (0, 1, 4, 5):
            theirs = alone(problem, shares[:, f], Cs[i], l1_ratio)
            assert found[i].converged[f]
            assert abs(excess_over(theirs, found[i].theta[f])) < 1e-10


@pytest.mark.parametrize("table", ["raw", "very wide", "text"])
def test_the_gap_of_an_l1_path_is_proven(table):
    X, y = WITH_L1[table]()
    problem, shares = problem_of(X, y), shares_of(len(y))
    for i, fits in paths(problem, shares, np.logspace(-3, 0, 4), 1.0, Settings(tol=1e-8)):
        theirs = alone(problem, shares[:, 0], np.logspace(-3, 0, 4)[i], 1.0)
        assert -1e-12 < excess_over(theirs, fits.theta[0]) <= fits.gap[0] + 1e-14
        assert fits.gap[0] < 1e-6


def test_features_beyond_a_formed_hessian_are_solved_one_by_one():
    X, y = very_wide()
    problem, shares = problem_of(X, y), shares_of(len(y))[:, :3]
    Cs = np.logspace(-2, 1, 6)
    found = dict(paths(problem, shares, Cs, 1.0, Settings(tol=1e-10, formed_parameters=30)))
    assert sorted(found) == [*range(len(Cs))]
    theirs = alone(problem, shares[:, 1], Cs[5], 1.0)
    assert (theirs.theta != 0).sum() > 30
    assert abs(excess_over(theirs, found[5].theta[1])) < 1e-10


def test_no_penalty_is_solved_one_by_one():
    X, y = load_iris(return_X_y=True)
    problem, shares = problem_of(X, y), shares_of(len(y))
    found = dict(paths(problem, shares[:, :2], np.array([1.0, np.inf]), 0.0, Settings(tol=1e-10, max_iter=50)))
    theirs = alone(problem, shares[:, 1], 1.0)
    assert abs(excess_over(theirs, found[0].theta[1])) < 1e-10
    assert len(found) == 2


def test_the_gap_of_all_rows_is_proven():
    X, y = load_breast_cancer(return_X_y=True)
    problem, shares = problem_of(X, y), shares_of(len(y))
    for i, fits in paths(problem, shares, CS, settings=Settings(tol=1e-8)):
        theirs = alone(problem, shares[:, 0], CS[i])
        assert -1e-12 < excess_over(theirs, fits.theta[0]) <= fits.gap[0] + 1e-14
        assert fits.gap[0] < 1e-6


def test_folds_and_neighbouring_values_share_passes():
    X, y = load_breast_cancer(return_X_y=True)
    rows, shares = problem_of(X, y).rows.centred(), shares_of(len(y))
    several = Several(rows, problem_of(X, y).loss, shares)
    f = np.arange(shares.shape[1])
    columns = Columns.of(f, [ElasticNet.of(0.01, 0.0, total) for total in several.totals], several.shape)
    theta = np.zeros((len(f), *several.shape))
    hessians = several.hessians(theta[0])
    found = descend_side_by_side(several, columns, theta, Metrics(several, hessians.__getitem__), 1e-8)
    assert found.arrived.all()
    assert several.passes <= 0.8 * found.n_steps.sum()  # Hessians included: not one for each problem's step


@pytest.mark.parametrize("name", TABLES)
def test_gradients_alone_are_those_of_a_pass_with_values(name):
    X, y = TABLES[name]()
    problem, shares = problem_of(X, y), shares_of(len(y))
    several, f = Several(problem.rows, problem.loss, shares), np.arange(shares.shape[1])
    columns = Columns.of(f, [ElasticNet.of(0.01, 0.0, total) for total in several.totals], several.shape)
    theta = 1e-3 * np.random.default_rng(0).standard_normal((len(f), *several.shape))
    scale = np.abs(X).sum() / len(y)
    np.testing.assert_allclose(
        several.gradients(theta, columns), several.at(theta, columns).gradient, rtol=1e-9, atol=1e-14 * scale
    )


def test_a_start_far_from_the_curve_is_judged_by_values():
    X, y = load_breast_cancer(return_X_y=True)
    problem, shares = problem_of(X, y), shares_of(len(y))
    several = Several(problem.rows.centred(), problem.loss, shares)
    f = np.arange(shares.shape[1])
    columns = Columns.of(f, [ElasticNet.of(0.01, 0.0, total) for total in several.totals], several.shape)
    theta = np.zeros((len(f), *several.shape))
    metrics = Metrics(several, several.hessians(theta[0]).__getitem__)
    known = descend_side_by_side(several, columns, theta, metrics, 1e-10)
    guessed = descend_side_by_side(several, columns, theta, metrics, 1e-10, np.full(len(f), 1e-3))
    assert guessed.arrived.all()
    np.testing.assert_allclose(guessed.theta, known.theta, rtol=1e-5, atol=1e-8)


def newtons_theta(X, y, C):
    """The minimum of J for features in units of their spreads, by Newton's method to the end: W, then b."""
    spread = X.std(axis=0)
    Z, l2 = np.column_stack([(X - X.mean(axis=0)) / spread, np.ones(len(y))]), np.append(1 / (C * spread**2), 0)
    theta = np.zeros(Z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-Z @ theta))
        step = np.linalg.solve((Z.T * (p * (1 - p))) @ Z + np.diag(l2), Z.T @ (p - y) + l2 * theta)
        theta -= step / max(1, np.abs(step).max())
    return theta


def test_coefficients_that_hardly_change_j_are_known_too():
    rng = np.random.default_rng(3)
    common = rng.standard_normal((400, 3))
    X = np.column_stack([common + 0.02 * rng.standard_normal((400, 3)) for _ in range(4)])  # four times the same
    y = (common @ [1, -1, 2] + rng.logistic(size=400) > 0).astype(int)
    Cs, shares = np.logspace(-2, 5, 29), shares_of(len(y))[:, :4]
    for i, fits in paths(problem_of(X, y), shares, Cs, settings=Settings(tol=1e-8)):
        for theta, share in zip(fits.theta[:, :-1, 0], shares.T, strict=True):
            rows = share > 0
            theirs = newtons_theta(X[rows], y[rows], Cs[i])[:-1]
            np.testing.assert_allclose(theta * X[rows].std(axis=0), theirs, rtol=0, atol=3e-5, err_msg=f"C={Cs[i]}")


def test_problems_whose_value_is_known_and_others_go_together():
    X, y = load_breast_cancer(return_X_y=True)
    shares = shares_of(len(y))
    several = Several(problem_of(X, y).rows.centred(), problem_of(X, y).loss, shares)
    f = np.arange(shares.shape[1])
    columns = Columns.of(f, [ElasticNet.of(0.01, 0.0, total) for total in several.totals], several.shape)
    metrics = Metrics(several, several.hessians(np.zeros(several.shape)).__getitem__)
    alone = descend_side_by_side(several, columns, np.zeros((len(f), *several.shape)), metrics, 1e-12)
    start, value = alone.theta.copy(), alone.value.copy()
    start[::2], value[::2] = 0, np.nan
    metrics = Metrics(several, several.hessians(alone.theta[0]).__getitem__)
    together = descend_side_by_side(several, columns, start, metrics, 1e-12, value, family=np.arange(len(f)))
    assert together.arrived.all()
    np.testing.assert_allclose(together.theta, alone.theta, rtol=1e-5, atol=1e-8)
    assert (together.n_steps[1::2] <= 2).all()


def test_j_is_known_after_a_step_that_looks_like_one_near_the_minimum():
    """A metric that is too stiff foretells next to no fall, as near the minimum, where no J is computed."""
    X, y = load_breast_cancer(return_X_y=True)
    shares = shares_of(len(y))
    several = Several(problem_of(X, y).rows.centred(), problem_of(X, y).loss, shares)
    f = np.arange(shares.shape[1])
    columns = Columns.of(f, [ElasticNet.of(0.01, 0.0, total) for total in several.totals], several.shape)
    stiff = 5e3 * several.hessians(np.zeros(several.shape))
    start = np.zeros((len(f), *several.shape))
    running, metrics = begin(several, columns, start, Metrics(several, stiff.__getitem__), np.full(len(f), np.nan), f)
    assert is_near(running).all()
    ahead = advance(several, running, f, metrics)
    fall = running.point.value - several.at(ahead.point.theta, columns).value
    assert (fall > 1e-5).all()
    np.testing.assert_allclose(running.point.value - ahead.point.value, fall, rtol=0.01)  # to second order


@pytest.mark.parametrize("name", TABLES)
def test_several_thetas_leave_their_coordinates_as_each_does(name):
    X, y = TABLES[name]()
    problem = problem_of(1e200 * X if name == "raw" else X, y).penalised(1.0, 0.0)
    coordinates = coordinates_of(problem, Settings(), None)
    shape = coordinates.zero(problem.loss.n_outputs).shape
    thetas = np.random.default_rng(0).standard_normal((3, *shape))
    each = np.stack([coordinates.out_of(theta) for theta in thetas])
    np.testing.assert_allclose(coordinates.out_of_each(thetas), each, rtol=0, atol=1e-13 * np.abs(each).max())


@pytest.mark.parametrize("rare", [False, True])
def test_hessians_of_a_sample_lead_to_the_same_solutions(rare):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6000, 3))
    if rare:
        X[:, 2] = np.abs(np.arange(6000) - 1000) < 3
    y = (X @ [1.0, -2.0, 1.0] + rng.logistic(size=6000) > 0).astype(int)
    problem, shares, Cs = problem_of(X, y), shares_of(6000), np.logspace(-5, 2, 12)
    terms = problem.penalised(1.0, 0.0), shares, Cs, 0.0, Settings(tol=1e-10), np.random.default_rng(0)
    side_by_side = SideBySide(*terms, coordinates_of(problem.penalised(1.0, 0.0), Settings(), None), None)
    assert (side_by_side.sampled is side_by_side.several) == rare  # a sample hardly has the rows with a rare flag
    for i, fits in paths(problem, shares, Cs, settings=Settings(tol=1e-10)):
        for f in range(shares.shape[1]):
            alone = solve(problem.weighted(shares[:, f]).penalised(Cs[i], 0.0), Settings(tol=1e-12))
            np.testing.assert_allclose(fits.theta[f], alone.theta, rtol=1e-5, atol=1e-6)


def test_hessians_near_take_rows_of_another_curvature_at_each_weightings_own_theta():
    rng = np.random.default_rng(4)
    X, y = load_breast_cancer(return_X_y=True)
    problem, fold = problem_of(X[:, :8], y), rng.integers(3, size=len(y))
    shares = np.column_stack([np.ones(len(y)), *(fold != number for number in range(3))]).astype(np.uint8)
    several = Several(problem.rows.centred(), problem.loss, shares)
    theta = rng.standard_normal(several.shape) / several._units
    own = theta + 0.2 * rng.standard_normal((4, *several.shape)) / several._units
    F = np.column_stack([X[:, :8] - several.rows.centre, np.ones(len(y))])
    p = 1 / (1 + np.exp(-F @ np.column_stack([theta, *own])[:, :5]))
    c, moved = p[:, 0] * (1 - p[:, 0]), p[:, 1:] * (1 - p[:, 1:])
    far = (np.maximum(moved, c[:, None]) > 1.3 * np.minimum(moved, c[:, None])).any(axis=1)
    assert 0 < far.sum() < len(y)
    for number, hessian in enumerate(several.hessians_near(theta, own)):
        weight = shares[:, number] * np.where(far, moved[:, number], c) / shares[:, number].sum()
        np.testing.assert_allclose(hessian, F.T @ (weight[:, None] * F), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(several.hessians_near(theta, own=theta + 0 * own), several.hessians(theta), rtol=1e-9)


# --- With l1, metrics of several problems ---------------------------------------------------------------------------


def active_sets(M=5, P=12, seed=6):
    """The metrics of problems with random Hessians, which two problems share, and their matrices."""
    rng = np.random.default_rng(seed)
    roots = rng.standard_normal((M - 1, 2 * P, P))
    shared = [root.T @ root for root in roots]
    hessians = [*shared, shared[0]]
    l2, l1 = rng.uniform(0, 1, (2, M, P, 1))
    l1[:, -1] = l2[:, -1] = 0
    columns = Columns(np.arange(M), l2, 20 * l1)
    return (
        ActiveSets(hessians, columns),
        columns,
        [H + np.diag(c[:, 0]) for H, c in zip(hessians, l2, strict=True)],
        rng,
    )


def test_active_sets_take_no_problem_at_all():
    """As where no step of any problem is good."""
    metrics, columns, _, _ = active_sets()
    nothing = np.zeros((0, *columns.strength.shape[1:]))
    metrics.update(np.arange(0), nothing, nothing)
    steps, falls = metrics.steps_and_falls(np.arange(0), Points(nothing, np.zeros(0), nothing))
    assert steps.shape == nothing.shape
    assert falls.shape == (0,)


def test_steps_on_active_sets_lead_to_the_minimum_of_each_model():
    """At the minimum of a convex q each slope is -lambda sign(x), or at most lambda where x = 0."""
    metrics, columns, matrices, rng = active_sets()
    theta = rng.standard_normal(columns.strength.shape) * (rng.uniform(size=columns.strength.shape) < 0.5)
    g = 30 * rng.standard_normal(theta.shape)
    numbers = np.array([4, 0, 2, 3])
    steps, falls = metrics.steps_and_falls(numbers, Points(theta[numbers], np.ones(4), g[numbers]))
    for m, step, fall in zip(numbers, steps[..., 0], falls, strict=True):
        x, strength = theta[m, :, 0] + step, columns.strength[m, :, 0]
        slope = g[m, :, 0] + matrices[m] @ step
        assert (np.abs(slope) <= strength + 1e-9).all()
        np.testing.assert_allclose(slope[x != 0], -(strength * np.sign(x))[x != 0], atol=1e-9)
        assert 0 < (x == 0).sum() < len(x)
        change = strength @ (np.abs(x) - np.abs(theta[m, :, 0]))
        np.testing.assert_allclose(fall, -(g[m, :, 0] @ step + 0.5 * step @ matrices[m] @ step + change))


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_by_rows_are_the_hessians_at_the_problems_own_thetas(weighted):
    rng = np.random.default_rng(3)
    X, y = sparse()
    problem = problem_of(X, y, rng.uniform(0.5, 2, len(y)) if weighted else None)
    several = Several(problem.rows.centred(), problem.loss, (rng.uniform(size=(len(y), 3)) < 0.8).astype(np.uint8))
    shape = several.shape
    l2, l1 = np.full((2, 5, *shape), 0.01)
    l1[:, -1] = l2[:, -1] = 0
    columns = Columns(np.array([0, 1, 2, 0, 2]), l2, l1)
    theta = rng.standard_normal(l1.shape)
    metrics = RowMetrics(several).at_start(columns, None)
    metrics.steps_and_falls(np.arange(5), Points(theta, np.ones(5), several.gradients(theta, columns)))
    on = np.array([0, 3, 7, 20])
    products = metrics.product(np.arange(5), theta[..., 0])
    for m, f in enumerate(columns.weighting):
        M = several.hessian(theta[m], f) + np.diag(l2[m, :, 0])
        np.testing.assert_allclose(metrics.matrix(m, on), M[np.ix_(on, on)], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(products[m], M @ theta[m, :, 0], rtol=1e-9, atol=1e-12)


def test_few_rows_take_few_steps_with_l1():
    """Newton's method doubles the known digits in each step: from the models' starts, three steps arrive."""
    X, y = wide()
    shares = np.column_stack([np.ones(60), np.arange(60) % 3 != 0, np.arange(60) % 3 != 1]).astype(np.uint8)
    problem = problem_of(X, y)
    for _, fits in paths(problem, shares, np.geomspace(0.1, 3, 40), 1.0):
        assert fits.converged.all()
        assert fits.n_iter.max() <= 6  # where features join the working set, twice as many


def test_updates_make_the_metrics_meet_the_last_secant_pair():
    metrics, columns, _, rng = active_sets()
    numbers = np.array([1, 3, 4])
    for _ in range(3):
        s = rng.standard_normal((3, *columns.strength.shape[1:]))
        y = s + 0.1 * rng.standard_normal(s.shape)
        metrics.update(numbers, s, y)
        np.testing.assert_allclose(metrics.product(numbers, s[..., 0]), y[..., 0], atol=1e-9)
        every = np.arange(s.shape[1])
        for m, of_s in zip(numbers, s[..., 0], strict=True):
            np.testing.assert_allclose(metrics.matrix(m, every) @ of_s, metrics.product([m], of_s[None])[0], atol=1e-9)
    np.testing.assert_allclose(metrics.matrix(0, every), metrics.hessians[0] + np.diag(columns.curvature[0, :, 0]))


def test_a_model_without_curvature_on_its_set_goes_to_the_safe_method():
    """Two equal features have no curvature where they move against each other."""
    metrics, columns, _, rng = active_sets(M=2)
    rows = rng.standard_normal((30, 12))
    rows[:, 1] = rows[:, 0]
    H, theta, g = rows.T @ rows, np.ones((1, 12, 1)), rng.standard_normal((1, 12, 1))
    g[0, 1] = g[0, 0]
    metrics.replace([0], [H], Columns(np.arange(1), np.zeros((1, 12, 1)), columns.strength[:1]))
    assert np.isnan(metrics.minima(np.array([0]), theta[..., 0], g[..., 0])[1]).all()
    steps, falls = metrics.steps_and_falls(np.array([0]), Points(theta, np.full(1, 1e6), g))
    slope = g[0] + H @ steps[0]
    assert np.isfinite(falls).all()
    assert (np.abs(slope) <= columns.strength[0] + 1e-6).all()


def test_a_few_values_of_c_share_passes_with_l1():
    X, y = load_breast_cancer(return_X_y=True)
    problem, shares = problem_of(X, y), shares_of(len(y))[:, :4]
    Cs = np.geomspace(1e-3, 1e-2, 20)
    one_by_one = OneByOne(problem, shares, 1.0, Settings(), np.random.default_rng(0), None)
    path = L1Path(problem, shares, Cs, 1.0, Settings(), np.random.default_rng(0), one_by_one)
    assert sorted(i for i, _ in path.path()) == [*range(20)]
    assert path.all.several.passes <= 40  # not three for each C


def test_a_problem_solved_by_itself_hands_its_j_on():
    """The goals between two nodes take J from the nodes."""
    X, y = load_iris(return_X_y=True)
    problem, shares = problem_of(X, y), shares_of(len(y))
    penalised, rng = problem.penalised(1.0, 0.0), np.random.default_rng(0)
    alone = OneByOne(problem, shares, 0.0, Settings(), rng, None)
    coordinates = coordinates_of(penalised, Settings(), None)
    path = SideBySide(penalised, shares, CS, 0.0, Settings(), rng, coordinates, alone)
    f, start = np.arange(shares.shape[1]), np.full((shares.shape[1], *path.several.shape), np.nan)
    start[0] = 0
    hessians = path.several.hessians(start[0])
    found = path.descend(Batch.at(3, f, start, Metrics(path.several, hessians.__getitem__)))
    assert found.arrived.all()
    expected = path.several.at(path.theta[3], path.columns(np.full(len(f), 3), f)).value
    np.testing.assert_allclose(found.value, expected, rtol=1e-6)  # before the last step


def test_a_size_that_has_vanished_leaves_no_overflow():
    before, now = np.array([5e-324, 1e-300, np.inf]), np.array([1.0, 1e-301, 1.0])
    with np.errstate(all="raise"):
        np.testing.assert_allclose(contraction(SimpleNamespace(family=np.arange(3)), now, before), [1.0, 0.1, 1.0])


# --- One by one, beyond a formed Hessian ----------------------------------------------------------------------------


def overlapping():
    """Features of different scales and classes that overlap, so that each C has a minimum that is soon reached."""
    rng = np.random.default_rng(7)
    X, directions = rng.standard_normal((400, 20)), rng.standard_normal((20, 3))
    return X * np.geomspace(0.1, 10, 20), (X @ directions + 4 * rng.standard_normal((400, 3))).argmax(axis=1)


FEW_FORMED = Settings(tol=1e-10, formed_parameters=10)


def test_fits_one_by_one_are_those_of_fits_by_themselves():
    problem = problem_of(*overlapping())
    shares = shares_of(400)[:, :3]
    found = dict(paths(problem, shares, np.geomspace(1e-4, 1, 20), 0.0, FEW_FORMED))
    for i in (0, 7, 19):
        for f in range(3):
            theirs = alone(problem, shares[:, f], np.geomspace(1e-4, 1, 20)[i])
            assert found[i].converged[f]
            assert abs(excess_over(theirs, found[i].theta[f])) < 1e-9


def test_starts_that_the_last_solutions_foretell_are_near():
    problem, shares = problem_of(*overlapping()), shares_of(400)[:, :1]
    Cs = np.geomspace(1e-4, 1, 30)
    ahead, behind = (OneByOne(problem, shares, 0.0, FEW_FORMED, np.random.default_rng(0), None) for _ in range(2))
    foretold = sum(int(ahead.at(C).n_iter[0]) for C in Cs)
    from_the_last = sum(len(behind.solve(0, C).history) for C in Cs)
    assert foretold <= 0.7 * from_the_last


def test_the_secant_pairs_of_a_descent_serve_another_strength():
    """On a quadratic J + l2 / 2 |theta|^2 each pair is dg = (A + l2) ds."""
    rng = np.random.default_rng(8)
    root = rng.standard_normal((9, 9))
    A, l2, other = root.T @ root, np.append(np.full(8, 0.5), 0)[:, None], np.append(np.full(8, 0.1), 0)[:, None]
    steps = rng.standard_normal((3, 9, 1))
    pairs = tuple((ds, A @ ds + l2 * ds, float(np.vdot(ds, A @ ds + l2 * ds))) for ds in steps)
    metric = Known(None, Secant(None, pairs), l2, False).metric_for(other)
    for ds, dg, curvature in metric.pairs:
        np.testing.assert_allclose(dg, A @ ds + other * ds)
        np.testing.assert_allclose(curvature, np.vdot(ds, dg))


def test_a_descent_that_goes_on_from_a_long_one_is_as_long():
    """Pixels whose classes nearly separate: the minimum is far, and the rule on ten steps ends each descent."""
    rng = np.random.default_rng(9)
    y = rng.integers(0, 5, 3000)
    X = np.maximum(0, rng.standard_normal((5, 60))[y] + 1.2 * rng.standard_normal((3000, 60))) * np.geomspace(1, 99, 60)
    problem, settings = problem_of(X, y), Settings(formed_parameters=10)
    one = OneByOne(problem, np.ones((3000, 1), np.uint8), 0.0, settings, np.random.default_rng(0), None)
    lengths = [(one.solve(0, C).objective.passes, one.last[0].known.is_long) for C in (1e4, 1.1e4, 1.2e4)]
    first, others = lengths[0], lengths[1:]
    assert first[0] >= LONG_DESCENT
    assert first[1]
    assert all(passes < LONG_DESCENT / 2 for passes, _ in others)
