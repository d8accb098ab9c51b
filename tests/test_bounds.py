"""Bounds of the coefficients: SciPy's L-BFGS-B on the objective written anew, and relations that must hold."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import Bounds, minimize
from scipy.special import expit, logsumexp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from variants import ByProducts

from gdlogit import GDLogisticRegression

TABLES = {"two": load_breast_cancer, "three": load_iris}
tables = pytest.mark.parametrize("table", TABLES)
ratios = pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
NAMES = ["age", "lwt", "smoke", "ptl"]


def data(table, n_features=8, noise=1.0):
    X, y = TABLES[table](return_X_y=True)
    X = scale(X)[:, :n_features]
    return X + noise * np.random.default_rng(0).standard_normal(X.shape), y


def fit(X, y, **parameters):
    return GDLogisticRegression(**{"tol": 1e-13, "random_state": 0} | parameters).fit(X, y)


def hard(free):
    """Bounds that half of the coefficients of a model are outside of."""
    coef, some = free.coef_, np.arange(free.coef_.size).reshape(free.coef_.shape) % 2 == 0
    low = np.where(some & (coef < 0), 0.0, np.where(coef > 0, -1.0, -np.inf))
    high = np.where(some & (coef > 0), 0.0, np.where(coef < 0, 2.0, np.inf))
    return low, high


def theirs(X, y, low, high, C, l1_ratio):
    """J at its minimum by L-BFGS-B, W split into its parts above and below 0."""
    n, p = X.shape
    k = len(low)
    Y = np.eye(max(2, k))[y]

    def value(flat):
        parts, b = flat[: 2 * p * k].reshape(2, k, p), flat[2 * p * k :]
        W = parts[0] - parts[1]
        z = X @ W.T + b
        z = np.hstack([np.zeros((n, 1)), z]) if k == 1 else z
        log = logsumexp(z, axis=1, keepdims=True)
        dz = (np.exp(z - log) - Y)[:, -k:] / n
        smooth = (1 - l1_ratio) / (C * n)
        value = (log[:, 0] - (z * Y).sum(axis=1)).mean() + smooth * (W**2).sum() / 2 + l1_ratio / (C * n) * parts.sum()
        slope = dz.T @ X + smooth * W
        return value, np.concatenate(
            [(slope + l1_ratio / (C * n)).ravel(), (-slope + l1_ratio / (C * n)).ravel(), dz.sum(axis=0)]
        )

    above = zip(np.maximum(low, 0).ravel(), np.maximum(high, 0).ravel(), strict=True)
    below = zip(np.maximum(-high, 0).ravel(), np.maximum(-low, 0).ravel(), strict=True)
    bounds = [(a, None if np.isinf(b) else b) for a, b in [*above, *below]] + [(None, None)] * k
    how = {"maxiter": 50_000, "maxfun": 100_000, "ftol": 1e-16, "gtol": 1e-10}
    return minimize(value, np.zeros(len(bounds)), jac=True, method="L-BFGS-B", bounds=bounds, options=how).fun


@tables
@ratios
@pytest.mark.parametrize("C", [0.05, 10.0])
def test_the_minimum_is_that_of_scipy(table, l1_ratio, C):
    X, y = data(table)
    low, high = hard(fit(X, y, C=C))
    model = fit(X, y, C=C, l1_ratio=l1_ratio, coef_bounds=(low, high))
    assert (low <= model.coef_).all()
    assert (model.coef_ <= high).all()
    assert model.loss_curve_[-1] == pytest.approx(theirs(X, y, low, high, C, l1_ratio), abs=1e-8)
    assert model.converged_
    assert model.duality_gap_ < 1e-6


@tables
@ratios
def test_a_gap_holds_at_any_coefficients(table, l1_ratio):
    X, y = data(table)
    how = {"C": 1.0, "l1_ratio": l1_ratio, "coef_bounds": hard(fit(X, y, C=1.0))}
    least = fit(X, y, **how).loss_curve_[-1]
    for max_iter in (1, 3, 10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            early = GDLogisticRegression(solver="gd", max_iter=max_iter, **how).fit(X, y)
        assert early.duality_gap_ >= early.loss_curve_[-1] - least - 1e-12


@tables
@ratios
def test_bounds_that_are_not_met_change_nothing(table, l1_ratio):
    X, y = data(table)
    free, bound = fit(X, y, l1_ratio=l1_ratio), fit(X, y, l1_ratio=l1_ratio, coef_bounds=(-100, 100))
    np.testing.assert_allclose(bound.coef_, free.coef_, atol=1e-5)
    np.testing.assert_allclose(bound.intercept_, free.intercept_, atol=1e-5)
    assert bound.n_iter_ <= free.n_iter_ + 2


@pytest.mark.parametrize(("C", "l1_ratio"), [(1.0, 1.0), (np.inf, 0.0)])
@pytest.mark.parametrize("bounds", [(-0.3, 0.4), (0.0, np.inf)])
def test_a_shift_of_a_features_coefficients_has_no_curvature_that_would_slow_newtons_method(C, l1_ratio, bounds):
    """A kink or a bound ends such a shift. The steps must go to where that is, as fast as any step of Newton's."""
    X, y = data("three")
    model = fit(X, y, C=C, l1_ratio=l1_ratio, coef_bounds=bounds)
    assert model.n_iter_ <= 10
    assert model.converged_
    assert model.duality_gap_ < 1e-9


