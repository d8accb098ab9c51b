"""The methods: gradient descent is the textbook's; the default one is blind to scales and lands where Newton does."""

import pickle
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale
from variants import with_settings

from gdlogit import GDLogisticRegression
from gdlogit.backprop import Sigmoid, Softmax
from gdlogit.data.memory import MemoryRows, rows_of
from gdlogit.descent import gradient, newton, quasi_newton, stochastic, truncated
from gdlogit.descent.loop import Watch, descend, table
from gdlogit.descent.status import Status
from gdlogit.objective import Objective, Point
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic import metric
from gdlogit.quadratic.curvature import Kronecker

BUNDLED = {
    load.__name__.removeprefix("load_"): load(return_X_y=True)
    for load in (load_iris, load_wine, load_breast_cancer, load_digits)
}
CANCER_X, CANCER_Y = BUNDLED["breast_cancer"]


def fit(X, y, **parameters):
    """A fit that may end early."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GDLogisticRegression(**parameters).fit(X, y)


def make_objective(X, y, l2=1e-3):
    k = len(np.unique(y))
    return Objective(rows_of(X, y, np.ones(len(y))), Sigmoid() if k == 2 else Softmax(k), ElasticNet(l2))


def largest_curvature(X, C):
    """The largest eigenvalue that a Hessian of J can have, for two classes."""
    X1 = np.hstack([X, np.ones((len(X), 1))])
    return np.linalg.norm(X1, 2) ** 2 / 4 / len(X) + 1 / (C * len(X))


def never_rises(loss_curve):
    return (np.diff(loss_curve) <= 10 * np.finfo(float).eps * loss_curve[:-1]).all()  # what a line search sees


# --- gd, nesterov, sgd -----------------------------------------------------------------------------------


def textbook(X, Y, alpha, n_steps):
    """w and b after so many steps, for examples in the columns of X."""
    n_features, m = X.shape
    w, b = np.zeros((n_features, 1)), 0.0
    for _ in range(n_steps):
        Z = w.T @ X + b
        A = 1 / (1 + np.exp(-Z))
        dw = X @ (A - Y).T / m
        db = np.sum(A - Y) / m
        w = w - alpha * dw
        b = b - alpha * db
    return w, b


@pytest.mark.parametrize("n_steps", [1, 2, 3, 10, 200])
def test_gd_follows_the_textbook_iterate_by_iterate(n_steps):
    X = scale(CANCER_X)
    model = fit(X, CANCER_Y, solver="gd", learning_rate=0.1, C=np.inf, max_iter=n_steps)
    w, b = textbook(X.T, CANCER_Y[None, :], 0.1, n_steps)
    assert model.n_iter_ == n_steps
    np.testing.assert_allclose(model.coef_, w.T, rtol=0, atol=1e-12 * np.abs(w).max())
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-12)


def accelerated(X, Y, C, n_steps):
    """w and b after so many of Nesterov's steps, in the rows of X with a constant feature; and how many restarts."""
    X1 = np.vstack([X, np.ones((1, X.shape[1]))])
    m = X1.shape[1]
    penalty = np.append(np.full(len(X), 1 / (C * m)), 0)[:, None]
    alpha = 1 / (np.linalg.norm(X1, 2) ** 2 / 4 / m + 1 / (C * m))
    v = last = np.zeros((len(X1), 1))
    t, restarts = 1.0, 0
    for _ in range(n_steps):
        gradient = X1 @ (1 / (1 + np.exp(-(v.T @ X1))) - Y).T / m + penalty * v
        theta = v - alpha * gradient
        if np.sum(gradient * (theta - last)) > 0:
            t, restarts = 1.0, restarts + 1
        t_next = (1 + np.sqrt(1 + 4 * t**2)) / 2
        v, last, t = theta + (t - 1) / t_next * (theta - last), theta, t_next
    return v[:-1], v[-1], restarts


@pytest.mark.parametrize(("n_steps", "restarted"), [(1, False), (2, False), (10, False), (100, True)])
def test_nesterov_follows_its_formula_iterate_by_iterate(n_steps, restarted):
    X = scale(CANCER_X)
    model = fit(X, CANCER_Y, solver="nesterov", C=0.01, tol=0, max_iter=n_steps)
    w, b, restarts = accelerated(X.T, CANCER_Y[None, :], 0.01, n_steps)
    assert (restarts > 0) == restarted
    np.testing.assert_allclose(model.coef_, w.T, rtol=0, atol=1e-10 * np.abs(w).max())
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-10)


