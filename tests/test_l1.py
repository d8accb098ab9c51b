"""L1 and elastic net in the classifier: exact zeros, the peers' optimum, where the path begins, sparse coefficients."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale
from sklearn.svm import l1_min_c

from gdlogit import CoefficientDisplay, GDLogisticRegression, c_min, solve

CANCER = scale(load_breast_cancer().data), load_breast_cancer().target
IRIS = scale(load_iris().data), load_iris().target
SETS = {"iris": IRIS, "breast_cancer": CANCER}
sets = pytest.mark.parametrize(("X", "y"), SETS.values(), ids=SETS)
ratios = pytest.mark.parametrize("l1_ratio", [1.0, 0.5])


def fit(X, y, sample_weight=None, **parameters):
    parameters = {"l1_ratio": 1.0, "tol": 1e-12, "C": 0.1, "random_state": 0} | parameters
    return GDLogisticRegression(**parameters).fit(X, y, sample_weight)


@sets
@ratios
def test_same_optimum_as_saga(X, y, l1_ratio):
    ours = fit(X, y, l1_ratio=l1_ratio)
    theirs = LogisticRegression(solver="saga", C=0.1, l1_ratio=l1_ratio, tol=1e-9, max_iter=20_000, random_state=0)
    if theirs.penalty == "l2":  # before scikit-learn 1.8
        theirs.set_params(penalty="elasticnet")
    theirs.fit(X, y)
    assert ours.converged_
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    assert 0 < np.count_nonzero(ours.coef_ == 0)


@sets
@ratios
def test_dense_and_csr_have_the_same_coefficients(X, y, l1_ratio):
    X = np.where(np.abs(X) > 0.5, X, 0)
    dense, sparse = (fit(form, y, l1_ratio=l1_ratio, tol=1e-14) for form in (X, sp.csr_array(X)))
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-8)


@sets
def test_weight_2_is_the_row_twice(X, y):
    twice = np.arange(len(y)) % 3 == 0
    weighted = fit(X, y, 1.0 + twice)
    repeated = fit(np.vstack([X, X[twice]]), np.append(y, y[twice]))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    np.testing.assert_array_equal(weighted.coef_ == 0, repeated.coef_ == 0)


def test_a_gap_that_proves_little_is_named_and_not_called_convergence(monkeypatch):
    monkeypatch.setattr(solve, "duality_gap", lambda *_, **__: 0.25)
    with pytest.warns(ConvergenceWarning, match=r"only proven to be within 2.5e-01 of the minimum"):
        model = fit(*CANCER)
    assert not model.converged_


@pytest.mark.parametrize("solver", ["gd", "nesterov"])
@sets
def test_textbook_methods_reach_it_with_exact_zeros(X, y, solver):
    reference = fit(X, y, C=0.02)
    model = fit(X, y, C=0.02, solver=solver, tol=1e-5, max_iter=20_000)
    assert model.converged_
    np.testing.assert_allclose(model.predict_proba(X), reference.predict_proba(X), atol=0.02)
    assert (model.coef_ == 0).any()


@sets
def test_batches_come_near_it_with_exact_zeros(X, y):
    reference = fit(X, y, C=0.02)
    model = fit(X, y, C=0.02, solver="sgd", batch_size=32, tol=0.02)
    assert model.converged_
    assert model.loss_curve_[-1] <= reference.loss_curve_[-1] * 1.03
    assert (model.coef_ == 0).any()


@ratios
def test_wide_data_meets_the_conditions_of_the_minimum(l1_ratio):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 2000))
    y = (X[:, 0] - X[:, 1] + 0.5 * rng.standard_normal(80) > 0).astype(int)
    C = 5 * c_min(X, y, l1_ratio=l1_ratio)
    model = fit(X, y, C=C, l1_ratio=l1_ratio)
    W = model.coef_[0]
    slope = C * X.T @ (model.predict_proba(X)[:, 1] - y) + (1 - l1_ratio) * W
    assert model.converged_
    assert 0 < np.count_nonzero(W) < 80
    np.testing.assert_allclose(slope[W != 0], -l1_ratio * np.sign(W[W != 0]), atol=1e-3)
    assert np.abs(slope).max() <= l1_ratio * (1 + 1e-3)


def words(n=400, p=2000, seed=0):
    """Counts of words by Zipf's law, in CSR, too many for a Hessian; and labels that some of them tell."""
    rng = np.random.default_rng(seed)
    X = sp.csr_array(rng.poisson(2 / np.arange(1, p + 1) ** 0.8, (n, p)).astype(float))
    return X, (X[:, :20] @ rng.standard_normal(20) + rng.standard_normal(n) > 0).astype(int)


