"""The scikit-learn face: its checks, its company, the same optimum; and what is said where something is wrong."""

import copy
import itertools
import re
import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from threadpoolctl import threadpool_limits
from variants import every_check

from gdlogit import GDLogisticRegression, solve

SOLVERS = ["auto", "newton-sketch", "gd", "nesterov", "sgd"]
solvers = pytest.mark.parametrize("solver", SOLVERS)
IRIS_X, IRIS_Y = load_iris(return_X_y=True)
CANCER_X, CANCER_Y = load_breast_cancer(return_X_y=True)
IRIS = scale(IRIS_X), IRIS_Y
CANCER = scale(CANCER_X), CANCER_Y
SETS = {"iris": IRIS, "breast_cancer": CANCER}
sets = pytest.mark.parametrize(("X", "y"), SETS.values(), ids=SETS)


def fit(X, y, sample_weight=None, **parameters):
    """A fit that may end early."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GDLogisticRegression(**{"random_state": 0} | parameters).fit(X, y, sample_weight)


def value(model, X, y, weight=None):
    """J at the model's coefficients, from its definition, in double precision."""
    z = np.asarray(X, dtype=float) @ model.coef_.T.astype(float) + model.intercept_
    if z.shape[1] == 1:
        z = np.hstack([0 * z, z])
    weight = np.ones(len(z)) if weight is None else weight
    loss = logsumexp(z, axis=1) - z[np.arange(len(z)), np.searchsorted(model.classes_, y)]
    return (weight @ loss + np.sum(model.coef_.astype(float) ** 2) / (2 * model.C)) / weight.sum()


def some_weights(y):
    return np.random.default_rng(0).integers(0, 4, len(y)).astype(float)


def assert_same_model(ours, theirs, rtol):
    for a, b in ((ours.coef_, theirs.coef_), (ours.intercept_, theirs.intercept_)):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


# --- scikit-learn's checks -------------------------------------------------------------------------------


@every_check(
    [
        GDLogisticRegression(**some)
        for some in (
            {},
            {"solver": "newton-sketch"},
            {"l1_ratio": 1},
            {"l1_ratio": 0.5},
            {"penalty_factor": {0: 0.5}},
            {"coef_bounds": {0: (-1, 1)}},
        )
    ]
)
def test_default_passes_every_check_of_scikit_learn_without_a_warning(estimator, check):
    check(estimator)


PENALTIES = [{}, {"l1_ratio": 0.5}, {"l1_ratio": 1}, {"C": np.inf}]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of classes that are separable
@every_check([GDLogisticRegression(C=np.inf)])
def test_default_passes_every_check_of_scikit_learn_without_a_penalty(estimator, check):
    check(estimator)


def textbook(penalties):
    """The textbook's methods with each penalty."""
    solvers = ("gd", "nesterov", "sgd")
    return [GDLogisticRegression(solver=s, max_iter=10, random_state=0, **p) for s in solvers for p in penalties]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # on the checks' unscaled data
@every_check(textbook([{}]))
def test_textbook_methods_pass_every_check_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # of classes that are separable
@every_check(
    [
        *(GDLogisticRegression(solver="newton-sketch", **penalty) for penalty in PENALTIES[1:]),
        GDLogisticRegression(C=np.inf, bias_reduction="firth", tol=1e-12),  # checks compare seven digits
        GDLogisticRegression(C=np.inf, coef_bounds=(-1, 1)),
        GDLogisticRegression(l1_ratio=0.5, penalty_factor={0: 0.5}),
    ]
)
def test_what_is_not_the_default_passes_every_check_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # on the checks' unscaled data
@every_check(textbook(PENALTIES[1:]))
def test_textbook_methods_pass_every_check_of_scikit_learn_with_every_penalty(estimator, check):
    check(estimator)


# --- The optimum -----------------------------------------------------------------------------------------

BUNDLED = {
    "iris": IRIS,
    "wine": (scale(load_wine().data), load_wine().target),
    "breast_cancer": CANCER,
    "digits": (scale(load_digits().data), load_digits().target),  # three pixels are constant
    "wide": (np.random.default_rng(0).standard_normal((30, 100)), np.tile([0, 1, 2], 10)),
}


def reference(X, y, weight=None, **parameters):
    with threadpool_limits(1):  # with more, and the cores busy, this takes 50 times as long
        model = LogisticRegression(solver="newton-cholesky", tol=1e-10, max_iter=1000, **parameters)
        return model.fit(X, y, weight)


SETTINGS = {
    "plain": {},
    "sample weights": {"weighted": True},
    "class weights": {"class_weight": {0: 2.0, 1: 0.5}},
    "balanced": {"class_weight": "balanced"},
    "no intercept": {"fit_intercept": False},
    "weak penalty": {"C": 100.0},
    "strong penalty": {"C": 1e-3},
    "no penalty": {"C": np.inf},
}


NO_MINIMUM = [(name, "no penalty") for name in ("digits", "wide")]  # separable: digits, by pixels lit in one image