def test_gd_never_raises_j_on_raw_features_at_the_automatic_rate():
    model = fit(CANCER_X, CANCER_Y, solver="gd", max_iter=300)
    assert model.n_iter_ == 300
    assert model.loss_curve_[0] < np.log(2)
    assert never_rises(model.loss_curve_)


def test_nesterov_needs_far_fewer_iterations_than_gd():
    X = scale(CANCER_X)
    gd, nesterov = (fit(X, CANCER_Y, solver=solver, C=0.01, tol=1e-6, max_iter=5000) for solver in ("gd", "nesterov"))
    assert gd.converged_
    assert nesterov.converged_
    assert nesterov.n_iter_ < gd.n_iter_ / 3


def test_sgd_with_all_rows_in_a_batch_is_gd():
    X, n_rows = scale(CANCER_X), len(CANCER_X)
    settings = {"learning_rate": 0.1, "max_iter": 20}
    gd = fit(X, CANCER_Y, solver="gd", **settings)
    sgd = fit(X, CANCER_Y, solver="sgd", batch_size=n_rows, **settings)
    np.testing.assert_allclose(sgd.coef_, gd.coef_, rtol=0, atol=1e-12)
    np.testing.assert_allclose(sgd.loss_curve_, gd.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 32])
def test_sgd_comes_near_the_minimum_and_is_the_same_for_the_same_seed(batch_size):
    X, y = scale(CANCER_X[:200]), CANCER_Y[:200]
    settings = {"solver": "sgd", "batch_size": batch_size, "C": 0.1, "max_iter": 30}
    first, again, other = (fit(X, y, random_state=seed, **settings) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    np.testing.assert_array_equal(first.loss_curve_, again.loss_curve_)
    assert not np.array_equal(first.coef_, other.coef_)
    best = GDLogisticRegression(C=0.1).fit(X, y).loss_curve_[-1]
    assert best <= first.loss_curve_[-1] < best + 0.03
    assert first.loss_curve_[-1] < first.loss_curve_[0]


def test_automatic_rate_of_sgd_is_harmonic_in_the_epochs_that_do_not_lower_j():
    objective = make_objective(scale(CANCER_X), CANCER_Y, l2=0.1)
    for learning_rate, slows in (("auto", True), (0.05, False)):
        method = stochastic.minibatch(learning_rate, 16, np.random.default_rng(0))
        epochs = descend(method, objective, np.zeros(objective.shape), tol=1e-8, max_iter=40).history
        noisy = np.cumsum([after.value >= before.value for before, after in pairwise(epochs)])
        assert noisy[-1] > 2
        rates = np.array([epoch.rate for epoch in epochs])
        np.testing.assert_allclose(rates[1:], rates[0] / (1 + slows * noisy), rtol=1e-12)


def test_automatic_rate_of_sgd_does_not_die_out_before_the_noise():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 10))
    y = (rng.random(500) < 1 / (1 + np.exp(-X.sum(axis=1) / 3))).astype(int)
    objective = make_objective(X, y)
    best = descend(METHODS["newton"](), objective, np.zeros(objective.shape), tol=1e-14, max_iter=100).point.value
    method = stochastic.minibatch("auto", 256, np.random.default_rng(0))
    result = descend(method, objective, np.zeros(objective.shape), tol=0, max_iter=200)
    assert result.point.value - best < 1e-7  # where rates that were halved added up to too little, 7e-7 and no end


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@pytest.mark.parametrize("rate", [0.1, 1e6, 1e300])
def test_a_rate_that_diverges_is_named_with_the_largest_stable_one(solver, rate):
    model = GDLogisticRegression(solver=solver, learning_rate=rate, max_iter=50, random_state=0)
    with pytest.warns(ConvergenceWarning, match=re.escape(f"learning_rate={rate} diverges")) as record:
        model.fit(CANCER_X, CANCER_Y)
    (stable,) = re.findall(r"largest stable rate is about (\S+);", str(record[0].message))
    assert float(stable) == pytest.approx(2 / largest_curvature(CANCER_X, C=1.0), rel=0.01)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert not model.converged_
    assert model.n_iter_ == len(model.loss_curve_) >= 1
    z = model.decision_function(CANCER_X)
    J = np.logaddexp(0, np.where(CANCER_Y == 1, -z, z)).mean() + (model.coef_**2).sum() / 2 / len(z)
    assert J <= np.log(2)


def test_gd_descends_just_below_the_largest_stable_rate_and_not_far_above():
    stable = 2 / largest_curvature(CANCER_X, C=1.0)
    assert never_rises(fit(CANCER_X, CANCER_Y, solver="gd", learning_rate=0.99 * stable, max_iter=100).loss_curve_)
    assert not never_rises(fit(CANCER_X, CANCER_Y, solver="gd", learning_rate=50 * stable, max_iter=100).loss_curve_)