OF_WORDS = {
    "plain": {},
    "elastic net": {"l1_ratio": 0.5},
    "no intercept": {"fit_intercept": False},
    "weights": {"sample_weight": np.arange(400) % 3},
    "many nonzeros": {"C": 100.0},
}


@pytest.mark.parametrize("setting", OF_WORDS.values(), ids=OF_WORDS)
def test_words_meet_the_conditions_of_the_minimum(setting):
    X, y = words()
    model = fit(X, y, **{"C": 0.3} | setting)
    W, l1 = model.coef_[0], model.l1_ratio
    residual = np.broadcast_to(setting.get("sample_weight", 1), y.shape) * (model.predict_proba(X)[:, 1] - y)
    slope = model.C * X.T @ residual + (1 - l1) * W
    assert model.converged_
    assert 0 < np.count_nonzero(W) < 400
    np.testing.assert_allclose(slope[W != 0], -l1 * np.sign(W[W != 0]), atol=1e-4)
    assert np.abs(slope).max() <= l1 * (1 + 1e-4)
    assert not model.fit_intercept or abs(model.C * residual.sum()) <= 1e-4
    assert model.duality_gap_ <= 1e-6 * model.loss_curve_[-1]


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X.toarray(),
        lambda X: sp.csc_matrix(X),
        lambda X: sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape),
    ],
    ids=["dense", "csc", "int64"],
)
def test_words_have_the_same_coefficients_in_every_form(change):
    X, y = words()
    np.testing.assert_allclose(fit(change(X), y, tol=1e-14).coef_, fit(X, y, tol=1e-14).coef_, atol=1e-8)


def test_words_without_columns_at_hand_have_the_same_coefficients():
    X, y = words()
    model = GDLogisticRegression(l1_ratio=1.0, tol=1e-12, C=0.1, random_state=0)
    batches = [(X[i : i + 100], y[i : i + 100]) for i in range(0, 400, 100)]
    np.testing.assert_allclose(model.fit_batches(batches).coef_, fit(X, y).coef_, atol=1e-6)


@sets
def test_warm_start_across_C_ends_where_a_cold_one_does(X, y):
    model = GDLogisticRegression(l1_ratio=1, tol=1e-12, warm_start=True, random_state=0)
    for C in c_min(X, y) * np.logspace(0, 2, 5):
        np.testing.assert_allclose(model.set_params(C=C).fit(X, y).coef_, fit(X, y, C=C).coef_, atol=1e-5)


