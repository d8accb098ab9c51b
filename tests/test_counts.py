"""fit_proba: probabilities and counts are copies of the rows with labels and weights, without the copies."""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import approx_fprime
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from variants import ByProducts

from gdlogit import GDLogisticRegression
from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.proofs import flows
from gdlogit.quadratic.metric import LocalModel
from gdlogit.soft_labels import soft_loss_of
from gdlogit.verdict import duality
from gdlogit.verdict.separation import separating_direction

TABLES = {"two": load_breast_cancer, "three": load_iris}
tables = pytest.mark.parametrize("table", TABLES)
variants = pytest.mark.parametrize("variant", [GDLogisticRegression, ByProducts])


def data(table, n_features=5):
    """Rows, and a distribution over the classes for each, of which some are labels."""
    X, y = TABLES[table](return_X_y=True)
    rng = np.random.default_rng(0)
    X = scale(X)[:, :n_features]
    X = X + rng.standard_normal(X.shape)
    Y = 0.3 * rng.dirichlet(np.ones(y.max() + 1), len(y)) + 0.7 * np.eye(y.max() + 1)[y]
    Y[::3] = np.eye(y.max() + 1)[y[::3]]
    return X, Y


def copies(X, Y, weight=None, **more):
    """The rows once for each class, its label, its weight, and what else belongs to a row."""
    n, K = Y.shape
    stack = sp.vstack if sp.issparse(X) else np.vstack
    weights = (Y if weight is None else Y * weight[:, None]).T.ravel()
    more = {name: np.concatenate([value] * K) for name, value in more.items()}
    return (stack([X] * K), np.repeat(np.arange(K), n), weights), more


def model(variant=GDLogisticRegression, **parameters):
    return variant(**{"tol": 1e-13, "random_state": 0} | parameters)


def same(ours, theirs, rtol=1e-5):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=rtol, atol=rtol * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol)


@tables
@variants
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "how",
    [{}, {"C": np.inf}, {"l1_ratio": 1.0, "C": 0.1}, {"fit_intercept": False}, {"penalty_factor": {0: 0.0}}],
    ids=str,
)
def test_distributions_are_copies_of_rows(table, variant, form, how):
    X, Y = data(table)
    ours = model(variant, **how).fit_proba(form(X), Y)
    (copied, labels, weights), _ = copies(form(X), Y)
    same(ours, model(variant, **how).fit(copied, labels, weights))
    assert ours.converged_
    assert ours.classes_.tolist() == [*range(Y.shape[1])]
    if how.get("C") != np.inf:
        assert ours.duality_gap_ < 1e-6


@tables
def test_weights_offsets_and_class_weights_go_with_the_copies(table):
    X, Y = data(table)
    rng = np.random.default_rng(1)
    weight, offset = rng.integers(0, 3, len(X)).astype(float), rng.standard_normal((len(X), 3))
    offset = offset[:, 0] if table == "two" else offset
    (copied, labels, weights), more = copies(X, Y, weight, offset=offset)
    for class_weight in (None, {0: 3.0}, "balanced"):
        ours = model(class_weight=class_weight).fit_proba(X, Y, weight, offset=offset)
        same(ours, model(class_weight=class_weight).fit(copied, labels, weights, **more))
        assert ours.has_offset_


@tables
def test_counts_are_rows_by_the_dozen(table):
    X, Y = data(table)
    counts = np.random.default_rng(2).poisson(3 * Y)
    assert not counts.sum(axis=1).all()  # a row without any counts for nothing
    (copied, labels, weights), _ = copies(X, counts)
    same(model(C=0.5).fit_proba(X, counts), model(C=0.5).fit(copied, labels, weights))


@tables
@variants
def test_labels_as_distributions_are_labels(table, variant):
    X, Y = data(table)
    y = Y.argmax(axis=1)
    same(model(variant).fit_proba(X, np.eye(Y.shape[1])[y]), model(variant).fit(X, y))


@tables
def test_the_columns_of_the_classes_may_come_in_any_order(table):
    X, Y = data(table)
    names = np.array(["b", "a", "c"])[: Y.shape[1]]
    ours = model().fit_proba(X, Y, classes=names)
    assert ours.classes_.tolist() == sorted(names)
    same(ours, model().fit_proba(X, Y[:, np.argsort(names)]))


@tables
@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
def test_the_textbooks_solvers_take_distributions(table, solver):
    X, Y = data(table)
    textbook = model(solver=solver, C=0.05, max_iter=20_000, batch_size=len(X), tol=1e-9)
    same(textbook.fit_proba(X, Y), model(C=0.05).fit_proba(X, Y), rtol=1e-3)