# --- The default -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", BUNDLED)
def test_default_converges_on_raw_data_and_never_raises_j(name, C):
    X, y = BUNDLED[name]
    model = GDLogisticRegression(C=C, random_state=0).fit(X, y)  # a warning would be an error
    assert model.converged_
    assert model.n_iter_ < 60
    assert never_rises(model.loss_curve_)
    assert 0 <= model.duality_gap_ < 1e-6


def noisy(y):
    """The labels, every tenth of them replaced: no longer separable."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(len(y)) < 0.1, rng.integers(0, 1 + y.max(), len(y)), y)


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_scales_of_the_features_do_not_matter_without_a_penalty(name):
    X, y = BUNDLED[name]
    X, y = scale(X), noisy(y)
    factor = np.logspace(-12, 12, X.shape[1])
    plain, scaled = (fit(Z, y, C=np.inf, tol=1e-14, random_state=0) for Z in (X, X * factor))
    assert plain.converged_
    assert scaled.converged_
    assert scaled.n_iter_ <= plain.n_iter_ + 2
    np.testing.assert_allclose(scaled.coef_ * factor, plain.coef_, rtol=0, atol=1e-7 * np.abs(plain.coef_).max())


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_offsets_of_the_features_do_not_matter_without_a_penalty(name):
    X, y = BUNDLED[name]
    X, y = scale(X), noisy(y)
    plain = fit(X, y, C=np.inf, random_state=0)
    assert plain.converged_
    for Z, tolerance in (
        (X + 1e4, 1e-9),  # as years are, or times of day
        (X + 1e8, 1e-7),
        ((X + 100).astype(np.float32), 1e-4),  # the data's own rounding moves the minimum
    ):
        shifted = fit(Z, y, C=np.inf, random_state=0)
        assert shifted.converged_
        assert shifted.loss_curve_[-1] == pytest.approx(plain.loss_curve_[-1], abs=tolerance)


def heavy_tailed(n_classes, n_rows=20_000):
    """Features that a sample misses: Cauchy-like tails, flags of few rows; on scales over ten orders."""
    rng = np.random.default_rng(0)
    X = rng.standard_t(1.5, (n_rows, 8))
    X[:, 5:7] = rng.random((n_rows, 2)) < (15 / n_rows, 50 / n_rows)
    X[:, 7] = np.exp(3 * X[:, 7].clip(-4, 4))
    z = X[:, :5] @ rng.standard_normal((5, n_classes)) + 3 * rng.gumbel(size=(n_rows, n_classes))
    return X * np.logspace(-5, 5, 8), z.argmax(axis=1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_metric_of_a_sample_leads_to_the_optimum_of_the_exact_hessian(n_classes, monkeypatch):
    X, y = heavy_tailed(n_classes)
    drawn = []

    def samples(objective, rng):
        for sample in original(objective, rng):
            drawn.append(sample.n_rows)
            yield sample

    original = newton.samples
    monkeypatch.setattr(newton, "samples", samples)
    sampled = GDLogisticRegression(tol=1e-13, random_state=0).fit(X, y)
    assert drawn == [1250, 5000]
    monkeypatch.setattr(newton, "samples", lambda objective, rng: [])
    exact = GDLogisticRegression(tol=1e-13, random_state=0).fit(X, y)
    unit = X.std(axis=0)
    for ours, theirs in ((sampled.coef_ * unit, exact.coef_ * unit), (sampled.intercept_, exact.intercept_)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())
    np.testing.assert_allclose(sampled.loss_curve_[-1], exact.loss_curve_[-1], rtol=1e-12)
    assert never_rises(sampled.loss_curve_)


def test_a_start_from_samples_saves_steps_over_all_rows(monkeypatch):
    X = np.random.default_rng(0).standard_normal((20_000, 8))
    y = (X.sum(axis=1) + np.random.default_rng(1).logistic(size=len(X)) > 0).astype(int)
    warm = GDLogisticRegression(random_state=0).fit(X, y)
    monkeypatch.setattr(newton, "samples", lambda objective, rng: [])
    assert warm.n_iter_ <= 4 < GDLogisticRegression(random_state=0).fit(X, y).n_iter_


def test_a_metric_made_within_the_sampling_error_of_a_minimum_is_that_at_the_minimum(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 8)) * np.logspace(-3, 3, 8)
    y = (X @ (1 / np.logspace(-3, 3, 8)) + rng.logistic(size=len(X)) > 0).astype(int)
    objective = make_objective(X, y, l2=1e-4)
    made_at = []
    original = newton.formed_metric
    monkeypatch.setattr(newton, "formed_metric", lambda o, theta: made_at.append(theta) or original(o, theta))
    theta, made = newton.minimise(objective, np.zeros(objective.shape), None)
    assert not any(np.array_equal(theta, there) for there in made_at)
    exact = original(objective, theta)
    for g in rng.standard_normal((20, *theta.shape)):
        assert made.step_and_fall(Point(theta, 0.0, g))[1] == pytest.approx(exact.excess(Point(theta, 0.0, g)), rel=0.1)


def test_default_gives_the_same_bits_for_the_same_seed():
    X, y = heavy_tailed(2)
    first, again, other = (GDLogisticRegression(random_state=seed).fit(X, y) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    np.testing.assert_array_equal(first.loss_curve_, again.loss_curve_)
    assert first.duality_gap_ == again.duality_gap_
    assert not np.array_equal(first.coef_, other.coef_)
    assert first.loss_curve_[-1] == pytest.approx(other.loss_curve_[-1], abs=1e-8)


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.parametrize("preconditioner", ["Jacobi", "Kronecker"])
def test_conjugate_gradients_reach_the_optimum_of_the_formed_hessian(preconditioner, name):
    X, y = BUNDLED[name]
    dense = GDLogisticRegression(tol=1e-10, random_state=0).fit(X, y)
    n_dense = 0 if preconditioner == "Jacobi" or y.max() == 1 else X.shape[1] + 1
    ours = with_settings(formed_parameters=n_dense)(tol=1e-10, random_state=0).fit(X, y)
    assert ours.converged_
    assert never_rises(ours.loss_curve_)
    assert ours.loss_curve_[-1] == pytest.approx(dense.loss_curve_[-1], abs=1e-10)
    assert ours.duality_gap_ >= ours.loss_curve_[-1] - dense.loss_curve_[-1]
    assert ours.duality_gap_ < 1e-8


def text(n, p, seed=0):
    """Rows of a few words each, after Zipf's law; two classes that some words tell apart."""
    rng = np.random.default_rng(seed)
    words = np.minimum(rng.zipf(1.3, (n, 12)) - 1, p - 1)
    X = sp.csr_array((np.ones(words.size), words.ravel(), np.arange(0, words.size + 1, 12)), shape=(n, p))
    X.sum_duplicates()
    return X, (X @ rng.standard_normal(p) + 2 * rng.logistic(size=n) > 0).astype(int)


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e3])
def test_sparse_text_of_more_words_than_documents_reaches_a_proven_optimum(C):
    X, y = text(400, 3000)
    model = GDLogisticRegression(C=C, tol=1e-9, random_state=0).fit(X, y)
    peer = LogisticRegression(C=C, solver="newton-cg", tol=1e-10, max_iter=1000).fit(X, y)
    assert model.converged_
    assert 0 <= model.duality_gap_ <= 1e-6 * model.loss_curve_[-1]
    np.testing.assert_allclose(model.coef_, peer.coef_, rtol=0, atol=1e-3 * np.abs(peer.coef_).max())
    value = log_loss(y, peer.predict_proba(X)) + np.sum(peer.coef_**2) / (2 * C * len(y))
    assert model.loss_curve_[-1] <= value * (1 + 1e-8)


