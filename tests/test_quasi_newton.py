"""Beyond formed Hessians: the descent falls at every step, ends, says how far it is, and keeps to X's precision."""

import signal
import tracemalloc
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from gradcheck import check_gradient
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from variants import with_settings

from gdlogit import GDLogisticRegression
from gdlogit.backprop import loss_of
from gdlogit.data import blocks, csr, dense
from gdlogit.data.memory import rows_of
from gdlogit.descent import wolfe
from gdlogit.descent.loop import descend
from gdlogit.descent.quasi_newton import STRETCH, extrapolated_fall, quasi_newton, steps_left
from gdlogit.line import Line, labels_and_weights
from gdlogit.moments import mean_squares, second_moment
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.curvature import Cholesky
from gdlogit.quadratic.features import Features
from gdlogit.quadratic.secant import Secant
from gdlogit.verdict.duality import tilt


def clusters(n=500, p=300, k=30, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    return rng.standard_normal((k, p))[y] + rng.standard_normal((n, p)), y


def raw_clusters(seed=1):
    X, y = clusters(seed=seed)
    return X * 10 ** np.random.default_rng(seed).uniform(-2, 2, X.shape[1]), y


def flags(n=1000, p=400, k=6, seed=2):
    rng = np.random.default_rng(seed)
    X = (rng.random((n, p)) < rng.random(p) ** 3).astype(float)
    return X, labels_of(X @ rng.standard_normal((p, k)) / np.sqrt(p) * 2, rng)


def counts(n=1500, p=200, k=12, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.poisson(rng.random(p) * 3, (n, p)).astype(float)
    return X, labels_of(X @ rng.standard_normal((p, k)) / np.sqrt(p) * 2, rng)


def embeddings(n=2000, p=100, k=20, seed=4):
    """Classes that overlap, in features that are correlated and far from 0."""
    rng = np.random.default_rng(seed)
    y, mixing = rng.integers(0, k, n), rng.standard_normal((p, p)) / np.sqrt(p)
    return (0.7 * rng.standard_normal((k, p))[y] + rng.standard_normal((n, p))) @ mixing + 3 * rng.random(p), y


def words(n=400, p=3000, seed=5):
    rng = np.random.default_rng(seed)
    X = sp.csr_array((rng.random((n, p)) < 0.3 / (1 + np.arange(p) / 10)).astype(float))
    return X, labels_of(X @ rng.standard_normal((p, 4)), rng)


def labels_of(scores, rng):
    return np.unique((scores + rng.gumbel(size=scores.shape)).argmax(axis=1), return_inverse=True)[1]


SETS = {f.__name__: f for f in (clusters, raw_clusters, flags, counts, embeddings, words)}
sets = pytest.mark.parametrize("draw", SETS.values(), ids=SETS)


def value(model, X, y, C):
    z = X.astype(float) @ np.asarray(model.coef_, float).T + model.intercept_
    loss = np.logaddexp(0, np.where(y == 1, -1, 1) * z[:, 0]) if z.shape[1] == 1 else logsumexp(z, axis=1)
    loss = loss if z.shape[1] == 1 else loss - z[np.arange(len(y)), y]
    return loss.mean() + (np.asarray(model.coef_, float) ** 2).sum() / (2 * C * len(y))


def objective_of(X, y, C=1.0):
    k = y.max() + 1
    rows = rows_of(X, y, np.ones(len(y)), n_scores=k if k > 2 else 1)
    return Objective(rows, loss_of(k), ElasticNet(1 / (C * len(y))), formed_parameters=0)


def units(objective):
    """What brings the features to the same size."""
    squares = mean_squares(objective)
    return 1 / np.sqrt(np.where(squares > 0, squares, 1))[:, None]


# --- Where it arrives ---------------------------------------------------------------------------------------------


@sets
@pytest.mark.parametrize("C", [*(pytest.param(C, marks=pytest.mark.deep) for C in (1e-2, 1.0)), 1e3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_default_fit_is_no_worse_than_logistic_regression_and_does_not_warn(draw, C, dtype):
    X, y = draw()
    X = X.astype(dtype)
    ours = GDLogisticRegression(C=C, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = LogisticRegression(C=C).fit(X, y)
    assert ours.converged_
    assert ours.n_iter_ < ours.max_iter
    most = 1e-6 * value(theirs, X, y, C) if dtype == np.float64 else 1e-5  # the rounding of a loss in float32
    assert value(ours, X, y, C) <= value(theirs, X, y, C) + most


@sets
def test_the_gap_is_above_the_excess_and_a_fine_tol_reaches_the_minimum(draw):
    X, y = draw()
    fine = GDLogisticRegression(C=0.1, tol=1e-10, random_state=0).fit(X, y)
    coarse = GDLogisticRegression(C=0.1, random_state=0).fit(X, y)
    excess = value(coarse, X, y, 0.1) - value(fine, X, y, 0.1)
    assert fine.converged_
    assert -1e-10 <= excess <= coarse.tol_
    assert coarse.duality_gap_ >= excess - 1e-12
    assert fine.duality_gap_ <= 1e-7


def test_a_fit_that_ends_where_j_falls_too_slowly_says_how_far_it_is():
    X, y = flags(800, 300, 10)
    X = X * 10 ** np.random.default_rng(0).uniform(-2, 2, X.shape[1])
    model = GDLogisticRegression(C=1e4, random_state=0).fit(X, y)
    assert model.converged_
    assert 1e-6 < model.tol_ < 1
    with pytest.warns(ConvergenceWarning, match="after max_iter=300"):
        better = GDLogisticRegression(C=1e4, tol=1e-9, max_iter=300, random_state=0).fit(X, y)
    assert model.loss_curve_[-1] - better.loss_curve_[-1] <= model.duality_gap_


@sets
def test_residuals_tilted_by_newtons_step_add_up_to_0(draw):
    """So the proof needs no second tilt with another intercept."""
    objective = objective_of(*draw(), C=0.1)
    method = quasi_newton(1e-6, np.random.default_rng(0))
    model = descend(method, objective, np.zeros(objective.shape), tol=1e-6, max_iter=100).model
    _, slopes, _ = tilt(objective, model.point, -model.step[0])
    assert np.abs(slopes[-1]).max() <= objective.resolution


def test_a_tol_that_is_asked_for_is_reached_or_warned_of():
    X, y = raw_clusters()
    with pytest.warns(ConvergenceWarning, match=r"above its minimum \(tol=1e-10\) after max_iter=20"):
        model = GDLogisticRegression(C=10.0, tol=1e-10, max_iter=20).fit(X, y)
    assert not model.converged_
    assert model.tol_ == pytest.approx(1e-10)


# --- How it descends ------------------------------------------------------------------------------------------------


@sets
@pytest.mark.parametrize("size", [0, 1, 100])
def test_j_falls_at_every_step_whatever_the_start(draw, size):
    X, y = draw()
    objective = objective_of(X, y)
    rng = np.random.default_rng(0)
    start = size * rng.standard_normal(objective.shape) * units(objective)
    ending = descend(quasi_newton(1e-6, rng), objective, start, tol=1e-6, max_iter=30)
    values = [objective.at(start).value, *(record.value for record in ending.history)]
    assert np.diff(values).max() <= objective.resolution * values[0]
    assert values[-1] < values[0]


@pytest.mark.parametrize("draw", [flags, counts, embeddings])
def test_a_step_costs_one_pass_where_rows_are_many(draw):
    X, y = draw()
    objective = objective_of(X, y, C=1e3)
    ending = descend(
        quasi_newton(1e-6, np.random.default_rng(0)), objective, np.zeros(objective.shape), tol=0, max_iter=20
    )
    passes = np.diff([record.passes for record in ending.history])
    assert np.median(passes) == 1
    assert passes.sum() <= 20 + 3  # a Gram matrix of a sample costs two


@sets
def test_gradients_along_a_line_are_those_of_finite_differences(draw):
    X, y = draw()
    objective, rng = objective_of(X, y), np.random.default_rng(0)
    direction, labels = units(objective) * rng.standard_normal(objective.shape), labels_and_weights(objective)

    def at(rate):
        z = objective.scores(np.zeros(objective.shape))
        return Line(objective, labels, z, objective.score_changes(direction)).loss(float(rate))

    check_gradient(lambda rate: at(rate).mean, lambda rate: at(rate).slope, np.array(0.3), rng)

    def gradient(theta):
        z = objective.scores(theta)
        line = Line(objective, labels, z, z)
        return line.point(theta, z, line.loss_and_gradient(0.0)).gradient

    check_gradient(lambda theta: objective.at(theta).value, gradient, 0.1 * direction, rng, rtol=1e-5)


def test_a_standard_error_is_that_of_the_mean_of_the_losses():
    X, y = embeddings(300, 20, 5)
    objective = objective_of(X, y)
    theta = np.random.default_rng(0).standard_normal(objective.shape) / 10
    z = objective.scores(theta)
    losses = logsumexp(z, axis=1) - z[np.arange(len(y)), y]
    line = Line(objective, labels_and_weights(objective), z, z)
    assert line.loss(0.0).error == pytest.approx(losses.std() / np.sqrt(len(y)))


# --- The metric -----------------------------------------------------------------------------------------------------


def test_a_metric_maps_the_newest_step_to_its_change_of_gradient_and_stays_positive():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 6))
    H = A @ A.T + np.eye(6)
    metric = Secant(Cholesky(np.eye(6)))
    for _ in range(15):
        ds = rng.standard_normal((3, 2))
        metric = metric.with_step(ds, (H @ ds.ravel()).reshape(3, 2)).scaled()
        np.testing.assert_allclose(metric.solve((H @ ds.ravel()).reshape(3, 2)), ds, rtol=1e-9)
        g = rng.standard_normal((3, 2))
        assert np.vdot(g, metric.solve(g)) > 0
    assert metric.with_step(ds, -ds) is metric  # J curves upwards along every step


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_second_moments_of_a_sample_are_near_those_of_all_and_see_rare_features(storage):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20000, 12)) * (rng.random((20000, 12)) < 0.5)
    X[:, 3] = rng.random(20000) < 2e-4
    y = rng.integers(0, 3, len(X))
    objective = objective_of(storage(X), y)
    whole = np.hstack([X, np.ones((len(X), 1))])
    exact = whole.T @ whole / len(X)
    squares = mean_squares(objective)
    np.testing.assert_allclose(squares, exact.diagonal(), rtol=1e-9)
    np.testing.assert_allclose(second_moment(objective, len(X), squares, rng), exact, atol=1e-9)
    unit = np.sqrt(np.outer(squares, squares))
    error = (second_moment(objective, 5000, squares, rng) - exact) / unit
    assert np.abs(error).max() < 0.15  # of 5,000 rows, 0.014 is one standard deviation; rare rows are taken surely
    assert abs(error[3, 3]) < 0.5


# --- The line search ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minimum", [1e-6, 0.01, 0.9, 3.0, 1e4])
@pytest.mark.parametrize("shape", ["parabola", "hinge", "wall"])
def test_the_line_search_leaves_little_of_the_slope(minimum, shape):
    def at(rate):
        u = rate / minimum
        if shape == "parabola":
            return wolfe.Trial(rate, (u - 1) ** 2, 2 * (u - 1) / minimum)
        if shape == "hinge":  # a straight line beyond the minimum, as rows on the wrong side make it
            return wolfe.Trial(
                rate, np.logaddexp(0, 20 * (u - 1)) - 10 * u, (20 / (1 + np.exp(-20 * (u - 1))) - 10) / minimum
            )
        return wolfe.Trial(rate, np.exp(u) - np.e * u, (np.exp(u) - np.e) / minimum)

    start = at(0.0)
    trial = wolfe.search(at, start, 0.0)
    assert trial.value <= start.value + wolfe.ARMIJO * trial.rate * start.slope
    assert abs(trial.slope) <= wolfe.SLOPE * abs(start.slope)


def test_a_line_search_that_finds_nothing_lower_stays_at_its_start():
    start = wolfe.Trial(0.0, 1.0, -1.0)
    assert wolfe.search(lambda rate: wolfe.Trial(rate, 2.0, 1.0), start, 0.0) is start


# --- What it costs --------------------------------------------------------------------------------------------------


@pytest.fixture
def precisions(monkeypatch):
    """The types of the arrays in every product of a block."""
    found = set()

    def spied(product):
        def spy(a, b, *rest):
            found.update({a.dtype, b.dtype})
            return product(a, b, *rest)

        return spy

    monkeypatch.setattr(dense.Dense, "product", staticmethod(spied(dense.Dense.product)))
    monkeypatch.setattr(csr.CsrBlock, "product", staticmethod(spied(csr.CsrBlock.product)))
    return found


@pytest.mark.parametrize("k", [2, 8])
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("formed", [0, 10**6])
@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array], ids=["dense", "csr"])
def test_no_product_on_float32_rows_runs_in_float64(storage, formed, l1_ratio, k, precisions):
    X, y = clusters(800, 30, k)
    rows = storage(X.astype(np.float32))
    with_settings(formed_parameters=formed)(C=0.1, l1_ratio=l1_ratio, random_state=0).fit(rows, y)
    assert precisions == {np.dtype(np.float32)}