@pytest.mark.parametrize("seed", [0, 2])
def test_a_weak_l1_penalty_within_tight_bounds_takes_few_iterations(seed):
    """Most coefficients of a step meet a bound or a zero, and the minimum of the model is far from the step."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((1500, 40)) @ (np.eye(40) + 0.08 * rng.standard_normal((40, 40)))
    y = (X @ rng.standard_normal((40, 5)) / 3 + rng.gumbel(size=(1500, 5))).argmax(axis=1)
    model = GDLogisticRegression(C=100, l1_ratio=1, coef_bounds=(-0.2, 0.3), random_state=0).fit(X, y)
    low, high = np.full((5, 40), -0.2), np.full((5, 40), 0.3)
    assert model.loss_curve_[-1] < theirs(X, y, low, high, 100, 1) + 1e-8  # L-BFGS-B may end above the minimum
    assert model.duality_gap_ < 1e-7
    assert model.n_iter_ <= 15
    assert model.converged_


@tables
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
def test_the_textbooks_solvers_stay_within_the_bounds(table, l1_ratio, solver):
    X, y = data(table)
    low, high = hard(fit(X, y, C=0.05))
    how = {"C": 0.05, "l1_ratio": l1_ratio, "coef_bounds": (low, high)}
    model = fit(X, y, **how, solver=solver, max_iter=20_000, batch_size=len(X), tol=1e-9)
    assert (low <= model.coef_).all()
    assert (model.coef_ <= high).all()
    np.testing.assert_allclose(model.coef_, fit(X, y, **how).coef_, atol=2e-3)
    assert model.converged_


@tables
def test_every_form_of_the_rows_has_the_same_minimum(table):
    X, y = data(table)
    X = np.where(np.abs(X) > 1, X, 0)
    how = {"coef_bounds": (-0.2, 0.3), "C": 0.5}
    model = fit(X, y, **how)
    np.testing.assert_allclose(fit(sp.csr_array(X), y, **how).coef_, model.coef_, atol=1e-6)
    batches = [(X[start : start + 40], y[start : start + 40]) for start in range(0, len(y), 40)]
    other = GDLogisticRegression(tol=1e-13, random_state=0, **how).fit_batches(batches)
    np.testing.assert_allclose(other.coef_, model.coef_, atol=1e-6)
    counted = GDLogisticRegression(tol=1e-13, random_state=0, **how).fit_proba(X, np.eye(y.max() + 1)[y])
    np.testing.assert_allclose(counted.coef_, model.coef_, atol=1e-6)
    assert np.isclose(np.abs(model.coef_), [[0.2]]).any()


def test_many_rows_on_raw_scales_take_few_passes():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((40_000, 10))
    X, y = Z * np.logspace(-3, 3, 10), (Z @ rng.standard_normal(10) + rng.logistic(size=len(Z)) > 0).astype(int)
    low, high = hard(fit(X, y, C=np.inf))
    model = fit(X, y, C=np.inf, coef_bounds=(low, high), tol=1e-10)
    slopes = X.T @ (model.predict_proba(X)[:, 1] - y) / len(y) / np.logspace(-3, 3, 10)
    w = model.coef_[0]
    assert np.abs(slopes[(low[0] < w) & (w < high[0])]).max() < 1e-4
    assert (slopes[w == low[0]] > -1e-4).all()
    assert (slopes[w == high[0]] < 1e-4).all()
    assert model.history_["passes"][-1] < 30


def test_signs_are_bounds_of_zero_and_names_may_come_in_any_order():
    X, y = data("two", 4)
    frame = pd.DataFrame(X, columns=NAMES)
    expected = fit(X, y, coef_bounds=([0, -np.inf, -np.inf, -0.1], [np.inf, 0, np.inf, 0.1]))
    for how in (
        {"monotonic_cst": {"lwt": -1, "age": 1}, "coef_bounds": {"ptl": (-0.1, 0.1)}},
        {"monotonic_cst": [1, -1, 0, 0], "coef_bounds": {3: (-0.1, 0.1)}},
        {"coef_bounds": {"ptl": (-0.1, 0.1), "lwt": (-np.inf, 0), "age": (0, np.inf)}},
    ):
        np.testing.assert_allclose(fit(frame, y, **how).coef_, expected.coef_, atol=1e-7)


def test_bounds_that_exclude_zero_are_met_from_the_first_step():
    X, y = data("two", 4)
    model = GDLogisticRegression(coef_bounds=(0.5, 0.5), max_iter=0)
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    np.testing.assert_array_equal(model.coef_, 0.5)
    model = fit(X, y, coef_bounds=([0.5, 1, -9, -9], [0.5, 2, 9, 9]))
    assert model.coef_[0, 0] == 0.5
    offset = 0.5 * X[:, 0]
    other = GDLogisticRegression(tol=1e-13, random_state=0, coef_bounds={0: (1, 2)}).fit(X[:, 1:], y, offset=offset)
    np.testing.assert_allclose(model.coef_[:, 1:], other.coef_, atol=1e-6)


def test_a_warm_start_begins_within_the_bounds():
    X, y = data("two")
    model = fit(X, y, warm_start=True).set_params(coef_bounds=(-0.1, 0.1)).fit(X, y)
    np.testing.assert_allclose(model.coef_, fit(X, y, coef_bounds=(-0.1, 0.1)).coef_, atol=1e-6)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_flag_separates_the_classes_only_where_its_bounds_are_open(sign):
    X, y = data("two", 4)
    X[:, 2] = sign * (y == 1) * (np.arange(len(y)) % 3 == 0)
    with pytest.warns(ConvergenceWarning, match="separable.*feature 2.*coef_bounds"):
        GDLogisticRegression(C=np.inf, random_state=0, monotonic_cst=[0, 0, sign, 0]).fit(X, y)
    assert fit(X, y, C=np.inf, monotonic_cst=[0, 0, -sign, 0], tol=1e-8).coef_[0, 2] == 0
    assert abs(fit(X, y, C=np.inf, coef_bounds={2: (-3, 3)}, tol=1e-8).coef_[0, 2]) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"coef_bounds": 3.0}, r"coef_bounds must be \(low, high\)"),
        ({"coef_bounds": (1, 0)}, r"coef_bounds must have low <= high; they are 1\.0 and 0\.0 for feature 'age'"),
        ({"coef_bounds": (np.nan, 0)}, "coef_bounds must have low <= high; they are nan"),
        ({"coef_bounds": ([0, 0], 1)}, r"of shape \(4,\) or \(1, 4\); got shape \(2,\)"),
        ({"coef_bounds": ("a", 1)}, r"coef_bounds must be \(low, high\).*got 'a'"),
        ({"coef_bounds": {"weight": (0, 1)}}, "coef_bounds must name features of X; got 'weight'"),
        ({"coef_bounds": {"lwt": 1}}, r"coef_bounds must be \(low, high\).*got 1"),
        ({"monotonic_cst": [1, 0, 0]}, "monotonic_cst must have one number for each of the 4 features"),
        ({"monotonic_cst": {"lwt": 2}}, r"monotonic_cst must be -1, 0 or 1; it is 2\.0 for feature 'lwt'"),
        ({"coef_bounds": (1, 2), "penalty_factor": {"lwt": np.inf}}, "penalty_factor leaves out feature 'lwt'"),
    ],
)
def test_bounds_that_are_none_are_named_and_change_nothing(parameters, message):
    X, y = data("two", 4)
    frame = pd.DataFrame(X, columns=NAMES)
    model = GDLogisticRegression().fit(frame, y)
    before = model.coef_
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(frame, y)
    assert model.coef_ is before


def test_what_knows_no_bounds_refuses_them_by_name():
    X, y = data("two", 4)
    three = np.arange(len(y)) % 3
    with pytest.raises(ValueError, match="monotonic_cst needs two classes"):
        GDLogisticRegression(monotonic_cst=[1, 0, 0, 0]).fit(X, three)
    for name, value in (("coef_bounds", (0, 1)), ("monotonic_cst", [1, 0, 0, 0])):
        with pytest.raises(AttributeError) as caught:
            GDLogisticRegression(**{name: value}).partial_fit(X, y, classes=[0, 1])
        assert f"{name} is not supported by partial_fit" in str(caught.value.__cause__)


@tables
def test_inference_refuses_coefficients_at_a_bound_by_name_and_takes_bounds_that_are_not_met(table):
    X, y = data(table, 4)
    frame = pd.DataFrame(X, columns=NAMES)
    free = fit(frame, y, C=np.inf)
    beyond = {NAMES[0]: (-100, free.coef_[:, 0].max() - 0.01), NAMES[2]: (free.coef_[:, 2].min() + 0.01, 100)}
    held = fit(frame, y, C=np.inf, coef_bounds=beyond | {NAMES[1]: (-100, 100)})
    with pytest.raises(ValueError, match="hold coefficients of 'age', 'smoke' at a bound"):
        held.inference(frame, y)
    ours, theirs = fit(frame, y, C=np.inf, coef_bounds=(-100, 100)).inference(frame, y), free.inference(frame, y)
    np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-6)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-6)


def test_inference_refuses_a_sign_that_holds_a_coefficient_at_zero():
    X, y = data("two", 4)
    signs = np.sign(fit(X, y, C=np.inf).coef_[0])
    assert fit(X, y, C=np.inf, monotonic_cst=signs).inference(X, y).bse.all()
    signs[2] *= -1
    with pytest.raises(ValueError, match="hold coefficients of 2 at a bound"):
        fit(X, y, C=np.inf, monotonic_cst=signs).inference(X, y)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_class_without_a_weight_has_coefficients_within_the_bounds(fit_intercept):
    X, y = load_iris(return_X_y=True)
    bounds = {0: (0.3, 0.6), 2: (-2.0, -1.0)}
    model = GDLogisticRegression(coef_bounds=bounds, fit_intercept=fit_intercept).fit(X, y, (y != 2).astype(float))
    for feature, (low, high) in bounds.items():
        assert ((low <= model.coef_[:, feature]) & (model.coef_[:, feature] <= high)).all()
    if fit_intercept:
        assert model.coef_[2].tolist() == [0.3, 0, -1, 0]
        assert not model.predict_proba(X)[:, 2].any()


def test_the_minimum_is_that_of_trust_constr():
    X, y = data("two")
    n, p = X.shape
    model = fit(X, y, coef_bounds=hard(fit(X, y)))
    low, high = (np.append(side, np.inf * sign) for side, sign in zip(hard(fit(X, y)), (-1, 1), strict=True))

    def value(theta):
        z = X @ theta[:-1] + theta[-1]
        dz = (expit(z) - y) / n
        slope = np.append(X.T @ dz + theta[:-1] / n, dz.sum())
        return (np.logaddexp(0, z) - y * z).mean() + theta[:-1] @ theta[:-1] / (2 * n), slope

    how = {"gtol": 1e-12, "xtol": 1e-14, "barrier_tol": 1e-14, "maxiter": 5000}
    bounds = Bounds(low, high)
    found = minimize(value, np.zeros(p + 1), jac=True, method="trust-constr", bounds=bounds, options=how)
    np.testing.assert_allclose(np.append(model.coef_, model.intercept_), found.x, atol=1e-6)


@tables
@ratios
def test_the_minimum_without_a_hessian_is_that_with_one_on_any_scale_of_the_features(table, l1_ratio):
    X, y = data(table)
    low, high = hard(fit(X, y, C=0.1))
    unit = 10.0 ** np.linspace(-4, 4, X.shape[1])
    X, how = X / unit + unit, {"C": 0.1, "l1_ratio": l1_ratio, "coef_bounds": (low * unit, high * unit)}
    if l1_ratio in (0, 1):  # the penalty of the features in their former units
        how["penalty_factor"] = unit ** (l1_ratio - 2)
    model = ByProducts(max_iter=20_000, **how).fit(X, y)
    J = fit(X, y, **how).loss_curve_[-1]
    assert (model.converged_, model.tol_) == (True, 1e-6)
    assert (low * unit <= model.coef_).all()
    assert (model.coef_ <= high * unit).all()
    assert model.loss_curve_[-1] <= J * (1 + 1e-6)


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_bounds_with_more_features_than_rows_are_met_at_the_minimum(C):
    rng = np.random.default_rng(0)
    X = sp.csr_array(rng.standard_normal((100, 1600)) * (rng.random((100, 1600)) < 0.1))
    y = (X[:, [0]].toarray()[:, 0] + rng.standard_normal(100) > 0).astype(int)
    model = GDLogisticRegression(C=C, monotonic_cst=np.ones(1600)).fit(X, y)  # without a warning
    assert model.converged_
    assert (model.coef_ >= 0).all()
    assert (model.coef_ == 0).any()
    assert model.duality_gap_ <= 1e-6 * model.loss_curve_[-1]


def test_more_parameters_than_a_hessian_is_formed_of_are_at_the_minimum_where_that_is_proven():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 1600))
    y = (X[:, 0] + rng.standard_normal(200) > 0).astype(int)
    model = GDLogisticRegression(solver="nesterov", coef_bounds=(0, 0.1)).fit(X, y)  # without a warning
    assert model.converged_
    assert model.duality_gap_ <= 1e-8 * model.loss_curve_[-1]