def test_features_measured_from_their_means_save_products_for_text(monkeypatch):
    X, y = text(2000, 3000)
    passes = []
    for centred in (MemoryRows.centred, lambda rows: rows):
        objective = Objective(centred(rows_of(X, y, np.ones(len(y)))), Sigmoid(), ElasticNet(1e-4))
        method = quasi_newton.quasi_newton(1e-8, np.random.default_rng(0))
        result = descend(method, objective, np.zeros(objective.shape), tol=1e-8, max_iter=200)
        assert result.status is Status.CONVERGED
        passes.append(objective.passes)
    assert passes[0] < 0.85 * passes[1]


@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_text_takes_a_few_steps_whatever_the_tolerance(C):
    X, y = text(500, 2000)
    for tol in 10.0 ** -np.arange(2, 10):
        model = GDLogisticRegression(C=C, tol=tol, warm_start=True).fit(X, y)
        assert model.n_iter_ <= 60
        assert model.fit(X, y).n_iter_ <= 3


def test_separable_text_without_a_penalty_is_named():
    X, y = text(200, 3000)
    with pytest.warns(ConvergenceWarning, match="separable"):
        GDLogisticRegression(C=np.inf, random_state=0).fit(X, y)


# --- The loop --------------------------------------------------------------------------------------------