@tables
def test_a_model_learns_another_models_probabilities(table):
    X, Y = data(table)
    teacher = model().fit(X, Y.argmax(axis=1))
    student = model(C=np.inf).fit_proba(X, teacher.predict_proba(X))
    same(student, teacher)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_loss_and_gradient_are_those_of_the_mixture_and_of_finite_differences(k):
    rng = np.random.default_rng(0)
    q = rng.dirichlet(np.ones(k), 20)
    q[:5] = np.eye(k)[np.arange(5) % k]
    z = 5 * rng.standard_normal((20, 1 if k == 2 else k))
    soft, hard = soft_loss_of(k), loss_of(k)
    y = q[:, 1] if k == 2 else q
    loss, dz = soft.forward_backward(z, y)
    mixed = [hard.forward_backward(z, np.full(20, c)) for c in range(k)]
    np.testing.assert_allclose(loss, sum(q[:, c] * mixed[c][0] for c in range(k)), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dz, sum(q[:, c, None] * mixed[c][1] for c in range(k)), rtol=1e-12, atol=1e-14)
    slope = approx_fprime(z.ravel(), lambda flat: soft.forward_backward(flat.reshape(z.shape), y)[0].sum(), 1e-6)
    np.testing.assert_allclose(dz.ravel(), slope, atol=1e-5)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("size", [1e3, 1e300])
def test_a_label_that_is_certain_has_no_loss_and_no_nan(k, size):
    z = size * np.eye(k)[:, : None if k > 2 else 1][[0, 1]] if k > 2 else np.array([[-size], [size]])
    y = np.array([0.0, 1.0]) if k == 2 else np.eye(k)[[0, 1]]
    loss, dz = soft_loss_of(k).forward_backward(z, y)
    np.testing.assert_array_equal(loss, 0)
    np.testing.assert_array_equal(np.abs(dz), 0)


@tables
def test_the_shrunk_bound_is_that_of_the_copies(table):
    X, Y = data(table)
    K = Y.shape[1]
    soft = Objective(rows_of(X, Y[:, 1] if K == 2 else Y, np.ones(len(Y))), soft_loss_of(K), ElasticNet(0.01))
    (copied, labels, weights), _ = copies(X, Y)
    hard = Objective(rows_of(copied, labels, weights), loss_of(K), ElasticNet(0.01))
    theta = np.random.default_rng(0).standard_normal(soft.shape)
    np.testing.assert_allclose(flows(soft, theta), flows(hard, theta), atol=1e-10)
    bounds = [duality.shrunk_bound(objective, objective.at(theta)) for objective in (soft, hard)]
    assert bounds[0] == pytest.approx(bounds[1])


@variants
@tables
def test_distributions_that_separate_the_classes_are_named(variant, table):
    X, Y = data(table)
    flag = np.arange(len(X)) < 20
    Y[flag] = np.eye(Y.shape[1])[1]
    X[:, 2] = flag
    with pytest.warns(ConvergenceWarning, match="separable.*feature 2"):
        model(variant, C=np.inf, tol=1e-8).fit_proba(X, Y)


def test_rows_with_several_labels_separate_nothing_that_tells_these_apart():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    Y = np.full((60, 2), 0.5)
    Y[:30] = np.eye(2)[(X[:30, 0] > 0).astype(int)]
    X[30:, 0] = 0.0
    objective = Objective(rows_of(X, Y[:, 1], np.ones(60)), soft_loss_of(2), ElasticNet(0.0))
    point = objective.at(np.array([[30.0], [0.0], [0.0]]))
    direction = separating_direction(LocalModel(objective, point))
    assert direction[0] > 0
    np.testing.assert_allclose(direction[1:], 0, atol=1e-9)


@pytest.mark.parametrize(
    ("Y", "classes", "message"),
    [
        (np.ones(150), None, r"Y must have shape \(n, n_classes\).*got shape \(150,\)"),
        (np.ones((150, 1)), None, r"Y must have shape \(n, n_classes\)"),
        (np.ones((149, 2)), None, "Y must have a row for each of the 150 rows of X; got 149"),
        (-np.ones((150, 2)), None, r"Y must not be negative; its smallest is -1\.0"),
        (np.full((150, 2), np.nan), None, "Y contains NaN"),
        (
            np.eye(3)[np.zeros(150, int)],
            None,
            re.escape("Y must be positive for each class in a row with a positive weight; got only 0 for [1, 2]"),
        ),
        (np.ones((150, 2)), ["a"], "classes must have 2 different labels, one for each column of Y"),
        (np.ones((150, 2)), ["a", "a"], "classes must have 2 different labels, one for each column of Y"),
    ],
)
def test_counts_that_are_none_are_named_and_change_nothing(Y, classes, message):
    X, y = load_iris(return_X_y=True)
    fitted = GDLogisticRegression().fit(X, y)
    before = fitted.coef_
    with pytest.raises(ValueError, match=message):
        fitted.fit_proba(X, Y, classes=classes)
    assert fitted.coef_ is before


def test_early_stopping_is_refused_by_name():
    X, Y = data("two")
    with pytest.raises(ValueError, match="early_stopping=True is not supported by fit_proba"):
        GDLogisticRegression(early_stopping=True).fit_proba(X, Y)