def test_memory_beside_x_is_a_few_arrays_of_scores_and_the_secant_pairs():
    X, y = embeddings(4000, 100, 200)
    tracemalloc.start()
    GDLogisticRegression(C=0.1, random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    scores, theta = 8 * len(X) * 200, 8 * 101 * 200
    assert peak <= 12 * scores + 40 * theta + 2 * X.nbytes


@pytest.fixture
def interrupted_at(monkeypatch):
    """Press Ctrl-C at the n-th product of a block; the list that is returned counts the products after it."""

    def press(n):
        original, count = blocks.Block._affine, [0]

        def _affine(block, *arguments):
            count[0] += 1
            if count[0] == n:
                signal.raise_signal(signal.SIGINT)
            return original(block, *arguments)

        monkeypatch.setattr(blocks.Block, "_affine", _affine)
        return count

    return press


def products_of_a_fit(X, y, monkeypatch):
    count, original = [0], blocks.Block._affine
    with monkeypatch.context() as patch:
        patch.setattr(
            blocks.Block, "_affine", lambda *arguments: (count.__setitem__(0, count[0] + 1), original(*arguments))[1]
        )
        GDLogisticRegression(C=0.1, random_state=0).fit(X, y)
    return count[0]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 1.0])
def test_ctrl_c_is_answered_within_two_passes_also_while_the_end_is_judged(share, interrupted_at, monkeypatch):
    X, y = embeddings(600, 80, 20)
    n = int(share * products_of_a_fit(X, y, monkeypatch))
    count = interrupted_at(n)
    with pytest.warns(ConvergenceWarning, match="Interrupted after"):
        model = GDLogisticRegression(C=0.1, random_state=0).fit(X, y)
    assert count[0] - n <= 4  # forward products of one block: two passes, and the scores that they begin with
    assert not model.converged_
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize(
    ("falls", "steps"),
    [
        ((8e-3, 1e-3), 0),
        ((1e-3, 2e-3), np.inf),
        ((-1e-16, -2e-16), np.inf),
        ((-1e-16, 0.0), np.inf),
        ((0.0, 0.0), np.inf),
    ],
)
def test_steps_left_are_known_only_where_j_falls_less_and_less(falls, steps):
    values = (
        np.linspace(sum(falls), falls[1], STRETCH + 1)[:-1].tolist() + np.linspace(falls[1], 0, STRETCH + 1).tolist()
    )
    state = SimpleNamespace(values=(*values,), excess=1e-3, goal=1e-3)
    assert steps_left(state) == steps