METHODS = {
    "gd": lambda: gradient.batch("auto"),
    "nesterov": lambda: gradient.nesterov("auto"),
    "sgd": lambda: stochastic.minibatch("auto", 32, np.random.default_rng(0)),
    "newton": lambda: newton.sketch(1e-8, np.random.default_rng(0)),
    "quasi-Newton": lambda: quasi_newton.quasi_newton(1e-8, np.random.default_rng(0)),
}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@methods
@pytest.mark.parametrize("name", ["iris", "breast_cancer"])
def test_history_is_that_of_the_steps_taken_by_hand(method, name):
    X, y = BUNDLED[name]
    objective = make_objective(scale(X), y)
    by_hand = method()
    state = by_hand.start(objective, np.zeros(objective.shape))
    watched = []
    result = descend(
        method(),
        objective,
        np.zeros(objective.shape),
        tol=1e-8,
        max_iter=7,
        watch=Watch(end=lambda record, _: watched.append(record)),
    )
    assert result.history == watched
    assert [record.iteration for record in result.history] == [*range(1, len(watched) + 1)]
    for record in result.history:
        state = by_hand.step(objective, state)
        assert record.value == state.point.value
    np.testing.assert_array_equal(result.point.theta, state.point.theta)
    assert np.diff([record.passes for record in result.history]).min() >= 1


@pytest.mark.parametrize("name", [name for name in METHODS if name != "sgd"])  # which also has a generator
def test_a_descent_resumes_from_a_pickled_state(name):
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    method = METHODS[name]()
    state = method.start(objective, np.zeros(objective.shape))
    for _ in range(3):
        state = method.step(objective, state)
    state, resumed = (method.step(objective, s) for s in (state, pickle.loads(pickle.dumps(state))))
    np.testing.assert_array_equal(resumed.point.theta, state.point.theta)


@methods
def test_a_start_at_the_minimum_stays_there(method):
    objective = make_objective(scale(BUNDLED["iris"][0]), BUNDLED["iris"][1], l2=1e-2)
    best = descend(METHODS["newton"](), objective, np.zeros(objective.shape), tol=1e-14, max_iter=100)
    again = descend(method(), objective, best.point.theta, tol=1e-8, max_iter=100)
    assert again.status is Status.CONVERGED
    assert again.point.value == pytest.approx(best.point.value, abs=1e-8)


def test_a_negative_estimate_of_the_excess_is_no_convergence():
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    gd = gradient.batch("auto")
    blind = gd._replace(step=lambda objective, state: gd.step(objective, state)._replace(excess=-0.1))
    assert descend(blind, objective, np.zeros(objective.shape), tol=1e-8, max_iter=4).status is Status.MAX_ITER


def test_an_estimate_is_no_convergence_where_the_next_step_refutes_it():
    objective, tol = make_objective(scale(CANCER_X), CANCER_Y), 1e-3
    gd = gradient.batch("auto")
    sure = gd._replace(step=lambda objective, state: gd.step(objective, state)._replace(excess=0.0))
    result = descend(sure, objective, np.zeros(objective.shape), tol=tol, max_iter=1000)
    values = table(result.history)["value"]
    refuted = -np.diff(values) > tol * values[:-1]
    assert result.status is Status.CONVERGED
    assert len(values) > 5
    assert refuted[:-1].all()
    assert not refuted[-1]


def test_steps_that_creep_confirm_no_estimate():
    objective, tol = make_objective(scale(CANCER_X), CANCER_Y), 1e-3
    gd = gradient.batch("auto")

    def step(objective, state):  # estimates that each step takes away all that is left
        new = gd.step(objective, state)
        return new._replace(excess=state.point.value - new.point.value)

    result = descend(gd._replace(step=step), objective, np.zeros(objective.shape), tol=tol, max_iter=10_000)
    lowest = descend(
        newton.sketch(1e-12, np.random.default_rng(0)), objective, np.zeros(objective.shape), tol=1e-12, max_iter=100
    ).point.value
    excess, goal = table(result.history)["excess"], tol * result.point.value
    assert result.status is Status.CONVERGED
    assert (excess <= goal).sum() > 10
    assert result.point.value - lowest < 2 * goal


@pytest.mark.parametrize(("share", "status"), [(0.5, Status.CONVERGED), (20.0, Status.STALLED)])
def test_a_descent_that_stands_still_ends_in_a_few_steps_and_says_how_far_it_is(share, status):
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    newton_, tol = METHODS["newton"](), 1e-8
    best = descend(newton_, objective, np.zeros(objective.shape), tol=1e-14, max_iter=100).point

    def step(objective, state):  # an estimate that no step makes smaller, at a J that is the same but for its rounding
        sign = 1 if state.point.value < best.value else -1
        return state._replace(
            point=best._replace(value=best.value * (1 + sign * 2e-16)), excess=share * tol * best.value
        )

    result = descend(newton_._replace(step=step), objective, best.theta, tol=tol, max_iter=1000)
    assert result.status is status
    assert result.excess == share * tol * best.value
    assert len(result.history) < 15