@pytest.mark.parametrize(
    ("name", "setting"), [case for case in itertools.product(BUNDLED, SETTINGS) if case not in NO_MINIMUM]
)
def test_optimum_is_scikit_learns(name, setting):
    X, y = BUNDLED[name]
    parameters = SETTINGS[setting].copy()
    weight = some_weights(y) if parameters.pop("weighted", False) else None
    if "class_weight" in parameters and name != "breast_cancer":
        parameters["class_weight"] = {c: 1 + c % 3 for c in range(1 + y.max())}
    if setting == "no penalty":
        rng = np.random.default_rng(0)
        y = np.where(rng.random(len(y)) < 0.2, rng.integers(0, 1 + y.max(), len(y)), y)  # not separable
    ours = GDLogisticRegression(tol=1e-14, random_state=0, **parameters).fit(X, y, weight)
    theirs = reference(X, y, weight, **parameters)
    assert ours.converged_
    assert_same_model(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("solver", ["auto", "newton-sketch", "gd", "nesterov"])
@sets
def test_every_solver_reaches_the_optimum(solver, X, y):
    ours = GDLogisticRegression(solver=solver, C=0.01, tol=1e-13, max_iter=20_000).fit(X, y)
    assert_same_model(ours, reference(X, y, C=0.01), rtol=1e-5)


@sets
def test_sgd_comes_near_the_optimum(X, y):
    ours = fit(X, y, solver="sgd", C=0.01, max_iter=100)
    assert value(ours, X, y) < value(fit(X, y, C=0.01), X, y) + 1e-3


@pytest.mark.parametrize("holder", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array])
@sets
def test_sparse_is_dense(holder, X, y):
    X = np.where(np.abs(X) < 0.5, 0, X)
    dense, sparse = (GDLogisticRegression(tol=1e-13, random_state=0).fit(Z, y) for Z in (X, holder(X)))
    assert_same_model(sparse, dense, rtol=1e-9)
    np.testing.assert_allclose(sparse.predict_proba(holder(X)), dense.predict_proba(X), atol=1e-9)


# --- Relations -------------------------------------------------------------------------------------------

relations = pytest.mark.parametrize(
    "settings",
    [{"tol": 1e-13}, {"solver": "gd", "max_iter": 20}, {"solver": "nesterov", "max_iter": 20}],
    ids=["auto", "gd", "nesterov"],
)


@relations
@sets
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.5, 2: 1.0}])
def test_weight_of_a_row_is_how_often_it_is_there(settings, class_weight, X, y):
    if isinstance(class_weight, dict):
        class_weight = {c: class_weight[c] for c in np.unique(y)}
    weight = some_weights(y)
    index = np.repeat(np.arange(len(y)), weight.astype(int))
    weighted = fit(X, y, weight, class_weight=class_weight, **settings)
    repeated = fit(X[index], y[index], class_weight=class_weight, **settings)
    assert_same_model(weighted, repeated, rtol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_[-1], repeated.loss_curve_[-1], rtol=1e-12)


@relations
@sets
def test_permuted_rows_and_features_permute_the_answer(settings, X, y):
    rng = np.random.default_rng(0)
    rows, features = rng.permutation(len(y)), rng.permutation(X.shape[1])
    plain = fit(X, y, **settings)
    permuted = fit(X[rows][:, features], y[rows], **settings)
    np.testing.assert_allclose(permuted.coef_, plain.coef_[:, features], rtol=0, atol=1e-9 * np.abs(plain.coef_).max())


@relations
@sets
def test_float32_is_near_float64(settings, X, y):
    single, double = fit(X.astype(np.float32), y, **settings), fit(X, y, **settings)
    assert single.coef_.dtype == single.intercept_.dtype == np.float32
    assert double.coef_.dtype == double.intercept_.dtype == np.float64
    assert single.predict_proba(X.astype(np.float32)).dtype == np.float32
    assert_same_model(single, double, rtol=5e-3)
    assert value(single, X, y) == pytest.approx(value(double, X, y), abs=5e-7)


