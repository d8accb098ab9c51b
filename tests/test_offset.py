"""An offset: relations that must hold, R's numbers, and finite differences where the offset meets the mathematics."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from scipy.optimize import approx_fprime, minimize
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import cross_validate
from sklearn.preprocessing import scale
from variants import ByProducts

from gdlogit import GDLogisticRegression, c_min
from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.problem import Problem
from gdlogit.solve import Settings, solve

DATA = Path(__file__).parent / "data"
TABLES = {"two": load_breast_cancer, "three": load_iris}
tables = pytest.mark.parametrize("table", TABLES)
variants = pytest.mark.parametrize("variant", [GDLogisticRegression, ByProducts])


def data(table, n_features=6, noise=1.5):
    """Rows whose classes overlap, and an offset for each."""
    X, y = TABLES[table](return_X_y=True)
    rng = np.random.default_rng(0)
    X = scale(X)[:, :n_features]
    X = X + noise * rng.standard_normal(X.shape)
    return X, y, rng.standard_normal(len(y) if table == "two" else (len(y), 3))


def fit(X, y, offset=None, variant=GDLogisticRegression, **parameters):
    return variant(**{"tol": 1e-13, "random_state": 0} | parameters).fit(X, y, offset=offset)


def same(ours, theirs, rtol=1e-5):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=rtol, atol=rtol * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol)


def minimum(X, y, offset, C):
    """The theta that SciPy finds, of J written anew; of a softmax, intercepts add up to 0."""
    k = 1 if y.max() == 1 else y.max() + 1
    offset = offset.reshape(len(y), k)

    def value(flat):
        theta = flat.reshape(-1, k)
        z = X @ theta[:-1] + theta[-1] + offset
        z = np.hstack([np.zeros((len(y), 1)), z]) if k == 1 else z
        loss = logsumexp(z, axis=1) - z[np.arange(len(y)), y]
        p = np.exp(z - logsumexp(z, axis=1, keepdims=True))
        p[np.arange(len(y)), y] -= 1
        p = p[:, 1:] if k == 1 else p
        gradient = np.vstack([X.T @ p + theta[:-1] / C, p.sum(axis=0)])
        return loss.sum() + (theta[:-1] ** 2).sum() / (2 * C), gradient.ravel()

    found = minimize(
        value,
        np.zeros((X.shape[1] + 1) * k),
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 1e-16, "gtol": 1e-9, "maxiter": 5000, "maxfun": 9999},
    )
    theta = found.x.reshape(-1, k)
    theta[-1] -= theta[-1].mean() if k > 1 else 0
    return theta


def test_births_have_the_coefficients_of_rs_glm_with_an_offset():
    births = pd.read_csv(DATA / "lowbwt.csv")
    model = fit(births[["age", "smoke"]], births.low, 0.01 * births.lwt - 1, C=np.inf)
    theirs = [0.00100076420259684, -0.0611693171325952, 0.723751789186204]  # glm(offset=), R 4.2.2
    np.testing.assert_allclose([*model.intercept_, *model.coef_[0]], theirs, rtol=1e-6)
    assert model.converged_
    assert model.has_offset_


@tables
@variants
@pytest.mark.parametrize("C", [0.1, 100.0])
def test_the_minimum_is_the_one_that_scipy_finds(table, variant, C):
    X, y, offset = data(table)
    model = fit(X, y, 2 * offset, variant, C=C)
    theta = minimum(X, y, 2 * offset, C)
    np.testing.assert_allclose(model.coef_, theta[:-1].T, atol=2e-5)
    np.testing.assert_allclose(model.intercept_, theta[-1], atol=2e-5)
    assert model.converged_
    assert model.duality_gap_ < 1e-6


@tables
@variants
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_an_offset_of_the_features_moves_the_coefficients_without_a_penalty(table, variant, form):
    X, y, offset = data(table)
    v = np.random.default_rng(1).standard_normal((X.shape[1], 1 if table == "two" else 3))
    v -= v.mean(axis=1, keepdims=True) if table == "three" else 0
    plain, moved = fit(form(X), y, variant=variant, C=np.inf), fit(form(X), y, X @ v, variant, C=np.inf)
    np.testing.assert_allclose(moved.coef_, plain.coef_ - v.T, atol=1e-4)
    np.testing.assert_allclose(moved.intercept_, plain.intercept_, atol=1e-4)


@tables
@variants
def test_the_scores_of_a_model_as_an_offset_leave_nothing_to_fit(table, variant):
    X, y, _ = data(table)
    base = fit(X, y, variant=variant, C=np.inf)
    again = fit(X, y, base.decision_function(X), variant, C=1.0)
    np.testing.assert_allclose(again.coef_, 0, atol=1e-5)
    np.testing.assert_allclose(again.intercept_, 0, atol=1e-5)
    l1 = fit(X, y, base.decision_function(X), variant, C=1.0, l1_ratio=1.0)
    assert (l1.coef_ == 0).all()


@tables
@pytest.mark.parametrize("l1_ratio", [0.0, 0.7])
def test_an_offset_of_zero_changes_nothing(table, l1_ratio):
    X, y, offset = data(table)
    plain, zero = fit(X, y, l1_ratio=l1_ratio), fit(X, y, 0 * offset, l1_ratio=l1_ratio)
    same(zero, plain)
    np.testing.assert_array_equal(fit(X, y, 0, l1_ratio=l1_ratio).coef_, zero.coef_)


@tables
def test_a_constant_offset_is_taken_up_by_the_intercept(table):
    X, y, offset = data(table)
    shift = np.array([1.0, -2.0, 1.0])[: offset.ndim and (3 if table == "three" else 1)]
    plain, moved = fit(X + 1000, y), fit(X + 1000, y, np.zeros_like(offset) + (shift if table == "three" else 1.0))
    np.testing.assert_allclose(moved.coef_, plain.coef_, atol=1e-6)
    np.testing.assert_allclose(
        moved.predict_proba(X + 1000, offset=np.zeros_like(offset) + (shift if table == "three" else 1.0)),
        plain.predict_proba(X + 1000),
        atol=1e-6,
    )


@tables
@variants
@pytest.mark.parametrize("l1_ratio", [0.0, 0.7])
def test_every_form_of_the_rows_has_the_same_minimum(table, variant, l1_ratio):
    X, y, offset = data(table)
    X = np.where(np.abs(X) > 1, X, 0)
    how = {"C": 0.5, "l1_ratio": l1_ratio, "variant": variant}
    expected = fit(X, y, offset, **how)
    same(fit(sp.csr_array(X), y, offset, **how), expected)
    same(fit(np.asfortranarray(X), y, offset, **how), expected)
    twice = variant(C=0.5, l1_ratio=l1_ratio, tol=1e-13, random_state=0).fit(
        np.vstack([X, X[:50]]),
        np.append(y, y[:50]),
        np.append(np.full(len(y), 1.0), np.full(50, 0.0)),
        offset=np.concatenate([offset, 100 + offset[:50]]),
    )  # a row of weight 0 counts for nothing, whatever its offset
    same(twice, expected)
    order = np.random.default_rng(3).permutation(len(y))
    same(fit(X[order], y[order], offset[order], **how), expected)


def test_many_rows_are_sampled_with_their_offsets():
    rng = np.random.default_rng(0)
    X, offset = rng.standard_normal((40_000, 4)) * [1, 10, 100, 1000], 2 * rng.standard_normal(40_000)
    y = (X @ [1, 0.1, -0.01, 0.001] + offset + rng.logistic(size=40_000) > 0).astype(int)
    model = fit(X, y, offset, C=np.inf)
    np.testing.assert_allclose(model.coef_[0] * [1, 10, 100, 1000], [1, 1, -1, 1], atol=0.1)
    gradient = X.T @ (model.predict_proba(X, offset=offset)[:, 1] - y) / len(y)
    np.testing.assert_allclose(gradient / [1, 10, 100, 1000], 0, atol=1e-6)


def test_more_features_than_rows_carry_the_offset_into_their_span():
    rng = np.random.default_rng(0)
    X, y, offset = rng.standard_normal((30, 100)), np.arange(30) % 2, rng.standard_normal(30)
    theta = minimum(X, y, offset, 1.0)
    np.testing.assert_allclose(fit(X, y, offset).coef_[0], theta[:-1, 0], atol=1e-5)


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@tables
def test_the_textbooks_solvers_take_an_offset(solver, table):
    X, y, offset = data(table)
    model = fit(X, y, offset, solver=solver, C=0.05, max_iter=20_000, batch_size=len(X), tol=1e-9)
    same(model, fit(X, y, offset, C=0.05), rtol=1e-3)


@tables
@variants
def test_batches_carry_offsets_as_a_fourth_entry_or_by_name(table, variant):
    X, y, offset = data(table)
    cuts = [slice(start, start + 40) for start in range(0, len(y), 40)]
    how = {"C": 0.5, "tol": 1e-13, "random_state": 0}
    expected = variant(**how).fit(X, y, offset=offset)
    same(variant(**how).fit_batches([(X[cut], y[cut], None, offset[cut]) for cut in cuts]), expected)
    named = variant(**how).fit_batches([{"X": X[cut], "y": y[cut], "offset": offset[cut]} for cut in cuts])
    same(named, expected)
    assert named.has_offset_
    with pytest.raises(ValueError, match="An offset must be given for all rows"):
        variant(**how).fit_batches([(X, y, None, offset), (X, y)])
    turns = iter([offset, offset + 1, offset + 2])
    with pytest.raises(ValueError, match="source must yield the same rows in every pass"):
        variant(**how).fit_batches(lambda: iter([(X, y, None, next(turns))]))


def test_memory_maps_of_another_type_carry_offsets(tmp_path):
    X, y, offset = data("two")
    X = np.rint(X)
    mapped = np.memmap(tmp_path / "X", dtype=np.int16, mode="w+", shape=X.shape)
    mapped[:] = X
    same(fit(mapped, y, offset), fit(X, y, offset))


def test_float32_takes_offsets_in_its_precision():
    X, y, offset = data("three")
    model = GDLogisticRegression(random_state=0).fit(X.astype(np.float32), y, offset=offset)
    np.testing.assert_allclose(model.coef_, fit(X, y, offset).coef_, atol=1e-2)
    assert model.decision_function(X.astype(np.float32), offset=offset).dtype == np.float32


@tables
def test_a_model_with_an_offset_does_not_predict_without_one(table):
    X, y, offset = data(table)
    model = fit(X, y, offset)
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(ValueError, match=r"offset is missing: .* offset=0 for none"):
            getattr(model, name)(X)
    with pytest.raises(ValueError, match="offset is missing"):
        model.score(X, y)
    z = model.decision_function(X, offset=0)
    np.testing.assert_allclose(model.decision_function(X, offset=offset), z + offset)
    np.testing.assert_array_equal(model.predict(X, offset=offset), model.predict_proba(X, offset=offset).argmax(axis=1))
    np.testing.assert_allclose(np.log(model.predict_proba(X, offset=offset)), model.predict_log_proba(X, offset=offset))
    assert model.score(X, y, offset=offset) == np.mean(model.predict(X, offset=offset) == y)
    plain = fit(X, y)
    np.testing.assert_allclose(plain.decision_function(X, offset=offset), plain.decision_function(X) + offset)
    assert not model.fit(X, y).has_offset_
    model.predict(X)


def test_a_model_with_an_offset_is_no_logistic_regression():
    X, y, offset = data("two")
    with pytest.raises(ValueError, match="LogisticRegression has no offset"):
        fit(X, y, offset).to_sklearn()


@tables
def test_cross_validation_routes_the_offset(table):
    X, y, offset = data(table)
    order = np.random.default_rng(0).permutation(len(y))
    X, y, offset = X[order], y[order], offset[order]
    with sklearn.config_context(enable_metadata_routing=True):
        model = GDLogisticRegression(random_state=0).set_fit_request(offset=True).set_score_request(offset=True)
        scores = cross_validate(model, X, y, params={"offset": offset}, cv=3)["test_score"]
        dropped = clone(model).set_score_request(offset=False)
        with pytest.raises(ValueError, match="offset is missing"):
            cross_validate(dropped, X, y, params={"offset": offset}, cv=3, scoring="accuracy", error_score="raise")
    assert (scores > 1 / 3).all()


@tables
def test_held_out_rows_have_offsets(table):
    X, y, offset = data(table)
    model = GDLogisticRegression(random_state=0, solver="nesterov", early_stopping=True)
    model.fit(X, y, offset=offset)
    own = GDLogisticRegression(random_state=0).fit(X, y, offset=offset, X_val=X, y_val=y, offset_val=offset)
    p = own.predict_proba(X, offset=offset)[np.arange(len(y)), y]
    assert own.validation_loss_curve_[-1] == pytest.approx(-np.log(p).mean(), rel=1e-6)
    with pytest.raises(ValueError, match="offset and offset_val must be given together"):
        own.fit(X, y, offset=offset, X_val=X, y_val=y)


@tables
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_path_with_an_offset_begins_at_c_min(table, fit_intercept):
    X, y, offset = data(table)
    for factors in (None, {0: 0.0, 2: 3.0}):
        how = {"fit_intercept": fit_intercept, "penalty_factor": factors}
        smallest = c_min(X, y, offset=offset, **how)
        others = np.ones(X.shape[1], bool)
        others[0] = factors is None
        assert (fit(X, y, offset, C=smallest, l1_ratio=1, **how).coef_[:, others] == 0).all()
        assert (fit(X, y, offset, C=1.001 * smallest, l1_ratio=1, **how).coef_[:, others] != 0).any()


@tables
def test_a_warm_start_from_a_model_without_the_offset_is_none_the_worse(table):
    X, y, offset = data(table)
    model = fit(X, y, warm_start=True)
    same(model.fit(X, y, offset=20 * offset), fit(X, y, 20 * offset))


@variants
def test_an_offset_that_knows_the_classes_does_not_separate_them(variant):
    X, y, _ = data("two")
    model = fit(X, y, 20.0 * (2 * y - 1), variant, C=np.inf, tol=1e-8)
    assert model.loss_curve_[-1] < 1e-6


@variants
def test_features_that_separate_are_named_with_an_offset_too(variant):
    X, y, offset = data("two")
    X[:, 2] = y == 1
    with pytest.warns(ConvergenceWarning, match="separable.*feature 2"):
        variant(C=np.inf, random_state=0).fit(X, y, offset=offset)


@variants
@tables
def test_offsets_that_are_wrong_by_far_are_made_good(variant, table):
    X, y, offset = data(table)
    far = np.zeros_like(offset)
    far[...] = X[:, :1] * np.array([1, -1, 0])[None] * 200 if table == "three" else X[:, 0] * 200
    plain, moved = fit(X, y, variant=variant, C=np.inf), fit(X, y, far, variant, C=np.inf)
    np.testing.assert_allclose(moved.predict_proba(X, offset=far), plain.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_gradient_and_hessian_are_those_of_finite_differences(k, form):
    rng = np.random.default_rng(0)
    X, y, offset = rng.standard_normal((50, 3)) + 5, np.arange(50) % max(k, 2), rng.standard_normal((50, k))
    rows = rows_of(form(X), y, rng.random(50), n_scores=k, offset=offset).centred()
    objective = Objective(rows, loss_of(max(k, 2)), ElasticNet(0.1))
    for theta in (np.zeros((4, k)), rng.standard_normal((4, k))):
        point = objective.at(theta)
        slope = approx_fprime(theta.ravel(), lambda flat: objective.value(flat.reshape(4, k)), 1e-7)
        np.testing.assert_allclose(point.gradient.ravel(), slope, atol=1e-5)
        bend = approx_fprime(theta.ravel(), lambda flat: objective.at(flat.reshape(4, k)).gradient.ravel(), 1e-7)
        np.testing.assert_allclose(objective.hessian(theta), bend, atol=1e-5)
        np.testing.assert_allclose(objective.scores(theta), objective.score_changes(theta) + offset)


@tables
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_rows_of_every_kind_keep_their_offset(table, form):
    X, y, offset = data(table)
    offset, some = offset.reshape(len(y), -1), np.array([3, 7, 60])
    zero = np.zeros((X.shape[1] + 1, offset.shape[1]))
    rows = rows_of(form(X), y, np.ones(len(y)), n_scores=offset.shape[1], offset=offset)

    def scores(rows):
        return rows.each(lambda block: block.scores(zero))

    for kind in (rows, rows.centred(), rows.centred().stored(), rows.take(np.arange(len(y))), rows.copied_if_few()):
        np.testing.assert_array_equal(scores(kind.take(some)), offset[some])
        np.testing.assert_array_equal(scores(kind.without(y == 0)), offset)
        np.testing.assert_array_equal(scores(kind.take(some).after(kind.take(some[:2]))), offset[[3, 7, 3, 7, 60]])


@tables
def test_a_gap_holds_at_any_coefficients(table):
    X, y, offset = data(table)
    k = 2 if table == "two" else 3
    problem = Problem.of(X, y, np.ones(len(y)), k, C=1.0, offset=offset.reshape(len(y), -1))
    best = solve(problem, Settings(tol=1e-14))
    assert best.status is Status.CONVERGED
    for max_iter in range(4):
        early = solve(problem, Settings(solver="gd", max_iter=max_iter))
        assert early.gap >= early.point.value - best.point.value - 1e-12


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (np.zeros(149), "offset must have a row for each of the 150 rows of X; got 149"),
        (np.zeros(150), r"offset must have shape \(n, 3\) for 3 classes.*got 1 column\."),
        (np.zeros((150, 2)), r"offset must have shape \(n, 3\) for 3 classes.*got 2 columns"),
        (np.zeros((150, 3, 1)), r"offset must have shape \(n,\), or \(n, n_classes\)"),
        (np.full((150, 3), np.nan), "offset must be finite in float64; it has nan"),
        (np.full((150, 3), np.inf), "offset must be finite in float64; it has inf"),
        ([["a"] * 3] * 150, "could not convert string to float"),
    ],
)
def test_offsets_that_are_none_are_named_and_change_nothing(offset, message):
    X, y, _ = data("three")
    model = GDLogisticRegression().fit(X, y)
    before = model.coef_
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, offset=offset)
    assert model.coef_ is before
    with pytest.raises(ValueError, match=message):
        model.predict(X, offset=offset)


def test_two_classes_take_one_offset_a_row():
    X, y, _ = data("two")
    with pytest.raises(ValueError, match=r"shape \(n,\) for two classes.*the second less the first"):
        GDLogisticRegression().fit(X, y, offset=np.zeros((len(y), 2)))
    with pytest.raises(ValueError, match="finite in float32; it has 1e.39"):
        GDLogisticRegression().fit(X.astype(np.float32), y, offset=np.full(len(y), 1e39))


# --- Streams ------------------------------------------------------------------------------------------------------


def streamed(X, y, offset, size, classes):
    model = GDLogisticRegression()
    for start in range(0, len(y), size):
        some = slice(start, start + size)
        model.partial_fit(X[some], y[some], classes=classes, offset=None if offset is None else offset[some])
    return model


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("size", [7, 150, 1000])
@pytest.mark.parametrize("k", [2, 3])
def test_a_stream_with_an_offset_comes_near_the_fit(k, size, form):
    rng = np.random.default_rng(k)
    X, W = rng.standard_normal((3000, 4)), rng.standard_normal((4, k))
    offset = 2 * rng.standard_normal((3000, k))
    y = (X @ W + offset + rng.gumbel(size=(3000, k))).argmax(axis=1)
    offset = offset[:, 1] - offset[:, 0] if k == 2 else offset
    whole, stream = GDLogisticRegression().fit(X, y, offset=offset), streamed(form(X), y, offset, size, range(k))
    np.testing.assert_allclose(stream.coef_, whole.coef_, atol=0.05)
    np.testing.assert_allclose(
        stream.intercept_ - stream.intercept_.mean(), whole.intercept_ - whole.intercept_.mean(), atol=0.05
    )
    without = streamed(form(X), y, None, size, range(k))
    assert np.abs(without.coef_ - whole.coef_).max() > 0.2
    assert stream.progressive_loss_curve_.mean() < without.progressive_loss_curve_.mean()


def test_an_offset_of_zero_changes_no_stream():
    X, y = load_breast_cancer(return_X_y=True)
    ours, plain = streamed(X, y, np.zeros(len(y)), 100, [0, 1]), streamed(X, y, None, 100, [0, 1])
    np.testing.assert_allclose(ours.coef_, plain.coef_, rtol=1e-9)
    assert ours.has_offset_
    with pytest.raises(ValueError, match="offset is missing"):
        ours.predict(X)


def test_rows_that_wait_keep_their_offset_in_a_pickle():
    X, y = load_breast_cancer(return_X_y=True)
    offset = np.random.default_rng(0).standard_normal(len(y))
    model = streamed(X[:300], y[:300], offset[:300], 100, [0, 1])
    copy = pickle.loads(pickle.dumps(model))
    for learner in (model, copy):
        learner.partial_fit(X[300:], y[300:], offset=offset[300:])
    np.testing.assert_array_equal(copy.coef_, model.coef_)


@pytest.mark.parametrize("first", [None, 0.5])
def test_a_stream_takes_an_offset_with_every_batch_or_with_none(first):
    X, y = load_breast_cancer(return_X_y=True)
    model = GDLogisticRegression().partial_fit(X, y, classes=[0, 1], offset=first)
    before = model.coef_.copy()
    with pytest.raises(ValueError, match="offset must be given with every batch of a stream, or with none"):
        model.partial_fit(X, y, offset=0.5 if first is None else None)
    np.testing.assert_array_equal(model.coef_, before)
