"""A penalty for each feature: relations that must hold, and scikit-learn on features scaled to the same end."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale
from variants import ByProducts

from gdlogit import GDLogisticRegression, c_min

TABLES = {"two": load_breast_cancer, "three": load_iris}
tables = pytest.mark.parametrize("table", TABLES)
ratios = pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
variants = pytest.mark.parametrize("variant", [GDLogisticRegression, ByProducts])
NAMES = ["age", "lwt", "smoke", "ptl"]


def data(table):
    X, y = TABLES[table](return_X_y=True)
    return scale(X)[:, :8], y


def fit(X, y, variant=GDLogisticRegression, **parameters):
    return variant(**{"tol": 1e-13, "random_state": 0} | parameters).fit(X, y)


def same(ours, theirs, rtol=1e-5):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=rtol, atol=rtol * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol)


def mixed(p):
    """Factors of all kinds: 0, small, 1, large."""
    return np.resize([0.0, 0.3, 1.0, 5.0], p)


@tables
@ratios
@variants
def test_a_factor_for_all_is_a_larger_penalty(table, l1_ratio, variant):
    X, y = data(table)
    ours = fit(X, y, variant, C=0.5, l1_ratio=l1_ratio, penalty_factor=np.full(X.shape[1], 2.5))
    same(ours, fit(X, y, variant, C=0.2, l1_ratio=l1_ratio))


@tables
@variants
def test_l2_factors_are_those_of_scikit_learn_on_features_scaled_by_their_roots(table, variant):
    X, y = data(table)
    f = np.linspace(0.2, 5, X.shape[1])
    theirs = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000).fit(X / np.sqrt(f), y)
    ours = fit(X, y, variant, C=0.5, penalty_factor=f)
    np.testing.assert_allclose(ours.coef_, theirs.coef_ / np.sqrt(f), rtol=1e-4, atol=1e-5)
    assert ours.converged_
    assert ours.duality_gap_ < 1e-6


@tables
@variants
def test_l1_factors_are_those_of_features_divided_by_them(table, variant):
    X, y = data(table)
    f = np.linspace(0.2, 5, X.shape[1])
    theirs = fit(X / f, y, C=0.5, l1_ratio=1.0)
    ours = fit(X, y, variant, C=0.5, l1_ratio=1.0, penalty_factor=f)
    np.testing.assert_allclose(ours.coef_, theirs.coef_ / f, rtol=1e-5, atol=1e-6)
    assert (ours.coef_ == 0).any()


@tables
@ratios
@variants
def test_a_left_out_feature_is_as_if_it_were_not_there(table, l1_ratio, variant):
    X, y = data(table)
    f = mixed(X.shape[1])
    out = f == 5
    f[out] = np.inf
    ours = fit(X, y, variant, C=0.5, l1_ratio=l1_ratio, penalty_factor=f)
    theirs = fit(X[:, ~out], y, variant, C=0.5, l1_ratio=l1_ratio, penalty_factor=f[~out])
    assert (ours.coef_[:, out] == 0).all()
    np.testing.assert_allclose(ours.coef_[:, ~out], theirs.coef_, rtol=1e-5, atol=1e-6)
    assert ours.duality_gap_ < 1e-5


@tables
def test_zero_and_infinity_are_the_fit_without_a_penalty_of_some_features(table):
    X, y = data(table)
    X = X + np.random.default_rng(0).standard_normal(X.shape)  # no class is separated
    f = np.where(np.arange(X.shape[1]) < 2, 0.0, np.inf)
    ours, theirs = fit(X, y, penalty_factor=f), fit(X[:, :2], y, C=np.inf)
    np.testing.assert_allclose(ours.coef_[:, :2], theirs.coef_, rtol=1e-5)
    assert ours.converged_


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("table", TABLES)
def test_a_feature_without_a_penalty_has_no_slope_at_the_minimum(table, l1_ratio):
    X, y = data(table)
    X = X + np.random.default_rng(0).standard_normal(X.shape)
    model = fit(X, y, C=0.02, l1_ratio=l1_ratio, penalty_factor=mixed(X.shape[1]))
    Y = np.eye(3)[y] if table == "three" else np.column_stack([1 - y, y])
    slopes = X.T @ (model.predict_proba(X) - Y)
    slopes = np.abs(slopes).max(axis=1)
    assert slopes[mixed(X.shape[1]) == 0].max() < 1e-5 * len(X)
    assert (model.coef_[:, mixed(X.shape[1]) == 0] != 0).all()


@ratios
@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
def test_the_textbooks_solvers_take_factors(solver, l1_ratio):
    X, y = data("two")
    f = np.append(mixed(7), np.inf)
    textbook = fit(
        X, y, solver=solver, C=0.05, l1_ratio=l1_ratio, penalty_factor=f, max_iter=20_000, batch_size=len(X), tol=1e-9
    )
    same(textbook, fit(X, y, C=0.05, l1_ratio=l1_ratio, penalty_factor=f), rtol=2e-3)
    assert textbook.coef_[0, -1] == 0


@ratios
def test_batches_take_factors(l1_ratio):
    X, y = data("three")
    names = [f"x{j}" for j in range(X.shape[1])]
    frame = pd.DataFrame(X, columns=names)
    how = {"C": 0.3, "l1_ratio": l1_ratio, "tol": 1e-13, "random_state": 0, "penalty_factor": {"x1": 0.0, "x3": np.inf}}
    model = GDLogisticRegression(**how)
    model.fit_batches([(frame[start : start + 40], y[start : start + 40]) for start in range(0, len(y), 40)])
    same(model, GDLogisticRegression(**how).fit(frame, y))


def test_sparse_rows_take_factors():
    X, y = data("two")
    X = np.where(np.abs(X) > 1, X, 0)
    f = mixed(X.shape[1])
    for l1_ratio in (0.0, 1.0):
        ours = fit(sp.csr_array(X), y, ByProducts, C=0.1, l1_ratio=l1_ratio, penalty_factor=f)
        same(ours, fit(X, y, C=0.1, l1_ratio=l1_ratio, penalty_factor=f))


def test_names_and_numbers_in_any_order_are_the_array():
    X, y = data("three")
    frame = pd.DataFrame(X, columns=NAMES)
    X = X + np.random.default_rng(0).standard_normal(X.shape)  # no class is separated
    frame = pd.DataFrame(X, columns=NAMES)
    f = [1.0, 0.5, 0.0, np.inf]
    expected = fit(X, y, penalty_factor=f)
    np.testing.assert_allclose(expected.coef_[:, 2].sum(), 0, atol=1e-12)  # a softmax does not see a shift
    for factors in (
        {"ptl": np.inf, "smoke": 0, "lwt": 0.5},
        {"lwt": 0.5, "smoke": 0, "ptl": np.inf, "age": 1},
        {3: np.inf, 1: 0.5, 2: 0.0},
    ):
        np.testing.assert_allclose(fit(frame, y, penalty_factor=factors).coef_, expected.coef_, rtol=1e-6, atol=1e-9)
    turned = fit(frame[NAMES[::-1]], y, penalty_factor={"ptl": np.inf, "smoke": 0, "lwt": 0.5})
    np.testing.assert_allclose(turned.coef_[:, ::-1], expected.coef_, rtol=1e-6, atol=1e-7)


def test_factors_of_one_change_nothing():
    X, y = data("three")
    expected = fit(X, y)
    for ones in (np.ones(X.shape[1]), {}, {0: 1.0}):
        np.testing.assert_array_equal(fit(X, y, penalty_factor=ones).coef_, expected.coef_)


def test_a_warm_start_drops_what_is_now_left_out():
    X, y = data("two")
    model = fit(X, y, warm_start=True)
    n_iter = model.set_params(penalty_factor={0: np.inf}).fit(X, y).n_iter_[0]
    assert model.coef_[0, 0] == 0
    same(model, fit(X, y, penalty_factor={0: np.inf}))
    assert model.fit(X, y).n_iter_[0] <= n_iter


@tables
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_path_begins_at_c_min(table, l1_ratio, fit_intercept):
    X, y = data(table)
    X = X + 2 * np.random.default_rng(0).standard_normal(X.shape)
    f = mixed(X.shape[1])
    smallest = c_min(X, y, l1_ratio=l1_ratio, fit_intercept=fit_intercept, penalty_factor=f)
    how = {"l1_ratio": l1_ratio, "fit_intercept": fit_intercept, "penalty_factor": f}
    assert (fit(X, y, C=0.999 * smallest, **how).coef_[:, f > 0] == 0).all()
    assert (fit(X, y, C=1.001 * smallest, **how).coef_[:, f > 0] != 0).any()


def test_c_min_is_divided_by_a_factor_of_all():
    X, y = data("two")
    f = np.full(X.shape[1], 4.0)
    assert c_min(X, y, penalty_factor=f) == pytest.approx(4 * c_min(X, y))
    assert c_min(X, y, penalty_factor=f * np.inf) == np.inf
    frame = pd.DataFrame(X[:, :4], columns=NAMES)
    assert c_min(frame, y, penalty_factor={"lwt": 3.0}) == c_min(X[:, :4], y, penalty_factor=[1, 3, 1, 1])


@pytest.mark.parametrize("seed", range(6))
def test_at_c_min_no_coefficient_with_a_penalty_is_worth_more_than_tol(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((300, 12)) @ (np.eye(12) + 0.8 * rng.standard_normal((12, 12)))
    y = (X @ rng.standard_normal((12, 4)) / 4 + rng.gumbel(size=(300, 4))).argmax(axis=1)
    f = np.where(np.arange(12) < 4, 0.0, 1.0)
    C = c_min(X, y, penalty_factor=f)
    models = [GDLogisticRegression(C=C, l1_ratio=1, penalty_factor=f, tol=tol).fit(X, y) for tol in (1e-8, 1e-12)]
    rough, exact = ([m.coef_.T, m.intercept_] for m in models)
    assert not exact[0][f > 0].any()
    kept = np.where(f[:, None] > 0, 0.0, rough[0])  # a coefficient of 1e-7 may leave 0, for 1e-8 of J
    J = [loss(X, y, W, rough[1]) + np.abs(W[f > 0]).sum() / (C * 300) for W in (rough[0], kept)]
    assert J[1] <= J[0] * (1 + 1e-8)


def loss(X, y, W, b):
    z = X @ W + b
    return (logsumexp(z, axis=1) - z[np.arange(len(y)), y]).mean()


def test_c_min_has_nothing_to_begin_with_where_free_features_separate_the_classes():
    X, y = data("two")
    X[:, 2] = y
    with pytest.raises(ValueError, match="penalty_factor is 0 for features that separate the classes"):
        c_min(X, y, penalty_factor={2: 0.0})


@variants
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("table", TABLES)
def test_features_without_a_penalty_that_separate_the_classes_are_named(variant, l1_ratio, table):
    X, y = data(table)
    frame = pd.DataFrame(X[:, :4] + 2 * np.random.default_rng(0).standard_normal((len(X), 4)), columns=NAMES)
    frame["smoke"] = (y == 0) * (np.arange(len(y)) % 3 == 0.0)  # a flag that only the first class has
    model = variant(penalty_factor={"smoke": 0.0, "ptl": 0.0}, l1_ratio=l1_ratio, random_state=0)
    with pytest.warns(ConvergenceWarning, match="separable.*smoke.*penalty_factor above 0") as caught:
        model.fit(frame, y)
    assert not any(name in str(caught[0].message) for name in ("age", "lwt"))
    assert not model.converged_


@variants
def test_features_that_separate_the_classes_but_are_penalised_are_not_named(variant):
    X, y = data("two")
    X = X + np.random.default_rng(0).standard_normal(X.shape)
    X[:, 2] = y
    for l1_ratio in (0.0, 1.0):
        assert fit(X, y, variant, l1_ratio=l1_ratio, penalty_factor={0: 0.0, 1: 0.0}).converged_
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        variant(C=np.inf, penalty_factor={2: np.inf}, random_state=0).fit(X, y)
    assert not caught


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([1.0, 2.0], "penalty_factor must have one number for each of the 4 features of X"),
        (2.0, r"penalty_factor must have one number for each of the 4 features.*got 2\.0"),
        (np.ones((4, 1)), "penalty_factor must have one number for each of the 4 features"),
        ([1.0, -0.5, 1.0, 1.0], r"penalty_factor must not be negative; it is -0\.5 for feature 'lwt'"),
        ([1.0, 1.0, np.nan, 1.0], "penalty_factor must not be negative; it is nan for feature 'smoke'"),
        ({"weight": 0.0}, "penalty_factor must name features of X; got 'weight', and X has .*'age'"),
        ({4: 0.0}, "penalty_factor must name features of X; got 4"),
        ({"lwt": "none"}, "penalty_factor must have a number for each feature; it has 'none' for 'lwt'"),
        ({"lwt": -1}, r"penalty_factor must not be negative; it is -1\.0 for feature 'lwt'"),
    ],
)
def test_factors_that_are_none_are_named_and_change_nothing(factors, message):
    X, y = data("three")
    frame = pd.DataFrame(X, columns=NAMES)
    model = GDLogisticRegression().fit(frame, y)
    before = model.coef_
    with pytest.raises(ValueError, match=message):
        model.set_params(penalty_factor=factors).fit(frame, y)
    assert model.coef_ is before
    with pytest.raises(ValueError, match=message):
        c_min(frame, y, penalty_factor=factors)


def test_names_need_a_table_that_has_them():
    X, y = data("three")
    with pytest.raises(ValueError, match="got 'lwt', and X has 4 features without names"):
        GDLogisticRegression(penalty_factor={"lwt": 0.0}).fit(X, y)


def test_a_stream_refuses_factors_by_name():
    X, y = data("two")
    with pytest.raises(AttributeError) as caught:
        GDLogisticRegression(penalty_factor={0: 0.0}).partial_fit(X, y, classes=[0, 1])
    assert "penalty_factor is not supported by partial_fit" in str(caught.value.__cause__)