def test_float32_with_more_features_than_rows_stays_float32():
    X, y = BUNDLED["wide"]
    model = fit(X.astype(np.float32), y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32


@pytest.mark.parametrize("n_features", [11, 12, 40])
def test_wide_features_that_are_the_same_in_all_rows_leave_the_intercept_alone(n_features):
    X = np.tile(np.random.default_rng(0).uniform(0.1, 1, n_features) * np.logspace(-4, 4, n_features), (10, 1))
    y = np.arange(10) % 3 * (np.arange(10) > 3)
    model = GDLogisticRegression(C=np.inf).fit(X, y)
    assert model.converged_
    assert value(model, X, y) == pytest.approx(-sum(q * np.log(q) for q in np.bincount(y) / 10), rel=1e-9)


@sets
def test_swapped_labels_swap_the_classes(X, y):
    plain = GDLogisticRegression(tol=1e-13).fit(X, y)
    swapped = GDLogisticRegression(tol=1e-13).fit(X, y.max() - y)
    np.testing.assert_allclose(swapped.predict_proba(X)[:, ::-1], plain.predict_proba(X), rtol=0, atol=1e-7)


@solvers
@pytest.mark.parametrize("l1_ratio", [0, 0.5, 1])
@sets
def test_no_iterations_give_the_start(solver, l1_ratio, X, y):
    model = GDLogisticRegression(solver=solver, l1_ratio=l1_ratio, max_iter=0, warm_start=True, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"after max_iter=0 iterations\. Raise max_iter"):
        model.fit(X, y)
    assert not model.coef_.any()
    assert not model.intercept_.any()
    assert model.n_iter_[0] == len(model.loss_curve_) == len(model.history_) == 0
    assert not model.converged_
    best = GDLogisticRegression(l1_ratio=l1_ratio).fit(X, y).loss_curve_[-1]
    assert np.log(len(model.classes_)) - best <= model.duality_gap_  # the gap holds at the start, too
    warm = copy.deepcopy(model.set_params(max_iter=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = warm.fit(X, y).coef_.copy()
        warm.set_params(max_iter=0).fit(X, y)
    np.testing.assert_allclose(warm.coef_, expected, rtol=1e-12)


def test_no_iterations_with_held_out_rows_give_the_start():
    X, y = CANCER
    model = GDLogisticRegression(max_iter=0, early_stopping=True, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=0"):
        model.fit(X, y)
    assert not model.coef_.any()
    assert len(model.validation_loss_curve_) == 0


# --- What a fit tells ------------------------------------------------------------------------------------


@solvers
@sets
def test_attributes_describe_the_fit(solver, X, y):
    weight = some_weights(y)
    for max_iter in (1, 7, 100):
        model = fit(X, y, weight, solver=solver, max_iter=max_iter)
        assert (model.n_iter_.shape, model.n_iter_.dtype) == ((1,), np.int32)  # scikit-learn's
        assert 1 <= model.n_iter_.max() <= max_iter
        assert model.loss_curve_.shape == (model.n_iter_[0],)
        assert model.loss_curve_[-1] == pytest.approx(value(model, X, y, weight), rel=1e-12)
        assert isinstance(model.converged_, bool)
        assert isinstance(model.duality_gap_, float)
        assert model.n_features_in_ == X.shape[1]
        n_outputs = len(model.classes_) if len(model.classes_) > 2 else 1
        assert model.coef_.shape == (n_outputs, X.shape[1])
        assert model.intercept_.shape == (n_outputs,)
        assert model.coef_.flags.c_contiguous


@solvers
@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_duality_gap_is_above_the_excess_wherever_the_fit_stops(solver, raw, load):
    X, y = load(return_X_y=True)
    X = X if raw else scale(X)
    weight = some_weights(y)
    best = value(GDLogisticRegression(C=10.0, tol=0).fit(X, y, weight), X, y, weight)
    for max_iter in (1, 3, 10, 100):
        model = fit(X, y, weight, solver=solver, C=10.0, max_iter=max_iter)
        excess = value(model, X, y, weight) - best
        assert model.duality_gap_ >= excess - 1e-15
        if model.converged_:
            assert excess <= model.tol_


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine])
def test_converged_default_proves_it(load):
    model = GDLogisticRegression().fit(*load(return_X_y=True))
    assert model.converged_
    assert model.duality_gap_ < 1e-8


@sets
def test_duality_gap_is_infinite_without_a_penalty(X, y):
    assert fit(X, y, C=np.inf).duality_gap_ == np.inf


@sets
def test_separable_classes_without_a_penalty_are_named_with_the_remedy(X, y):
    with pytest.warns(ConvergenceWarning, match=r"separable.*Set a finite C"):
        model = GDLogisticRegression(C=np.inf).fit(X, y)
    assert not model.converged_
    assert np.isfinite(model.coef_).all()


@solvers
def test_an_early_end_is_named_with_the_distance_and_the_remedy(solver):
    X, y = CANCER
    best = GDLogisticRegression(tol=1e-14).fit(X, y).loss_curve_[-1]
    model = GDLogisticRegression(solver=solver, max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"after max_iter=2 iterations\. Raise max_iter") as record:
        model.fit(X, y)
    message = str(record[0].message)
    assert record[0].filename == __file__  # it points at the caller
    (distance,) = re.findall(r"J is about (\S+) above its minimum \(tol=1e-08\)", message)
    assert float(distance) == pytest.approx(model.loss_curve_[-1] - best, rel=0.7)
    assert ("scale the features, or use solver='auto'" in message) == (solver in ("gd", "nesterov", "sgd"))
    assert not model.converged_


@solvers
@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_history_is_a_table_of_the_fit(solver, load):
    X, y = load(return_X_y=True)
    model = fit(X, y, solver=solver, max_iter=6, C=0.1)
    table = pd.DataFrame(model.history_)
    assert table["iteration"].tolist() == [*range(1, model.n_iter_[0] + 1)]
    np.testing.assert_array_equal(table["value"], model.loss_curve_)
    np.testing.assert_allclose(table["value"].iloc[-1], value(model, X, y), rtol=1e-9)
    assert (table["passes"].diff().dropna() >= 0.5).all()
    assert (table["seconds"].diff().dropna() >= 0).all()
    assert table["seconds"].iloc[0] > 0
    assert (table["rate"] > 0).all()
    if solver == "gd":  # theta moves by rate times the gradient
        before = fit(X, y, solver=solver, max_iter=5, C=0.1)
        step = np.c_[model.coef_ - before.coef_, model.intercept_ - before.intercept_]
        moved = table["rate"].iloc[-1] * table["gradient_norm"].iloc[-2]
        assert np.linalg.norm(step) == pytest.approx(moved, rel=1e-6)


@solvers
def test_verbose_prints_a_line_per_iteration_and_one_in_the_end(solver, capsys):
    model = fit(*CANCER, solver=solver, max_iter=5, verbose=1)
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == model.n_iter_
    form = r"iteration +(\S+) +J (\S+) +excess (\S+) +rate (\S+) +passes (\S+)"
    found = [re.fullmatch(form, line).groups() for line in lines]
    told = [[np.nan if number == "-" else float(number) for number in line] for line in found]
    history = model.history_[["iteration", "value", "excess", "rate", "passes"]].tolist()
    np.testing.assert_allclose(told, history, rtol=0.06)
    np.testing.assert_allclose([line[1] for line in told], model.loss_curve_, rtol=1e-10)
    end = re.fullmatch(r"max_iter after 5 iterations   gap (\S+)   seconds (\S+)", last)
    assert float(end[1]) == pytest.approx(model.duality_gap_, rel=0.06)
    assert float(end[2]) > 0
    fit(*CANCER, solver=solver, max_iter=5)
    assert capsys.readouterr().out == ""


def test_verbose_says_nothing_that_is_not_known(capsys):
    fit(scale(CANCER[0]), CANCER[1], solver="gd", C=np.inf, max_iter=20, verbose=1)
    said = capsys.readouterr().out
    assert "nan" not in said
    assert "inf" not in said
    assert "gap not known" in said
    assert "excess -  " in said


@pytest.mark.parametrize(("learning_rate", "max_iter", "kept"), [(0.3, 5000, None), (1e308, 5000, 0), (0.3, 0, 0)])
def test_verbose_tells_which_iteration_early_stopping_kept(learning_rate, max_iter, kept, capsys):
    X, y = scale(CANCER[0]), CANCER[1]
    settings = {"solver": "gd", "C": 1e4, "early_stopping": True, "learning_rate": learning_rate, "random_state": 0}
    model = fit(X, y, **settings, max_iter=max_iter, verbose=1)
    curve = model.validation_loss_curve_
    kept = 1 + int(np.nanargmin(curve)) if kept is None else kept  # 0 is the start: no iteration had a loss
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"   kept iteration {kept}")
    if kept:
        np.testing.assert_array_equal(model.coef_, fit(X, y, **settings, max_iter=kept).coef_)


@pytest.mark.parametrize("solver", ["auto", "gd", "nesterov"])
@sets
def test_warm_start_converges_at_once(solver, X, y):
    model = GDLogisticRegression(solver=solver, C=0.01, max_iter=5000, warm_start=True, random_state=0).fit(X, y)
    first, n_iter = model.loss_curve_[-1], model.n_iter_
    model.fit(X, y)
    assert model.converged_
    assert model.n_iter_ <= 2 < n_iter
    assert model.loss_curve_[-1] <= first + 1e-15


def test_warm_start_goes_on_where_the_last_fit_ended():
    X, y = CANCER
    whole = fit(X, y, solver="gd", max_iter=20)
    part = fit(X, y, solver="gd", max_iter=10, warm_start=True)
    with pytest.warns(ConvergenceWarning):
        part.fit(X, y)
    assert_same_model(part, whole, rtol=1e-13)


@pytest.mark.parametrize("C", [1e-3, 0.1])
@pytest.mark.parametrize("solver", ["auto", "gd", "nesterov", "sgd"])
@sets
def test_warm_start_across_a_change_of_c_reaches_the_same_minimum(solver, C, X, y):
    settings = {"solver": solver, "tol": 1e-5, "max_iter": 5000, "random_state": 0}
    if solver == "sgd":  # whose noise keeps it from small excesses
        settings["tol"] = 1e-2
    model = GDLogisticRegression(C=0.01, warm_start=True, **settings).fit(X, y)
    model.set_params(C=C).fit(X, y)
    best = GDLogisticRegression(C=C, tol=1e-14).fit(X, y)
    assert model.converged_
    assert model.loss_curve_[-1] == pytest.approx(best.loss_curve_[-1], abs=2 * settings["tol"])
    assert value(model, X, y) == pytest.approx(model.loss_curve_[-1], rel=1e-9)


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_warm_start_from_coefficients_that_do_worse_than_none_starts_from_none(C):
    X, y = CANCER_X[:, :10], CANCER_Y
    model = GDLogisticRegression(C=C, random_state=0).fit(scale(X), y)
    assert value(model, X, y) > np.log(2)  # on raw features they are far off
    cold = GDLogisticRegression(C=C, random_state=0).fit(X, y)
    warm = model.set_params(warm_start=True).fit(X, y)
    assert warm.converged_
    np.testing.assert_array_equal(warm.coef_, cold.coef_)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (CANCER[0][:, :-1], CANCER_Y, r"warm_start=True.*30 features.*got 29.*Set warm_start=False"),
        (CANCER[0], CANCER_Y + 1, r"warm_start=True.*classes array\(\[0, 1\]\).*array\(\[1, 2\]\)"),
        (CANCER[0], np.arange(569) % 3, r"warm_start=True.*array\(\[0, 1, 2\]\)"),
    ],
    ids=["features", "labels", "number of classes"],
)
def test_warm_start_from_other_features_or_classes_is_an_error(X, y, message):
    model = GDLogisticRegression(warm_start=True).fit(*CANCER)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert model.warm_start
    model.set_params(warm_start=False).fit(X, y)


