"""No descent goes on where J no longer falls."""

import numpy as np
import pytest

from gdlogit import GDLogisticRegression
from gdlogit.descent.loop import STANDSTILL_STEPS, Standstill

ROUNDING = 1e-15
BEFORE = 20  # iterations

PENALTIES = {
    "l2": {"C": 1.0},
    "weak l2": {"C": 1e8},
    "none": {"C": np.inf},
    "l1": {"C": 1.0, "l1_ratio": 1.0},
    "weak l1": {"C": 1e6, "l1_ratio": 1.0},
    "net": {"C": 10.0, "l1_ratio": 0.5},
    "bounds": {"C": 10.0, "coef_bounds": (-0.1, 0.2)},
}
SHAPES = {"tall": (300, 12), "wide": (30, 200)}


def steps_of(values, excess, falls_only):
    standstill = Standstill(values[0], falls_only)
    for value in values[1:]:
        standstill.update(value, excess, ROUNDING)
    return standstill.steps


@pytest.mark.parametrize("change", [0.0, 2 * ROUNDING, -0.01 * ROUNDING])
def test_a_J_that_does_not_fall_stands_still(change):
    values = 1 + change * np.arange(STANDSTILL_STEPS + 2)  # a line search lets J rise by its rounding
    assert steps_of(values, 1e-6, falls_only=True) == STANDSTILL_STEPS


def test_a_J_that_falls_does_not_stand_still():
    assert steps_of(1 - 2 * ROUNDING * np.arange(50), 1e-6, falls_only=True) == 0


def test_a_rise_is_a_move_for_a_method_that_rises_on_its_way():
    assert steps_of(1 + 2 * ROUNDING * np.arange(50), np.nan, falls_only=False) == 0


def drawn(shape, n_classes, collinear):
    n, p = shape
    rng = np.random.default_rng(n + n_classes)
    X = rng.standard_normal((n, p))
    if collinear:
        X[:, p // 2 :] = X[:, : p - p // 2] + 1e-4 * rng.standard_normal((n, p - p // 2))
    scores = X[:, :5] @ rng.standard_normal((5, n_classes)) + rng.gumbel(size=(n, n_classes))
    return X, np.append(np.arange(n_classes), scores.argmax(axis=1)[n_classes:])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("collinear", [False, True], ids=["independent", "collinear"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_fit_ends_at_max_iter_with_the_J_of_20_iterations_before(dtype, n_classes, penalty, shape, collinear):
    X, y = drawn(shape, n_classes, collinear)
    if "coef_bounds" in penalty and shape[1] > shape[0]:
        pytest.skip("bounds need a Hessian that is formed")
    model = GDLogisticRegression(random_state=0, max_iter=60, **penalty).fit(X.astype(dtype), y)
    J = model.loss_curve_
    if len(J) == 60:
        assert J[-1] < J[-1 - BEFORE] - 10 * np.finfo(dtype).eps * J[-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_rows_of_many_classes_and_features_arrive_at_the_minimum(dtype):
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(20), 5)
    X = (0.5 * rng.normal(size=(20, 500)))[codes] + 0.6 * rng.normal(size=(100, 500))
    model = GDLogisticRegression(random_state=0).fit(X.astype(dtype), codes)
    assert model.converged_
    assert model.n_iter_[0] < 100
    assert model.duality_gap_ <= 1e-4 * model.loss_curve_[-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_tiny_J_that_float32_does_not_resolve_ends_the_fit():
    rng = np.random.default_rng(1050)
    X, y = rng.standard_normal((30, 800)).astype(np.float32), np.arange(30) % 7
    X[:, 400:] = X[:, :400]
    model = GDLogisticRegression(C=1e6, l1_ratio=1.0, random_state=0).fit(X, y)  # J is 1e-6, a step rounds it by 1e-11
    assert model.n_iter_[0] < 200
