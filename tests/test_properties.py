"""What must hold of any fit, at the edges of what can be asked for: draws of ``strategies``, judged by ``exact``.

Where a relation must hold between two fits, their J is compared, not their coefficients: those need not be determined.
Rounding is allowed for as ``Exact.rounding`` derives it: each product in the scores and each coefficient is off by eps.
"""

import copy
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from exact import Exact
from hypothesis import assume, given
from hypothesis import strategies as st
from mpmath import mp
from sklearn.exceptions import ConvergenceWarning
from strategies import problems

from gdlogit import GDLogisticRegression

DOCUMENTED = (
    "after max_iter=",
    "no step lowers it",
    "is only proven to be within",
    "The classes are separable",
    "diverges",
    "has not come below its start",
)
ROUNDINGS = 16  # of each product and coefficient
extended = pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="longdouble is no more than float64 here")


def fit(problem, **parameters):
    """The fitted model; it may warn once, as documented, and then not claim convergence."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = GDLogisticRegression(**problem.parameters | parameters).fit(*problem.data)
    assert len(told) <= 1
    for warning in told:
        assert warning.category is ConvergenceWarning
        assert any(words in str(warning.message) for words in DOCUMENTED)
        assert not model.converged_
    return model


def coefficients(model):
    return np.vstack([model.coef_.T, model.intercept_])


def allowance(problem, theta):
    """What rounding may do to J at theta, or to an estimate of it."""
    return ROUNDINGS * problem.exact.rounding(theta, np.finfo(problem.X.dtype).eps)


def assert_true(problem, **parameters):
    """A fit is finite, and neither its gap nor its claim to have converged says more than is so."""
    model = fit(problem, **parameters)
    attributes = model.coef_, model.intercept_, model.loss_curve_
    for values in (*attributes, model.predict_proba(problem.X), model.predict_log_proba(problem.X)):
        assert np.isfinite(values).all()
    assert model.coef_.dtype == problem.X.dtype
    theta, (lowest, minimum) = coefficients(model), problem.exact.minimum()
    excess, rounding = problem.exact.value(theta) - lowest, allowance(problem, theta)
    residuals = (
        ROUNDINGS * np.finfo(problem.X.dtype).eps * np.abs(theta - minimum)[-1].sum()
    )  # add up to 0 but for this
    assert excess <= model.duality_gap_ + rounding + residuals
    assert np.isinf(model.duality_gap_) == np.isinf(problem.parameters["C"])
    if model.converged_:
        assert excess <= max(model.tol_, 10 * np.finfo(problem.X.dtype).eps) + rounding


# --- The oracle ------------------------------------------------------------------------------------------


@extended
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_exact_is_j_by_its_definition_and_its_minimum_cannot_be_lowered(n_classes, l1_ratio):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((8, 3)) * [1, 1e100, 1e-100], np.arange(8) % n_classes
    weight = rng.uniform(0, 2, 8)
    exact = Exact.of(X, y, weight, n_classes, 0.5, l1_ratio)
    lowest, theta = exact.minimum()
    with mp.workdps(40):
        total, J = sum(map(mp.mpf, weight)), mp.mpf(0)
        W = [[mp.mpf(float(w)) for w in row] for row in theta.astype(float)]
        for x, code, s in zip(X, y, weight, strict=True):
            z = [sum((mp.mpf(a) * w[c] for a, w in zip(x, W, strict=False)), W[-1][c]) for c in range(len(W[0]))]
            z = [mp.mpf(0), *z] if n_classes == 2 else z
            J += s * (mp.log(sum(map(mp.exp, z))) - z[code]) / total
        for w in (w for row in W[:-1] for w in row):
            J += (mp.mpf(1 - l1_ratio) / 2 * w**2 + l1_ratio * abs(w)) / (mp.mpf(0.5) * total)
        assert abs(J - mp.mpf(str(exact.value(theta.astype(float))))) < 1e-17
    for size in (1e-8, 1e-4, 1):
        for _ in range(10):
            moved = theta * (1 + size * rng.standard_normal(theta.shape))
            assert exact.value(moved) >= lowest - 1e-18


# --- What a fit says -------------------------------------------------------------------------------------


@extended
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data())
def test_a_fit_is_finite_and_tells_the_truth(dtype, data):
    assert_true(data.draw(problems(reach=3, dtypes=(dtype,))))


@extended
@given(problem=problems(reach=140, max_rows=8, max_features=4, dtypes=(np.float64,), largest_weight=1e3))
def test_a_fit_on_scales_of_hundreds_of_orders_tells_the_truth(problem):
    assert_true(problem)


@extended
@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@given(data=st.data())
def test_a_textbook_method_tells_the_truth(solver, data):
    assert_true(data.draw(problems(reach=0, max_rows=8, max_features=4, solvers=(solver,))), max_iter=20)


@pytest.mark.parametrize("n", [2, 100_001])
@given(C=st.sampled_from([1e-12, 1e-3, 1.0, 1e12]), l1_ratio=st.sampled_from([0.0, 1.0]), weighted=st.booleans())
def test_one_row_against_a_hundred_thousand(n, C, l1_ratio, weighted):
    y = np.arange(n) == 0
    X = np.c_[np.where(y, 1.0, np.arange(n) % 7), np.ones(n)]
    weight = np.where(y, 1.0, 1e5) if n == 2 else np.ones(n)
    model = GDLogisticRegression(C=C, l1_ratio=l1_ratio, random_state=0).fit(X, y, weight if weighted else None)
    assert model.converged_
    assert model.duality_gap_ <= 1e-7  # with l1 and C = 1e12 it is from 1e-17 to 8e-8, by the sample
    share = np.average(y, weights=weight if weighted else None)
    np.testing.assert_allclose(
        np.average(model.predict_proba(X)[:, 1], weights=weight if weighted else None), share, rtol=1e-2
    )


# --- Relations -------------------------------------------------------------------------------------------


def weights_are_counts(problem, rng):
    index = np.repeat(np.arange(len(problem.y)), problem.weights.astype(int))
    return problem._replace(X=problem.X[index], y=problem.y[index], weight=None), lambda theta: theta


def rows_in_another_order(problem, rng):
    order = rng.permutation(len(problem.y))
    weight = problem.weights[order]
    return problem._replace(X=problem.X[order], y=problem.y[order], weight=weight), lambda theta: theta


def features_in_another_order(problem, rng):
    order = rng.permutation(problem.X.shape[1])
    return problem._replace(X=problem.X[:, order]), lambda theta: theta[np.append(np.argsort(order), -1)]


def classes_in_another_order(problem, rng):
    k = len(problem.labels)
    other = problem._replace(y=k - 1 - problem.y)
    return other, (lambda theta: -theta) if k == 2 else (lambda theta: theta[:, ::-1])


def the_other_form(problem, rng):
    return problem._replace(sparse=not problem.sparse), lambda theta: theta


def other_units(problem, rng):
    scale = 2.0 ** rng.integers(-60, 60, problem.X.shape[1])
    return problem._replace(X=problem.X * scale), lambda theta: theta * np.append(scale, 1)[:, None]


def other_origins(problem, rng):
    shift = rng.integers(-8, 8, problem.X.shape[1]).astype(float)
    return problem._replace(X=problem.X + shift), lambda theta: np.vstack([theta[:-1], theta[-1] + shift @ theta[:-1]])


RELATIONS = {
    "a weight is how often a row is there": (weights_are_counts, {}),
    "rows in another order": (rows_in_another_order, {}),
    "features in another order": (features_in_another_order, {}),
    "classes in another order": (classes_in_another_order, {}),
    "dense or CSR": (the_other_form, {}),
    "features in other units": (other_units, {"C": np.inf, "l1_ratio": 0.0}),
    "features from other origins": (other_origins, {"fit_intercept": True}),
}


@extended
@pytest.mark.parametrize(("relation", "parameters"), RELATIONS.values(), ids=RELATIONS)
@given(data=st.data())
def test_a_relation_holds(relation, parameters, data):
    problem = data.draw(problems(reach=1, max_rows=10, max_features=4, dtypes=(np.float64,), largest_weight=0))
    problem = problem._replace(parameters=problem.parameters | {"tol": 1e-12} | parameters)
    other, back = relation(problem, np.random.default_rng(0))
    ours, theirs = fit(problem), fit(other)
    assume(ours.converged_ and theirs.converged_)
    value = problem.exact.value
    theta, mapped = coefficients(ours), back(coefficients(theirs))
    rounding = allowance(problem, theta) + allowance(problem, mapped)
    assert abs(value(theta) - value(mapped)) <= 2e-12 + rounding


# --- Bad input -------------------------------------------------------------------------------------------

BAD = {
    "solver": st.none() | st.text() | st.integers(),
    "C": st.none() | st.text() | st.floats(max_value=0) | st.just(np.nan) | st.booleans(),
    "l1_ratio": st.none()
    | st.text()
    | st.floats(max_value=0, exclude_max=True)
    | st.floats(min_value=1, exclude_min=True),
    "max_iter": st.none() | st.text() | st.integers(max_value=0) | st.floats(),
    "tol": st.none() | st.text() | st.floats(max_value=0, exclude_max=True) | st.sampled_from([np.inf, np.nan]),
    "learning_rate": st.none() | st.text() | st.floats(max_value=0) | st.sampled_from([np.inf, np.nan]),
    "batch_size": st.none() | st.text() | st.integers(max_value=0) | st.floats(),
}


@pytest.mark.parametrize("name", BAD)
@given(data=st.data())
def test_a_bad_parameter_is_named_and_the_estimator_stays_as_it_was(name, data):
    bad = data.draw(BAD[name])
    assume(bad not in ("auto", "newton-sketch", "gd", "nesterov", "sgd"))
    X, y = [[0.0], [1.0], [2.0]], [0, 1, 0]
    model = GDLogisticRegression(random_state=0).fit(X, y).set_params(**{name: bad})
    before = copy.copy(vars(model))
    with pytest.raises((ValueError, TypeError), match=name):
        model.fit(X, y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is before[key] for key in before)


@given(problem=problems(reach=3), data=st.data())
def test_bad_data_are_refused_and_nothing_is_written(problem, data):
    X, labels, weight = problem.X.copy(), problem.labels[problem.y], problem.weights.copy()
    row = data.draw(st.integers(0, len(X) - 1))
    match data.draw(st.sampled_from(["X", "weight", "rows", "one class"])):
        case "X":
            X[row, data.draw(st.integers(0, X.shape[1] - 1))] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
            named = "X contains"
        case "weight":
            weight[row] = data.draw(st.sampled_from([np.nan, np.inf, -1e-300, -1.0]))
            named = "sample_weight"
        case "rows":
            weight, named = weight[1:], "inconsistent numbers of samples"
        case "one class":
            labels, named = np.repeat(labels[:1], len(X)), "y must hold at least two classes"
    model = GDLogisticRegression()
    given = sp.csr_array(X) if problem.sparse else X
    copies = copy.deepcopy((X, labels, weight))
    with pytest.raises((ValueError, TypeError), match=named):
        model.fit(given, labels, weight)
    assert vars(model).keys() == model.get_params().keys()
    for array, before in zip((X, labels, weight), copies, strict=True):
        np.testing.assert_array_equal(array, before)