@sets
def test_predictions_agree_with_each_other(X, y):
    model = GDLogisticRegression().fit(X, y)
    probability = model.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.log(probability), model.predict_log_proba(X), rtol=1e-10, atol=1e-15)
    np.testing.assert_array_equal(model.predict(X), model.classes_[probability.argmax(axis=1)])
    z = model.decision_function(X)
    assert z.shape == ((len(y),) if len(model.classes_) == 2 else (len(y), len(model.classes_)))
    assert model.score(X, y) == np.mean(model.predict(X) == y)


@sets
@pytest.mark.parametrize("size", [1e5, 1e20, 1e300])
def test_log_probabilities_are_finite_at_any_score(X, y, size):
    model = GDLogisticRegression().fit(X, y)
    assert np.abs(model.decision_function(size * X)).max() > size / 10
    assert np.isfinite(model.predict_log_proba(size * X)).all()
    assert np.isfinite(model.predict_proba(size * X)).all()


# --- Labels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        ["no", "yes"],
        [False, True],
        [-1.0, 2.0],
        [-3, 10**12],
        np.array(["b", "a"], dtype=object),
        ["x", "y", "z"],
        [10.0, -5.0, 2.0],
        np.array(["long name", "b", "c"], dtype=object),
    ],
    ids=str,
)
def test_labels_of_any_kind_come_back(labels):
    labels = np.asarray(labels)
    codes = CANCER_Y if len(labels) == 2 else np.arange(569) % 3
    X = CANCER[0] + 0.1 * codes[:, None]
    model = GDLogisticRegression(tol=1e-13).fit(X, labels[codes])
    np.testing.assert_array_equal(model.classes_, np.unique(labels))
    assert model.predict(X).dtype == labels.dtype
    plain = GDLogisticRegression(tol=1e-13).fit(X, np.argsort(np.argsort(labels))[codes])
    assert_same_model(model, plain, rtol=1e-9)
    assert model.score(X, labels[codes]) == plain.score(X, np.argsort(np.argsort(labels))[codes])