def test_steps_that_lower_j_by_little_more_than_its_rounding_are_not_taken_for_none():
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    value, gradient_ = objective.at(np.zeros(objective.shape))[1:]
    rate = 2 * objective.resolution / 10 * value / np.vdot(gradient_, gradient_)
    result = descend(gradient.batch(rate), objective, np.zeros(objective.shape), tol=1e-8, max_iter=200)
    assert result.status is Status.MAX_ITER
    assert result.point.value < value


def hard_to_end():
    """Problems whose J is tiny, flat or rounded where it is lowest: X, y and parameters."""
    rng = np.random.default_rng(0)
    centres = 0.5 * rng.standard_normal((20, 1024))
    noise, wide = rng.standard_normal((100, 1024)), rng.standard_normal((30, 400))
    offset = rng.standard_normal((100, 3)) + [0, 1e8, 0]
    return {
        "many certain classes": (np.repeat(centres, 5, axis=0) + 0.6 * noise, np.repeat(np.arange(20), 5), {"C": 10.0}),
        "a tiny J": (wide, np.arange(30) % 2, {"C": 1e10}),
        "a tiny J of a softmax": (wide, np.arange(30) % 3, {"C": 1e10}),
        "a tiny J with l1": (wide, np.arange(30) % 3, {"C": 1e8, "l1_ratio": 1.0}),
        "a feature far from 0": (sp.csr_array(offset), np.arange(100) % 2, {"C": 100.0, "fit_intercept": False}),
        "float32": (scale(CANCER_X).astype(np.float32), CANCER_Y, {"C": 1e4}),
    }


HARD = hard_to_end()


@pytest.mark.parametrize("tol", [1e-8, 0.0])
@pytest.mark.parametrize("solver", ["auto", "gd", "nesterov", "sgd"])
@pytest.mark.parametrize("name", HARD)
def test_no_fit_goes_on_without_moving(name, solver, tol):
    X, y, parameters = HARD[name]
    if solver != "auto":
        X = X[:, :100]  # their steps are many
    model = fit(X, y, solver=solver, tol=tol, max_iter=100, random_state=0, **parameters)
    curve = model.loss_curve_
    assert len(curve) < 100 or abs(curve[-21] - curve[-1]) > np.finfo(X.dtype).eps * curve[-1]


def test_a_preconditioner_made_where_rows_were_certain_is_not_that_of_the_minimum():
    X, y, parameters = HARD["many certain classes"]
    model = fit(X, y, **parameters)
    assert model.converged_
    assert len(model.loss_curve_) < 20
    assert model.duality_gap_ < 1e-6 * model.loss_curve_[-1]


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("l1", [0.0, 1e-3])
@pytest.mark.parametrize("name", ["newton", "by products"])
def test_a_descent_from_where_one_has_ended_ends_at_once(name, l1, tol):
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    objective.penalty = ElasticNet(1e-3, l1)
    rng = np.random.default_rng(0)
    by_products = truncated.truncated() if l1 else quasi_newton.quasi_newton(tol, rng)
    method = newton.sketch(tol, rng) if name == "newton" else by_products
    first = descend(method, objective, np.zeros(objective.shape), tol=tol, max_iter=50)
    again = descend(method, objective, first.point.theta, tol=tol, max_iter=50)
    assert first.status is again.status is Status.CONVERGED  # also where no step is worth taking, and no estimate falls
    assert len(again.history) <= 1


@pytest.mark.parametrize("parameters", [{}, {"l1_ratio": 0.5}, {"C": np.inf}, {"C": 1e5, "tol": 1e-4}], ids=str)
@pytest.mark.parametrize("solver", ["auto", "gd", "nesterov"])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_a_warm_start_at_the_minimum_takes_one_iteration(dtype, solver, parameters):
    X, y = scale(BUNDLED["iris"][0]).astype(dtype), BUNDLED["iris"][1] == 1
    tol = {"auto": 1e-8, "gd": 1e-3, "nesterov": 1e-4}[solver]
    model = GDLogisticRegression(
        solver=solver, warm_start=True, random_state=0, **{"tol": tol, "max_iter": 10_000} | parameters
    )
    before = model.fit(X, y).loss_curve_[-1]
    assert model.converged_
    model.fit(X, y)
    assert model.converged_
    assert len(model.loss_curve_) == 1
    assert model.loss_curve_[-1] <= before + 1e-6


