"""Held-out rows: their loss is what it says, ends every solver, and chooses the coefficients."""

import copy

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.datasets import load_iris
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression
from gdlogit.estimators.validation import hold_out

SOLVERS = ["auto", "gd", "nesterov", "sgd"]
solvers = pytest.mark.parametrize("solver", SOLVERS)
IRIS_X, IRIS_Y = load_iris(return_X_y=True)


def overfit(n_classes=2, n_rows=300, n_features=100):
    """Noise, mostly: the loss of other rows falls at first, and then rises."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2 * n_rows, n_features))
    z = X[:, :n_classes] + rng.gumbel(size=(2 * n_rows, n_classes))
    y = z.argmax(axis=1)
    return X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:]


X, Y, X_VAL, Y_VAL = overfit()


@pytest.fixture
def quiet():
    with pytest.warns(match="after max_iter|Interrupted"):
        yield


def fit(X=X, y=Y, X_val=X_VAL, y_val=Y_VAL, sample_weight=None, sample_weight_val=None, **parameters):
    settings = {"C": np.inf, "random_state": 0, "max_iter": 200} | parameters
    model = GDLogisticRegression(**settings)
    return model.fit(X, y, sample_weight, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val)


@solvers
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_solver_stops_where_the_held_out_loss_no_longer_falls_and_returns_its_best(solver, n_classes):
    X, y, X_val, y_val = overfit(n_classes)
    model = fit(X, y, X_val, y_val, solver=solver, C=1e3, early_stopping=True, n_iter_no_change=3)
    curve = model.validation_loss_curve_
    assert len(curve) == model.n_iter_ == len(model.loss_curve_) < 200
    assert curve[-1] > curve.min() or solver == "sgd"
    assert log_loss(y_val, model.predict_proba(X_val)) == pytest.approx(curve.min(), rel=1e-10)
    converged = GDLogisticRegression(C=1e3).fit(X, y)
    assert curve.min() < log_loss(y_val, converged.predict_proba(X_val)) - 0.01
    assert not model.converged_


@pytest.mark.parametrize("solver", ["gd", "nesterov"])
@pytest.mark.parametrize("patience", [1, 2, 10])
def test_n_iter_no_change_is_how_many_iterations_the_best_is_ago(solver, patience):
    model = fit(solver=solver, early_stopping=True, n_iter_no_change=patience)
    curve = model.validation_loss_curve_
    assert model.n_iter_ == 1 + curve.argmin() + patience
    assert (np.diff(curve[: curve.argmin()]) < 0).all()


@solvers
def test_the_curve_is_the_log_loss_after_each_iteration(solver, quiet):
    weight = np.random.default_rng(1).random(len(X_VAL))
    model = fit(sample_weight_val=weight, solver=solver, max_iter=3)
    for n in (1, 2, 3):
        one = fit(sample_weight_val=weight, solver=solver, max_iter=n)
        expected = log_loss(Y_VAL, one.predict_proba(X_VAL), sample_weight=weight)
        assert model.validation_loss_curve_[n - 1] == pytest.approx(expected, rel=1e-10)
    np.testing.assert_array_equal(model.history_["validation_loss"], model.validation_loss_curve_)


@pytest.mark.parametrize(
    "form", [lambda X: X + 1e4, sp.csr_array, lambda X: X.astype(np.float32), lambda X: X[:, :1].repeat(400, axis=1)]
)
def test_the_curve_is_right_in_any_coordinates_of_the_descent(form):
    train, val = form(X), form(X_VAL)
    model = fit(train, Y, val, Y_VAL, C=1.0)
    assert model.validation_loss_curve_[-1] == pytest.approx(log_loss(Y_VAL, model.predict_proba(val)), rel=1e-5)


@solvers
def test_held_out_rows_without_early_stopping_change_nothing_but_the_curve(solver):
    settings = {"solver": solver, "C": 0.01, "tol": 1e-2, "random_state": 0}
    followed = fit(**settings)
    plain = GDLogisticRegression(max_iter=200, **settings).fit(X, Y)
    np.testing.assert_array_equal(followed.coef_, plain.coef_)
    assert followed.converged_
    assert hasattr(followed, "validation_loss_curve_")
    assert not hasattr(followed.fit(X, Y), "validation_loss_curve_")
    assert np.isnan(plain.history_["validation_loss"]).all()


def test_class_weights_count_for_held_out_rows_too():
    weight = {0: 1.0, 1: 5.0}
    model = fit(class_weight=weight, C=0.1)
    expected = log_loss(Y_VAL, model.predict_proba(X_VAL), sample_weight=np.where(Y_VAL, 5.0, 1.0))
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-10)


def test_a_minimum_that_is_best_for_held_out_rows_is_converged():
    model = fit(C=1e-3, early_stopping=True)
    assert model.converged_
    np.testing.assert_allclose(model.coef_, fit(C=1e-3).coef_, atol=1e-8)


@solvers
def test_the_split_is_by_the_seed_and_the_rest_is_fitted_as_if_it_were_all(solver):
    settings = {"solver": solver, "C": 0.01, "tol": 1e-10, "early_stopping": True, "max_iter": 1000}
    first, again, other = (GDLogisticRegression(random_state=seed, **settings).fit(X, Y) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)
    if solver in ("gd", "nesterov"):  # the others draw rows
        rng = np.random.default_rng(0)
        (X_val, y_val, _, _), rest = hold_out(X, Y, np.ones(len(Y)), 0.1, rng)
        theirs = GDLogisticRegression(**settings).fit(X[rest > 0], Y[rest > 0], X_val=X_val, y_val=y_val)
        np.testing.assert_allclose(first.coef_, theirs.coef_, atol=1e-10)
        np.testing.assert_allclose(first.validation_loss_curve_, theirs.validation_loss_curve_, rtol=1e-10)


def test_rows_without_weight_are_in_neither_part():
    weight = (np.arange(len(Y)) % 3 > 0).astype(float)
    settings = {"solver": "gd", "early_stopping": True, "max_iter": 1000, "random_state": 0}
    there = GDLogisticRegression(**settings).fit(X, Y, weight)
    gone = GDLogisticRegression(**settings).fit(X[weight > 0], Y[weight > 0])
    np.testing.assert_allclose(there.coef_, gone.coef_, atol=1e-10)
    np.testing.assert_allclose(there.validation_loss_curve_, gone.validation_loss_curve_, rtol=1e-10)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_the_split_has_the_share_of_each_class_and_the_last_row_of_none(fraction):
    codes = np.repeat([0, 1, 2, 3], [1, 2, 40, 200])
    weight = np.random.default_rng(0).random(len(codes))
    weight[-7:] = 0
    (_, held, held_weight, _), rest = hold_out(codes[:, None], codes, weight, fraction, np.random.default_rng(0))
    shares = [0, 1, round(40 * fraction), round(193 * fraction)]
    np.testing.assert_array_equal(np.bincount(held, minlength=4), shares)
    assert (held_weight > 0).all()
    assert np.count_nonzero(rest) + len(held) == len(codes) - 7
    assert rest.sum() + held_weight.sum() == pytest.approx(weight.sum())


def test_a_held_out_row_is_not_seen_by_the_fit():
    model = GDLogisticRegression(solver="gd", early_stopping=True, max_iter=1000, random_state=0, C=0.1).fit(X, Y)
    rng = np.random.default_rng(0)
    _, rest = hold_out(X, Y, np.ones(len(Y)), 0.1, rng)
    z = model.decision_function(X)
    J = np.average(np.logaddexp(0, np.where(Y == 1, -z, z)), weights=rest)
    best = model.validation_loss_curve_.argmin()
    penalty = (model.coef_**2).sum() / (2 * 0.1 * rest.sum())
    assert J + penalty == pytest.approx(model.loss_curve_[best])


def test_labels_of_held_out_rows_may_be_strings():
    names = np.array(["no", "yes"])
    named = fit(X, names[Y], X_VAL, names[Y_VAL], C=0.1)
    np.testing.assert_array_equal(named.validation_loss_curve_, fit(C=0.1).validation_loss_curve_)


def test_a_pipeline_transforms_held_out_rows():
    raw, raw_val = X * 1000 + 5, X_VAL * 1000 + 5
    scaler = StandardScaler().fit(raw)
    with config_context(enable_metadata_routing=True):
        model = GDLogisticRegression(solver="gd", C=np.inf, early_stopping=True)
        model.set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(raw, Y, X_val=raw_val, y_val=Y_VAL)
    by_hand = fit(scaler.transform(raw), Y, scaler.transform(raw_val), Y_VAL, solver="gd", early_stopping=True)
    np.testing.assert_array_equal(pipeline[-1].coef_, by_hand.coef_)
    np.testing.assert_array_equal(pipeline[-1].validation_loss_curve_, by_hand.validation_loss_curve_)


BAD = {
    "no labels": ({"X_val": X_VAL}, "X_val and y_val must be given together.*y_val is None"),
    "no rows": ({"y_val": Y_VAL}, "X_val and y_val must be given together.*X_val is None"),
    "weights alone": ({"sample_weight_val": Y_VAL}, "sample_weight_val with them; X_val is None"),
    "NaN": ({"X_val": X_VAL * np.nan, "y_val": Y_VAL}, "X_val or y_val: .*NaN"),
    "fewer features": ({"X_val": X_VAL[:, :3], "y_val": Y_VAL}, "X_val or y_val: X has 3 features.*expecting 100"),
    "fewer labels": ({"X_val": X_VAL, "y_val": Y_VAL[1:]}, "X_val or y_val: .*inconsistent"),
    "another label": (
        {"X_val": X_VAL, "y_val": Y_VAL + 1},
        r"y_val must hold labels of y.*\[0, 1\].*got array\(\[2\]\)",
    ),
    "labels missing": ({"X_val": X_VAL, "y_val": np.full(len(Y_VAL), None)}, r"y_val must hold .*it holds \[None\]"),
    "negative weight": (
        {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": Y_VAL - 0.5},
        "sample_weight_val must not be negative",
    ),
    "no weight": (
        {"X_val": X_VAL, "y_val": Y_VAL, "sample_weight_val": 0.0 * Y_VAL},
        "sample_weight_val must be posit",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_bad_held_out_rows_are_named_and_nothing_changes(arguments, message):
    model = GDLogisticRegression().fit(X, Y)
    before = copy.copy(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, **arguments)
    assert vars(model).keys() == before.keys()
    assert all(held is before[name] for name, held in vars(model).items())


def test_features_of_held_out_rows_must_have_the_names_of_the_fit():
    frame, wrong = (pd.DataFrame(X, columns=[f"{name}{i}" for i in range(100)]) for name in ("a", "b"))
    with pytest.raises(ValueError, match="X_val or y_val: The feature names should match"):
        GDLogisticRegression().fit(frame, Y, X_val=wrong, y_val=Y)


def test_classes_of_single_rows_cannot_be_held_out():
    with pytest.raises(ValueError, match=r"early_stopping=True.*at least two.*Give X_val"):
        GDLogisticRegression(early_stopping=True).fit([[0.0], [1.0]], [0, 1])


def test_warm_start_goes_on_from_the_best_coefficients():
    model = fit(solver="gd", early_stopping=True, warm_start=True, n_iter_no_change=2)
    next_loss = model.validation_loss_curve_[model.validation_loss_curve_.argmin() + 1]
    model.fit(X, Y, X_val=X_VAL, y_val=Y_VAL)
    assert model.n_iter_ == 3  # one, and two that are no better
    assert model.validation_loss_curve_[0] == pytest.approx(next_loss, rel=1e-12)