def test_class_weights_are_by_label():
    X, y = CANCER
    names = np.array(["malignant", "benign"])[y]
    ours = GDLogisticRegression(class_weight={"malignant": 3.0}, tol=1e-13).fit(X, names)  # benign: 1
    theirs = GDLogisticRegression(tol=1e-13).fit(X, names, np.where(y == 0, 3.0, 1.0))
    assert_same_model(ours, theirs, rtol=1e-9)


# --- Company ---------------------------------------------------------------------------------------------


def test_pipeline_grid_search_and_cross_validation():
    pipeline = make_pipeline(StandardScaler(), GDLogisticRegression())
    grid = {"gdlogisticregression__C": [0.01, 1.0], "gdlogisticregression__class_weight": [None, "balanced"]}
    search = GridSearchCV(pipeline, grid, cv=3, n_jobs=2, scoring="neg_log_loss").fit(CANCER_X, CANCER_Y)
    assert search.best_score_ > -0.1
    assert cross_val_score(search.best_estimator_, CANCER_X, CANCER_Y, cv=3).mean() > 0.95


def test_raw_features_are_as_good_as_scaled_in_cross_validation():
    raw, scaled = (cross_val_score(GDLogisticRegression(C=100.0), X, CANCER_Y, cv=3) for X in (CANCER_X, CANCER[0]))
    assert raw.mean() > 0.94
    assert raw.mean() > scaled.mean() - 0.03