def test_a_warm_start_near_the_minimum_of_another_penalty_goes_on_to_its_own():
    model = GDLogisticRegression(warm_start=True, random_state=0).fit(CANCER_X, CANCER_Y)
    model.set_params(C=1.001).fit(CANCER_X, CANCER_Y)
    cold = GDLogisticRegression(C=1.001, random_state=0).fit(CANCER_X, CANCER_Y)
    assert model.loss_curve_[-1] == pytest.approx(cold.loss_curve_[-1], abs=1e-9)


def test_an_estimate_of_nothing_is_no_measure_of_the_next():
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    state = newton.sketch(1e-8, np.random.default_rng(0)).start(objective, np.zeros(objective.shape))
    assert newton.steps_left(state._replace(excesses=(0.0,)), 1e-8) == np.inf


@pytest.mark.parametrize(("excesses", "steps"), [((1e-1, 1e-2, 1e-3, 5e-5), 4), ((1.0, 1e-3), 1.5), ((1e-4,), np.inf)])
def test_the_better_of_the_last_and_the_mean_contraction_says_how_many_steps_are_left(excesses, steps):
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    state = newton.sketch(1e-8, np.random.default_rng(0)).start(objective, np.zeros(objective.shape))
    state = state._replace(excess=1e-4, excesses=excesses)
    assert newton.steps_left(state, 1e-7) == pytest.approx(steps)


@methods
def test_max_iter_ends_a_descent_with_an_estimate_of_the_excess(method):
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    best = descend(METHODS["newton"](), objective, np.zeros(objective.shape), tol=1e-14, max_iter=100).point.value
    result = descend(method(), objective, np.zeros(objective.shape), tol=1e-12, max_iter=4)
    assert result.status is Status.MAX_ITER
    assert len(result.history) == 4
    assert result.excess == pytest.approx(result.point.value - best, rel=0.7)


# --- ends that few fits come to --------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{}, {"l1_ratio": 1.0, "C": 10.0}, {"fit_intercept": False}], ids=str)
@pytest.mark.parametrize("n_features", [20, 1600])
def test_textbook_methods_estimate_their_excess_from_the_hessian(parameters, n_features):
    rng = np.random.default_rng(0)
    X = sp.random_array((60, n_features), density=0.2, random_state=rng, data_sampler=rng.standard_normal, format="csr")
    y = (X[:, [0]].toarray()[:, 0] + rng.standard_normal(60) > 0).astype(int)
    model = fit(X, y, solver="gd", max_iter=100, **parameters)
    least = fit(X, y, tol=1e-13, random_state=0, **parameters).loss_curve_[-1]
    known = np.isfinite(model.history_["excess"])
    known[:10] = False  # far off, a quadratic is no model
    assert known.any()
    np.testing.assert_allclose(model.history_["excess"][known], model.history_["value"][known] - least, rtol=0.5)


def test_where_there_is_nothing_to_learn_the_fit_converges_at_once():
    X = sp.csr_array((40, 2000))
    model = GDLogisticRegression(C=np.inf).fit(X, np.arange(40) % 2)
    assert model.converged_
    assert model.n_iter_ <= 2
    assert not model.coef_.any()


def test_truncated_newton_takes_no_step_that_ascends():
    objective = make_objective(scale(CANCER_X), CANCER_Y)
    objective.penalty = ElasticNet(1e-3, 1e-3)
    state = truncated.truncated().start(objective, np.zeros(objective.shape))
    point, z, rate = truncated.advance(objective, state._replace(direction=state.point.gradient))
    assert point is state.point
    np.testing.assert_array_equal(z, state.scores)
    assert rate == 0
    stalled = truncated.truncated().step(objective, state._replace(direction=state.point.gradient))
    assert stalled == state._replace(direction=state.point.gradient, rate=0.0)


@pytest.mark.parametrize("l1", [0.0, 0.01])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_short_theta_is_lengthened_to_where_j_is_lower_and_the_best_multiple_stays(n_classes, l1):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)), rng.integers(0, n_classes, 200)
    X[:, 0] += y
    k = 1 if n_classes == 2 else n_classes
    objective = Objective(rows_of(X, y, np.ones(200)), Sigmoid() if k == 1 else Softmax(k), ElasticNet(0.01, l1))
    method = newton.sketch(1e-6, rng)
    theta = 0.1 * descend(method, objective, np.zeros(objective.shape), tol=1e-6, max_iter=50).point.theta
    point, z = objective.at(theta), objective.scores(theta)
    passes = objective.passes
    longer, scores = truncated.lengthened(objective, point, z)
    assert objective.passes == passes
    assert objective.at(longer).value < point.value
    np.testing.assert_array_equal(longer, truncated.MOST_STRETCH * theta)  # ten times would be best
    np.testing.assert_array_equal(scores, truncated.MOST_STRETCH * z)
    while (longer := truncated.lengthened(objective, point, z))[0] is not point.theta:
        point, z = objective.at(longer[0]), longer[1]
    for length in (1 / truncated.LEAST_STRETCH, truncated.LEAST_STRETCH):
        assert objective.at(length * point.theta).value > point.value - 1e-3 * abs(point.value)