@pytest.mark.parametrize("n", [10, 20])
def test_where_j_no_longer_changes_nothing_is_left(n):
    with np.errstate(all="raise"):
        assert extrapolated_fall((np.float64(0.3),) * n) == 0
        assert extrapolated_fall(tuple(np.float64(0.5) ** i for i in range(n))) > 0


@pytest.mark.parametrize("steep", [10.0, 300.0])
def test_a_line_that_grows_like_an_exponential_beyond_its_minimum_takes_few_trials(steep):
    rates = []

    def at(rate):
        rates.append(rate)
        with np.errstate(over="ignore"):
            bend = np.exp(steep * (rate - 0.4))
        return wolfe.Trial(rate, bend / steep - rate, bend - 1)

    start = at(0.0)
    trial = wolfe.search(at, start, 0.0)
    assert abs(trial.slope) <= wolfe.SLOPE * abs(start.slope)
    assert len(rates) <= 15


@pytest.mark.parametrize("curvature", [1e-310, 1e-304, 1e-200, 0.0])
@pytest.mark.parametrize("gram", [None, np.eye(4)])
def test_a_metric_where_all_rows_are_certain_is_that_of_the_penalty_and_no_overflow(curvature, gram):
    penalty = np.array([0.1, 0.2, 0.3, 0.0])  # none on the intercept
    coupling = curvature * (np.eye(3) - 1 / 3)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        step = Features(np.ones(4), gram).metric(coupling, penalty, None).solve(np.full((4, 3), 1e10))
    assert np.isfinite(step).all()
    np.testing.assert_allclose(step[:-1], np.outer(1e10 / penalty[:-1], np.ones(3)))