def test_calibration_and_one_vs_rest():
    X, y = IRIS
    calibrated = CalibratedClassifierCV(GDLogisticRegression(), cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.9
    rest = OneVsRestClassifier(GDLogisticRegression(tol=1e-13)).fit(X, y)
    assert rest.score(X, y) > 0.9
    assert_same_model(rest.estimators_[1], GDLogisticRegression(tol=1e-13).fit(X, y == 1), rtol=1e-9)


NAMES = ["mean radius", "texture", "p", "area"]


def polars_frame(X, names):
    return pytest.importorskip("polars").DataFrame(X, schema=names)


@pytest.mark.parametrize("frame", [lambda X, names: pd.DataFrame(X, columns=names), polars_frame])
def test_frames_keep_their_names_and_wrong_ones_are_an_error(frame, recwarn):
    X, y = CANCER_X[:, :4], CANCER_Y
    model = GDLogisticRegression(tol=1e-13).fit(frame(X, NAMES), y)
    assert model.feature_names_in_.tolist() == NAMES
    assert_same_model(model, GDLogisticRegression(tol=1e-13).fit(X, y), rtol=1e-9)
    np.testing.assert_array_equal(model.predict_proba(frame(X, NAMES))[:, 1] > 0.5, model.predict(frame(X, NAMES)))
    with pytest.raises(ValueError, match=r"(?s)feature names.*other"):
        model.predict(frame(X, [*NAMES[:3], "other"]))
    assert not recwarn.list


def test_frames_with_series_of_labels_and_weights():
    frame = pd.DataFrame(CANCER_X, index=np.arange(569)[::-1])
    frame.columns = frame.columns.astype(str)
    y = pd.Series(np.where(CANCER_Y == 1, "benign", "malignant"), index=frame.index, dtype="category")
    weight = pd.Series(some_weights(CANCER_Y), index=frame.index)
    ours = GDLogisticRegression(tol=1e-13).fit(frame, y, weight)
    theirs = GDLogisticRegression(tol=1e-13).fit(CANCER_X, np.asarray(y), weight.to_numpy())
    assert_same_model(ours, theirs, rtol=1e-9)


def test_column_transformer_of_a_frame():
    X = load_wine(as_frame=True).data
    columns = ColumnTransformer([("scaled", StandardScaler(), ["alcohol", "proline"])], remainder="passthrough")
    columns.set_output(transform="pandas")
    pipeline = make_pipeline(columns, GDLogisticRegression()).fit(X, load_wine().target)
    assert pipeline.score(X, load_wine().target) > 0.97
    assert "scaled__proline" in pipeline[-1].feature_names_in_


def test_sample_weights_are_routed():
    weight = some_weights(CANCER_Y)
    with config_context(enable_metadata_routing=True):
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=True)
        model = GDLogisticRegression(tol=1e-13).set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
        pipeline.fit(CANCER_X, CANCER_Y, sample_weight=weight)
        search = GridSearchCV(pipeline, {"gdlogisticregression__C": [1.0]}, cv=2, scoring=scorer)
        search.fit(CANCER_X, CANCER_Y, sample_weight=weight)
    expected = GDLogisticRegression(tol=1e-13).fit(StandardScaler().fit_transform(CANCER_X), CANCER_Y, weight)
    assert_same_model(pipeline[-1], expected, rtol=1e-9)
    assert_same_model(search.best_estimator_[-1], expected, rtol=1e-9)