def test_where_all_rows_have_the_same_scores_g_and_b_solve_as_the_hessian_does():
    rng = np.random.default_rng(0)
    X, y = 10 ** rng.uniform(-1, 1, 5) * rng.standard_normal((60, 5)), rng.integers(0, 4, 60)
    objective = Objective(rows_of(X, y, rng.uniform(0, 2, 60)), Softmax(4), ElasticNet(rng.uniform(0, 0.1, 5)))
    g = rng.standard_normal((6, 4))
    g -= g.mean(axis=1, keepdims=True)  # as a softmax's gradients
    for intercepts in (np.zeros(4), np.array([0.0, 1.0, -3.0, 2.0])):
        theta = np.vstack([np.zeros((5, 4)), intercepts])
        made = metric.formed_metric(objective, theta)
        assert isinstance(made.hessian, Kronecker)
        x = np.linalg.pinv(objective.hessian(theta), hermitian=True, rcond=1e-14) @ g.ravel()
        np.testing.assert_allclose(made.solve(g).ravel(), x, rtol=1e-6, atol=1e-9 * np.abs(x).max())
    assert not isinstance(metric.formed_metric(objective, theta + 0.1).hessian, Kronecker)


def test_a_secant_pair_without_curvature_is_not_learned_from():
    X, y = scale(CANCER_X), CANCER_Y
    objective = Objective(rows_of(X, y, np.ones(len(y))), Sigmoid(), ElasticNet(1e-3, 1e-3))
    theta = np.zeros(objective.shape)
    ds = np.ones_like(theta)
    for made in (metric.formed_metric(objective, theta), metric.formed_metric(make_objective(X, y), theta)):
        assert made.updated(ds, -ds) is made
        assert made.updated(ds, ds) is not made


def test_samples_that_are_left_half_solved_do_no_harm(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20000, 5))
    y = (X @ rng.standard_normal(5) > rng.logistic(size=20000)).astype(int)
    theirs = GDLogisticRegression(random_state=0).fit(X, y)
    monkeypatch.setattr(newton, "MOST_SAMPLE_STEPS", 0)
    ours = GDLogisticRegression(random_state=0).fit(X, y)
    assert ours.converged_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)


def test_a_descent_that_ends_above_its_start_says_so():
    X = scale(CANCER_X)
    model = fit(X, CANCER_Y, random_state=0)
    before = model.coef_ = 1.001 * model.coef_  # nearer to the minimum than an epoch of single rows can stay
    model.set_params(solver="sgd", batch_size=1, warm_start=True, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="the descent has not come below its start. Raise max_iter"):
        model.fit(X, CANCER_Y)
    np.testing.assert_array_equal(model.coef_, before)


def test_a_descent_to_where_no_row_has_curvature_is_no_overflow():
    with pytest.warns(ConvergenceWarning, match="The classes are separable"):
        GDLogisticRegression(solver="nesterov", learning_rate=1.0, C=np.inf, max_iter=30).fit(CANCER_X, CANCER_Y)


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rate_that_diverges_beyond_the_floating_point_type_is_named_not_x(solver, dtype):
    X = (1e4 * scale(CANCER_X)).astype(dtype)
    model = GDLogisticRegression(solver=solver, learning_rate=1e6, C=1e-3, max_iter=300, random_state=0)
    with pytest.warns(ConvergenceWarning, match="learning_rate=1000000.0 diverges"):
        model.fit(X, CANCER_Y)
    assert np.isfinite(model.coef_).all()


def softmax_rows(n, p, k, seed=0):
    """Features of the same scale without correlation, and classes that overlap."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, (X @ rng.standard_normal((p, k)) * 2 / np.sqrt(p) + rng.gumbel(size=(n, k))).argmax(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_well_conditioned_rows_of_many_classes_need_no_hessian_beside_that_of_the_start(seed):
    objective, method = make_objective(*softmax_rows(3000, 30, 20, seed)), newton.sketch(1e-8, np.random.default_rng(0))
    state = first = method.start(objective, np.zeros(objective.shape))
    for _ in range(30):
        if state.excess <= 1e-8:
            break
        state = method.step(objective, state)
    assert state.excess <= 1e-8
    assert state.provenance is first.provenance