@pytest.mark.parametrize("C", [1, 100])
@pytest.mark.parametrize("value", [50, 3e4])
@pytest.mark.filterwarnings("error")
def test_warm_start_from_a_coefficient_far_too_large_ends_where_a_cold_one_does(value, C):
    """The rows of a rare flag are certain then, and without curvature: nothing but the penalty leads back."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((400, 5)), rng.random((400, 3)) < 0.02])
    y = (X[:, 0] + X[:, 5] + rng.standard_normal(400) > 0).astype(int)
    y[X[:, 5] == 1] = 1
    cold, warm = fit(X, y, C=C), fit(X, y, C=C, warm_start=True)
    warm.coef_[0, 5] = value
    warm.fit(X, y)
    assert warm.converged_
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 3, 4])
@pytest.mark.filterwarnings("error")
def test_certain_rows_of_several_classes_far_from_0_reach_a_proven_minimum(seed):
    """Without a centre, all that tells these rows apart is a millionth of their features."""
    X = np.random.default_rng(seed).standard_normal((6, 12)) + np.resize([0, 1e6, 1e3, 0], 12)
    model = fit(X, np.arange(6) % 3, C=1e7, fit_intercept=False, tol=1e-6)
    assert model.converged_
    assert model.duality_gap_ < 0.01 * model.loss_curve_[-1]


@sets
def test_float32_has_the_zeros_too(X, y):
    model = fit(X.astype(np.float32), y, tol=1e-6)
    assert model.coef_.dtype == np.float32
    assert (model.coef_ == 0).any()
    np.testing.assert_allclose(model.predict_proba(X), fit(X, y).predict_proba(X), atol=0.01)


SETTINGS = {
    "plain": {},
    "no intercept": {"fit_intercept": False},
    "elastic net": {"l1_ratio": 0.5},
    "class_weight": {"class_weight": "balanced"},
    "weights": {"sample_weight": "random"},
}


@sets
@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, np.float32], ids=["dense", "csr", "float32"])
def test_c_min_is_where_the_first_coefficient_appears(X, y, setting, form):
    X, setting = form(X + 1), dict(setting)  # not centred: the intercept matters
    if "sample_weight" in setting:
        setting["sample_weight"] = np.random.default_rng(0).uniform(0, 2, len(y))
    smallest = c_min(X, y, **setting)
    assert not fit(X, y, C=smallest, **setting).coef_.any()
    assert fit(X, y, C=1.001 * smallest, **setting).coef_.any()


def test_c_min_without_intercept_is_that_of_scikit_learn():
    X, y = CANCER
    theirs = l1_min_c(X, y, loss="log", fit_intercept=False)
    assert c_min(X, y, fit_intercept=False) == pytest.approx(theirs)


def test_c_min_without_signal_is_infinite():
    assert c_min(np.zeros((4, 2)), [0, 1, 0, 1]) == np.inf


@pytest.mark.parametrize("fit_intercept", ["yes", 1, None])
def test_c_min_names_a_fit_intercept_that_it_does_not_take(fit_intercept):
    with pytest.raises(ValueError, match=f"fit_intercept must be True or False; got {fit_intercept!r}"):
        c_min(*IRIS, fit_intercept=fit_intercept)


@pytest.mark.parametrize("l1_ratio", [0, 1.1, -1, np.nan, "1", True, None])
def test_c_min_names_an_l1_ratio_that_it_does_not_take(l1_ratio):
    with pytest.raises(ValueError, match="l1_ratio must be"):
        c_min(*IRIS, l1_ratio=l1_ratio)


@sets
def test_sparsify_changes_no_prediction_and_densify_undoes_it(X, y):
    model = fit(X, y)
    coef, before = model.coef_, model.predict_proba(X)
    assert sp.issparse(model.sparsify().coef_)
    assert model.coef_.nnz == np.count_nonzero(coef)
    np.testing.assert_allclose(model.predict_proba(X), before, rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(sp.csr_array(X)), before, rtol=1e-12)
    np.testing.assert_array_equal(model.densify().coef_, coef)


def test_warm_start_takes_sparse_coefficients():
    model = fit(*IRIS, warm_start=True)
    coef = model.coef_
    model.sparsify().fit(*IRIS)
    assert isinstance(model.coef_, np.ndarray)
    np.testing.assert_allclose(model.coef_, coef, atol=1e-6)


def test_partial_fit_goes_on_after_sparsify():
    X, y = CANCER
    model, same = (GDLogisticRegression().partial_fit(X[:300], y[:300], classes=[0, 1]) for _ in range(2))
    model.sparsify().partial_fit(X[300:], y[300:])
    np.testing.assert_array_equal(model.coef_, same.partial_fit(X[300:], y[300:]).coef_)


def test_coefficients_display_takes_sparse_coefficients():
    model = fit(*CANCER)
    dense = CoefficientDisplay.from_estimator(model).coef
    np.testing.assert_array_equal(CoefficientDisplay.from_estimator(model.sparsify()).coef, dense)


@sets
def test_below_c_min_all_is_zero_and_probabilities_are_the_frequencies(X, y):
    model = fit(X, y, C=0.5 * c_min(X, y))
    assert not model.coef_.any()
    np.testing.assert_allclose(model.predict_proba(X[:1])[0], np.bincount(y) / len(y), atol=1e-6)


@pytest.mark.parametrize("C", [0.1, 1.0, 100.0])
def test_few_rows_of_many_raw_features_come_to_the_minimum_in_a_few_steps(C):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 400)) * 10 ** rng.uniform(-2, 2, 400)
    y = (X[:, 0] / X[:, 0].std() + rng.standard_normal(60) > 0).astype(int)
    model = GDLogisticRegression(C=C, l1_ratio=1.0).fit(X, y)
    residuals = model.predict_proba(X)[:, 1] - y
    slope, w = C * X.T @ residuals, model.coef_[0]
    assert model.converged_
    assert model.n_iter_ < 30
    assert model.duality_gap_ < 1e-5 * model.loss_curve_[-1]
    np.testing.assert_allclose(residuals.sum() * C, 0, atol=1e-2)
    np.testing.assert_allclose(slope[w != 0], -np.sign(w[w != 0]), atol=1e-2)
    assert np.abs(slope[w == 0]).max() <= 1