def test_without_scikit_learns_callbacks_a_fit_is_the_same():
    code = """
import sys
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
sys.modules["sklearn.callback"] = None  # as before scikit-learn 1.9
from gdlogit import GDLogisticRegression
assert not hasattr(GDLogisticRegression, "set_callbacks")
print(GDLogisticRegression(random_state=0).fit(*load_iris(return_X_y=True)).coef_.tobytes().hex())
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == fit(IRIS_X, IRIS_Y).coef_.tobytes().hex()


def test_global_random_state_is_not_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    fit(*CANCER, solver="sgd", max_iter=2, random_state=1)
    fit(*CANCER, random_state=np.random.RandomState(1))  # noqa: NPY002
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


# --- Bad input -------------------------------------------------------------------------------------------

BAD_PARAMETERS = {
    "solver": ["lbfgs", None, 3, ["gd"]],
    "C": [0, -1.0, np.nan, "1", True, None, 1j],
    "l1_ratio": [-0.1, 1.1, np.nan, "0", False, None],
    "learning_rate": [0, -0.1, np.nan, np.inf, "fast", True, None],
    "batch_size": [0, -1, 2.5, "all", True, None],
    "max_iter": [-1, 10.5, "many", True, None],
    "n_iter_no_change": [0, -1, 2.5, "few", True, None],
    "early_stopping": [1, 0, "auto", None],
    "fit_intercept": ["yes", "False", 1, 0, 2.0, None],
    "warm_start": ["yes", 1, 0, None],
    "verbose": [-1, 0.5, np.nan, "yes", None],
    "validation_fraction": [0, 1, -0.1, 10, np.nan, "0.1", True, None],
    "tol": [-1e-3, np.nan, np.inf, "tight", True, None],
    "class_weight": [{0: -1.0}, {0: np.nan}, {0: np.inf, 1: 1.0}, {0: 0}, {0: 0, 1: 0}, "heavy", {"malignant": 1.0}],
    "random_state": ["seed"],
}


@pytest.fixture(scope="module")
def fitted():
    return GDLogisticRegression(random_state=0).fit(pd.DataFrame(CANCER[0]).rename(columns=str), CANCER_Y)


def assert_unchanged(model, before):
    """The fitted attributes are the very objects of before, with the values of before."""
    shallow, deep = before
    after = {name: held for name, held in vars(model).items() if name.endswith("_")}
    assert after.keys() == shallow.keys()
    for name, held in after.items():
        assert held is shallow[name]
        if name == "history_":  # whose nans are not equal
            held, deep[name] = held.tobytes(), deep[name].tobytes()
        np.testing.assert_array_equal(held, deep[name])


def snapshot(model):
    attributes = {name: held for name, held in vars(model).items() if name.endswith("_")}
    return attributes, copy.deepcopy(attributes)


@pytest.mark.parametrize(
    ("name", "bad"), [(name, bad) for name, values in BAD_PARAMETERS.items() for bad in values], ids=repr
)
def test_a_bad_parameter_is_named_with_its_value_and_nothing_changes(name, bad, fitted):
    model = copy.deepcopy(fitted).set_params(**{name: bad})
    before = snapshot(model)
    with pytest.raises((ValueError, TypeError)) as error:
        model.fit(*CANCER)
    message = str(error.value)
    assert name in message or name == "random_state"  # of which scikit-learn says: 'seed' cannot be used to seed
    assert repr(bad) in message or name == "class_weight"
    assert_unchanged(model, before)


GOOD_X, GOOD_Y = CANCER


def with_entry(X, entry, dtype=None):
    X = X.astype(dtype or X.dtype)
    X[3, 2] = entry
    return X


MISSING = np.where(GOOD_Y, "yes", "no").astype(object)
MISSING[3] = None
BAD_DATA = {
    "NaN": ((with_entry(GOOD_X, np.nan), GOOD_Y), "X contains NaN"),
    "inf": ((with_entry(GOOD_X, np.inf), GOOD_Y), "X contains infinity"),
    "sparse NaN": ((sp.csr_array(with_entry(GOOD_X, np.nan)), GOOD_Y), "X contains NaN"),
    "complex": ((GOOD_X + 1j, GOOD_Y), "Complex data not supported"),
    "strings": ((with_entry(GOOD_X, "red", object), GOOD_Y), "could not convert string to float: 'red'"),
    "one-dimensional X": ((GOOD_X[:, 0], GOOD_Y), r"Expected 2D array, got 1D array"),
    "three-dimensional X": ((GOOD_X[None], GOOD_Y), r"dim 3"),
    "no rows": ((GOOD_X[:0], GOOD_Y[:0]), r"Found array with 0 sample\(s\)"),
    "no features": ((GOOD_X[:, :0], GOOD_Y), r"0 feature\(s\)"),
    "no labels": ((GOOD_X, None), "requires y to be passed, but the target y is None"),
    "fewer labels than rows": ((GOOD_X, GOOD_Y[:-1]), r"inconsistent numbers of samples: \[569, 568\]"),
    "two columns of labels": ((GOOD_X, np.c_[GOOD_Y, GOOD_Y]), r"y should be a 1d array, got .* \(569, 2\)"),
    "labels on a scale": ((GOOD_X, GOOD_X[:, 0]), "Unknown label type: continuous"),
    "NaN among the labels": ((GOOD_X, np.where(GOOD_Y, np.nan, 1.0)), "y contains NaN"),
    "no label in any row": ((GOOD_X, np.full(569, None)), r"Unknown label type: y must hold .*it holds \[None\]"),
    "a label missing": ((GOOD_X, MISSING), r"Unknown label type: y must hold .*it holds .*None"),
    "a label missing without weight": ((GOOD_X, MISSING, np.arange(569) != 3), r"y must hold .*it holds .*None"),
    "labels of two kinds": ((GOOD_X, np.where(GOOD_Y, MISSING, 0)), r"y must hold .*it holds \['yes', 0\]"),
    "one class": ((GOOD_X, 7 + 0 * GOOD_Y), r"y .*one class.*7"),
    "one class with a weight": ((GOOD_X, GOOD_Y, GOOD_Y), r"y .* classes .*sample_weight.*one class.*1"),
    "negative weight": ((GOOD_X, GOOD_Y, GOOD_Y - 0.5), r"sample_weight must not be negative.*-0\.5"),
    "weights all zero": ((GOOD_X, GOOD_Y, 0 * GOOD_Y), r"sample_weight must be positive .*zero"),
    "NaN among the weights": ((GOOD_X, GOOD_Y, np.where(GOOD_Y, np.nan, 1.0)), "sample_weight contains NaN"),
    "infinite weight": ((GOOD_X, GOOD_Y, np.where(GOOD_Y, np.inf, 1.0)), "sample_weight contains infinity"),
    "fewer weights than rows": ((GOOD_X, GOOD_Y, np.ones(568)), r"inconsistent numbers of samples: \[569, 568\]"),
    "a matrix of weights": ((GOOD_X, GOOD_Y, np.ones((569, 1))), r"sample_weight .* shape \(569, 1\)"),
    "one number for all weights": ((GOOD_X, GOOD_Y, 2.0), "sample_weight"),
    "weights in words": ((GOOD_X, GOOD_Y, ["heavy"] * 569), "could not convert string to float: 'heavy'"),
}


@pytest.mark.parametrize(("data", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_are_named_and_nothing_changes(data, message, fitted):
    model = copy.deepcopy(fitted)
    before = snapshot(model)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(*data)
    assert_unchanged(model, before)
    unfitted = GDLogisticRegression()
    with pytest.raises((ValueError, TypeError), match=message):
        unfitted.fit(*data)
    assert vars(unfitted).keys() == unfitted.get_params().keys()


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
def test_prediction_needs_a_fit_and_the_features_of_the_fit(method):
    with pytest.raises(NotFittedError):
        getattr(GDLogisticRegression(), method)(GOOD_X)
    model = GDLogisticRegression().fit(*CANCER)
    with pytest.raises(ValueError, match="X has 29 features, but GDLogisticRegression is expecting 30"):
        getattr(model, method)(GOOD_X[:, :-1])
    with pytest.raises(ValueError, match="X contains NaN"):
        getattr(model, method)(with_entry(GOOD_X, np.nan))


def test_parameters_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        GDLogisticRegression("gd")


# --- Memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_float32_rows_are_not_copied(n_classes, order):
    rng = np.random.default_rng(0)
    X = np.asarray(rng.standard_normal((300_000, 40), dtype=np.float32), order=order)
    y = (X[:, 0] + X[:, 1] > 0).astype(int) + (n_classes == 3) * (X[:, 2] > 1)
    y[:1000] = rng.integers(0, n_classes, 1000)
    X.flags.writeable = False
    tracemalloc.start()
    try:
        model = GDLogisticRegression(random_state=0).fit(X, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert model.coef_.dtype == np.float32
    assert peak < X.nbytes  # a copy would be as much by itself, in float64 twice as much


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@pytest.mark.parametrize(("dtype", "scale"), [(np.float64, 1e160), (np.float32, 1e30)])
def test_features_whose_squares_overflow_are_named_by_the_textbooks_solvers(solver, dtype, scale):
    X, y = IRIS
    with pytest.raises(ValueError, match="X or sample_weight is too large"):
        GDLogisticRegression(solver=solver).fit((X * scale).astype(dtype), y)


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@pytest.mark.parametrize("rate", [1e3, 1e100, 1e306])
def test_no_rate_is_too_large_to_be_named(solver, rate):
    X, y = IRIS
    with pytest.warns(ConvergenceWarning, match="diverges"):
        model = GDLogisticRegression(solver=solver, learning_rate=rate, max_iter=50).fit(X * 1e5, y)
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_csr_of_zeros_leaves_the_intercept(solver):
    X, y = sp.csr_array((150, 3)), IRIS[1] == 0
    model = GDLogisticRegression(solver=solver).fit(X, y)
    assert not model.coef_.any()
    assert model.intercept_ == pytest.approx(-np.log(2), abs=1e-3)


# --- Beyond what is sensible -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_constant_feature_as_large_as_a_timestamp_gets_no_coefficient(form, n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1000, 3)), rng.integers(0, n_classes, 1000)
    X[:, 1] = 1.7e9
    model = GDLogisticRegression(C=1e6, random_state=0).fit(form(X), y)
    assert not model.coef_[:, 1].any()
    assert model.duality_gap_ <= 1e-8


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_the_gap_is_never_more_than_j(l1_ratio):
    X, y = CANCER
    model = fit(X * 10.0 ** np.arange(-75, 75, 5), y, C=1e6, l1_ratio=l1_ratio, max_iter=1)
    assert model.duality_gap_ <= model.loss_curve_[-1]


def test_separable_classes_under_hardly_a_penalty_converge_where_j_is_nothing_but_rounding():
    model = GDLogisticRegression(C=1e100).fit([[-2.0], [-1.0], [1.0], [2.0]], [0, 0, 1, 1])
    assert model.converged_
    assert model.loss_curve_[-1] < 1e-14
    assert model.n_iter_ < 50


@pytest.mark.parametrize("C", [1e178, 1e290, float(np.finfo(float).max)])
@pytest.mark.parametrize(
    "parameters", [{}, {"l1_ratio": 0.5}, {"l1_ratio": 1.0}, {"solver": "gd", "max_iter": 5}], ids=str
)
@pytest.mark.parametrize("form", ["overlapping", "overlapping float32", "separable", "wide", "wide CSR"])
def test_any_finite_c_is_a_penalty_however_large(form, parameters, C):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 1600 if "wide" in form else 2))
    y = np.arange(30) % 3 if "overlapping" in form or "CSR" in form else (X[:, 0] > 0).astype(int)
    X = X.astype(np.float32) if "float32" in form else sp.csr_array(X * (X > 1)) if "CSR" in form else X
    ours, theirs = (fit(X, y, C=strength, random_state=0, **parameters) for strength in (C, 1e100))
    if theirs.loss_curve_[-1] > 1e-15:  # below the rounding of 1 any coefficients will do
        np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-15)  # some are 0 but for rounding
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6, atol=1e-15)
    assert ours.converged_ == theirs.converged_
    assert ours.duality_gap_ == pytest.approx(theirs.duality_gap_, abs=1e-15)
    assert GDLogisticRegression(C=C).partial_fit(X, y, np.unique(y)).score(X, y) > 0.3


def test_a_hessian_that_is_singular_to_rounding_claims_no_more_than_the_gap_proves(monkeypatch):
    monkeypatch.setattr(solve, "duality_gap", lambda *_, **__: 1e-5)
    X, y = CANCER
    assert fit(X, y).converged_  # the estimate can be believed
    with pytest.warns(ConvergenceWarning, match=r"only proven to be within 1.0e-05 of the minimum.*Lower C, or scale"):
        model = GDLogisticRegression(C=1e12).fit(np.hstack([X[:, :1], X[:, :1]]), y)
    assert not model.converged_
