"""Separated classes are named where there are any, and nowhere else: a linear programme over all rows is the judge."""

import re
import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from variants import with_settings

from gdlogit import GDLogisticRegression
from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.objective import Objective, Point
from gdlogit.penalty import ElasticNet
from gdlogit.proofs import margin_changes
from gdlogit.quadratic.metric import LocalModel
from gdlogit.verdict import separation


def judged(X, y, weight=None, intercept=True):
    """Whether some direction raises a margin and lowers none, over all rows with a weight: Konis's programme."""
    counted = np.ones(len(y), dtype=bool) if weight is None else weight > 0
    X, y = np.asarray(X, dtype=float)[counted], np.asarray(y)[counted]
    X = np.column_stack([X, np.ones(len(X))]) if intercept else X
    k = y.max() + 1
    others = [(i, c) for i in range(len(y)) for c in range(k) if c != y[i]]
    margins = np.zeros((len(others), X.shape[1], k))
    for row, (i, c) in enumerate(others):
        margins[row, :, y[i]], margins[row, :, c] = X[i], -X[i]
    margins = margins.reshape(len(others), -1)
    result = linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(len(margins)), bounds=(-1, 1), method="highs")
    assert result.success
    return -result.fun > 1e-6


def said(X, y, weight=None, variant=GDLogisticRegression, **parameters):
    """The warning of a fit without a penalty, or None."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        variant(**{"C": np.inf, "random_state": 0} | parameters).fit(X, y, weight)
    messages = [str(warning.message) for warning in caught if warning.category is ConvergenceWarning]
    assert len(messages) == len(caught) <= 1
    return messages[0] if messages else None


def is_named(message):
    """Whether it says that the classes are separable."""
    return message is not None and "separable" in message


def drawn(seed):
    """A small data set of few distinct values, so that about half of them are separated, often only in part."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 4))
    n, p = int(rng.integers(k + 2, 40)), int(rng.integers(1, 5))
    X = rng.integers(-2, 3, (n, p)) * 10.0 ** rng.integers(-3, 4, p)
    if rng.random() < 0.5:
        X[:, 0] = rng.random(n) < 0.15
    y = (
        X @ (rng.standard_normal((p, k)) / np.abs(X).max(axis=0).clip(1e-9)[:, None]) * 3 + rng.gumbel(size=(n, k))
    ).argmax(axis=1)
    y[:k] = np.arange(k)
    weight = rng.integers(0, 3, n).astype(float) if rng.random() < 0.5 else np.ones(n)
    weight[:k] = 1
    return X, y, weight, bool(rng.random() < 0.8)


forms = pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "CSR"])


# --- Whether there is any --------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_a_linear_programme_over_all_rows_says_the_same(first, form):
    verdicts = []
    for seed in range(first, first + 20):
        X, y, weight, intercept = drawn(seed)
        verdicts.append(judged(X, y, weight, intercept))
        assert is_named(said(form(X), y, weight, fit_intercept=intercept)) == verdicts[-1], seed
    assert 5 < sum(verdicts) < 19


def cases():
    """Name: X, y and whether the classes are separated, completely or in part."""
    rng = np.random.default_rng(0)
    X, noise = rng.standard_normal((300, 3)), rng.integers(0, 2, 300)
    rare, classes = np.arange(300) < 10, rng.integers(0, 3, 300)
    some = rng.random(300) < 0.3
    steep = X @ [3.0, 1.0, -2.0]
    one_wrong = (steep > 0).astype(int)
    one_wrong[np.abs(steep).argmax()] ^= 1
    heavy = np.r_[1e9, -1.0, 1.0, rng.standard_normal(297)]
    return {
        "overlapping": (X, noise, False),
        "duplicated and constant columns": (np.c_[X, X, np.full(300, 0.1), np.zeros(300)], noise, False),
        "overlapping softmax": (X, classes, False),
        "steep, but for one row": (X, one_wrong, False),
        "a heavy tail that overlaps near 0": (np.c_[heavy, X], np.r_[1, 1, 0, noise[3:]], False),
        "complete": (X, (X[:, 0] > 0).astype(int), True),
        "complete but for a tie": (np.r_[X, [[0, 1, 2]], [[0, 1, 2]]], np.r_[X[:, 0] > 0, 0, 1].astype(int), True),
        "a rare flag of one class": (np.c_[X, rare], np.where(rare, 1, noise), True),
        "the sum of two features": (np.c_[X, rare - X[:, 0]], np.where(rare, 1, noise), True),
        "a flag of one class of three": (np.c_[X, some & (classes == 0)], classes, True),
        "a flag of two classes of three": (np.c_[X, some & (classes < 2)], classes, True),
        "fewer rows than features": (rng.standard_normal((20, 50)), rng.permutation(np.arange(20) % 2), True),
    }


@forms
@pytest.mark.parametrize("parameters", [{}, {"tol": 1e-13}, {"fit_intercept": False}], ids=str)
@pytest.mark.parametrize(("X", "y", "separable"), cases().values(), ids=cases())
def test_separated_classes_are_seen_and_no_others(X, y, separable, parameters, form):
    assert is_named(said(form(X), y, **parameters)) == separable


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
def test_every_solver_names_them(solver):
    X, y = load_iris(return_X_y=True)
    assert is_named(said(X, y, solver=solver, max_iter=20))


def test_many_parameters_are_judged_too():
    for X, y, separable in cases().values():
        assert is_named(said(sp.csr_array(X), y, variant=with_settings(formed_parameters=2))) == separable


def test_a_warm_start_far_out_hides_nothing():
    X, y, _ = cases()["a rare flag of one class"]
    model = GDLogisticRegression(C=1e15, warm_start=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
        model.coef_[0, 3] = 60.0  # the curvature of the flag's rows is e^-60
        model.set_params(C=np.inf)
    with pytest.warns(ConvergenceWarning, match="along \\+1 feature 3:"):
        model.fit(X, y)


@pytest.mark.parametrize("tol", [1e-4, 1e-8, 1e-10, 1e-12, 1e-14])
def test_steps_that_have_died_away_hide_no_direction(tol):
    a, b, c, d = [-2, 0, 0, -200, 20, 1], [0, -300, -100, 0, 0, 1], [-2, 100, 0, -200, 20, 1], [-2, 0, 0, -200, -20, 1]
    X, y, weight = np.array([a, b, b, c, d, a]) / 10, np.array([3, 1, 2, 0, 1, 2]), np.array([2.0, 2, 1, 3, 1, 0])
    assert judged(X, y, weight, intercept=False)
    assert is_named(said(X, y, weight, tol=tol, fit_intercept=False))


def test_rows_without_a_weight_separate_nothing_and_hold_nothing_together():
    X, y, _ = cases()["a rare flag of one class"]
    assert not is_named(said(X, y, np.where(X[:, 3] > 0, 0.0, 1.0)))
    y = y.copy()
    y[0] = 0
    assert not is_named(said(X, y))
    assert is_named(said(X, y, np.where(np.arange(300) == 0, 0.0, 1.0)))


@pytest.mark.parametrize(
    ("dtype", "offset"), [("f8", 1e5), ("f8", 1e6), ("f8", 1e9), ("f8", -1e12), ("f8", 1e15), ("f4", 1e3), ("f4", 1e6)]
)
@pytest.mark.parametrize("form", ["dense", "CSR", "batches of CSR"])
def test_a_column_far_from_0_that_separates_is_named_whatever_holds_it(form, dtype, offset):
    rng = np.random.default_rng(0)
    X = np.column_stack([offset + (np.arange(30) >= 15), rng.standard_normal(30) * (rng.random(30) < 0.5)])
    y = (np.arange(30) >= 10).astype(int)
    X, order = X.astype(dtype), rng.permutation(30)  # of the labels 1, 5 are on the side of the labels 0
    X, y = X[order], y[order]
    model = GDLogisticRegression(C=np.inf, random_state=0)
    if form == "batches of CSR":
        batches = [(sp.csr_array(X[some : some + 7]), y[some : some + 7]) for some in range(0, 30, 7)]
        fit = partial(model.fit_batches, batches)
    else:
        fit = partial(model.fit, sp.csr_array(X) if form == "CSR" else X, y)
    with pytest.warns(ConvergenceWarning, match=r"separable, completely or in part, along \+1 feature 0"):
        fit()
    assert not model.converged_


def test_a_rare_flag_in_a_large_table_is_named():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((60_000, 8)), columns=list("abcdefgh"))
    y = (X["a"] + rng.logistic(size=len(X)) > 0).astype(int)
    X["rare"] = 0.0
    X.loc[np.flatnonzero(y == 0)[:2], "rare"] = 1.0
    assert ", along -1 rare: " in said(X, y)


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_a_penalty_leaves_nothing_to_ask(load):
    X, y = load(return_X_y=True)
    assert said(X, y, C=1e6) is None
    objective = Objective(rows_of(X, y, np.ones(len(y))), loss_of(y.max() + 1), ElasticNet(0.1))
    point = Point(np.zeros(objective.shape), 1.0, np.ones(objective.shape))
    assert separation.separating_direction(LocalModel(objective, point)) is None


# --- Along what ------------------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize(("X", "y", "separable"), cases().values(), ids=cases())
def test_the_direction_lowers_no_margin(X, y, separable, form):
    loss = loss_of(y.max() + 1)
    objective = Objective(
        rows_of(form(X), y, np.ones(len(y)), n_scores=loss.n_outputs).centred(), loss, ElasticNet(0.0)
    )
    direction = separation.separating_direction(LocalModel(objective, objective.at(np.zeros(objective.shape))))
    assert (direction is not None) == separable
    if separable:
        raised, lowered = margin_changes(objective, direction)
        assert raised >= 0.1
        assert lowered <= 1e-9


def test_flags_of_one_class_are_named_with_the_sign_that_leads_to_the_second_class():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 500)
    X = pd.DataFrame(rng.standard_normal((500, 2)), columns=["age", "income"])
    X["only_yes"] = ((y == 1) & (rng.random(500) < 0.1)).astype(float)
    X["only_no"] = ((y == 0) & (rng.random(500) < 0.05)).astype(float)
    message = said(X, np.where(y, "yes", "no"))
    assert message.startswith("The classes are separable, completely or in part, along +1 only_yes -1 only_no: ")


def test_a_line_between_the_classes_is_named_in_the_features_units():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"age": rng.uniform(20, 80, 2000), "income": rng.uniform(0, 50_000, 2000)})
    message = said(X, X["age"] - 0.002 * X["income"] > 10)
    assert re.search(r"along -1 income \+50\d age:", message)


def test_of_more_classes_the_class_is_named():
    X, y = load_iris(return_X_y=True, as_frame=True)
    message = said(X[["petal width (cm)"]], y.map({0: "setosa", 1: "versicolor", 2: "virginica"}))
    assert "along -1 petal width (cm) for class setosa:" in message


def test_of_many_features_a_few_are_named():
    X = np.random.default_rng(0).standard_normal((40, 200))
    message = said(X, np.arange(40) % 2)
    assert message.count("feature ") == separation_terms(message) == 5
    assert " more: without" in message


def separation_terms(message):
    """How many terms the direction in a message has."""
    return sum(part[0] in "+-" for part in message.split("along ")[1].split(" and ")[0].split())


def test_steps_of_newton_judge_where_the_programme_fails(monkeypatch):
    monkeypatch.setattr(separation, "solved", lambda *_: None)
    for name, (X, y, separable) in cases().items():
        if "heavy" not in name:  # which a step cannot tell from separation
            assert is_named(said(X, y)) == separable


def test_what_is_not_proven_in_some_steps_of_newton_is_not_claimed(monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)
    objective = Objective(rows_of(X[:, :2], y, np.ones(len(y))), loss_of(2), ElasticNet(0.0))
    monkeypatch.setattr(separation, "solved", lambda *_: None)
    monkeypatch.setattr(separation, "FALLBACK_STEPS", 1)
    assert separation.separating_direction(LocalModel(objective, objective.at(np.zeros(objective.shape)))) is None


def test_a_programme_that_highs_gives_up_is_solved_as_it_is(monkeypatch):
    asked = []

    def presolve_fails(*args, options, **kwargs):
        asked.append(options["presolve"])
        result = linprog(*args, options=options, **kwargs)
        result.success = not options["presolve"]
        return result

    monkeypatch.setattr(separation, "linprog", presolve_fails)
    monkeypatch.setattr(separation, "FALLBACK_STEPS", 0)
    X = np.arange(10.0)[:, None]
    with pytest.warns(ConvergenceWarning, match="separable"):
        GDLogisticRegression(C=np.inf).fit(X, X[:, 0] > 4)
    assert asked == [True, False] * (len(asked) // 2)
    assert asked


def test_a_programme_that_does_not_end_is_given_up(monkeypatch):
    monkeypatch.setattr(separation, "MOST_CUTS", 0)
    X, y, _ = cases()["complete"]
    assert is_named(said(X, y))


def test_a_programme_that_is_too_large_to_be_made_readable_names_them_all_the_same(monkeypatch):
    monkeypatch.setattr(separation, "MOST_READABLE_ENTRIES", 0)
    X, y, _ = cases()["a rare flag of one class"]
    assert "feature 3" in said(X, y)


def test_margins_are_added_until_none_is_violated(monkeypatch):
    monkeypatch.setattr(separation, "MARGINS_PER_ROUND", 7)
    for X, y, separable in cases().values():
        assert is_named(said(X, y)) == separable


def test_a_pipeline_that_passes_frames_names_the_features_and_another_says_where_the_names_are():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["age", "income"])
    X["flag"] = (np.arange(100) < 5).astype(float)
    y = np.where(X["flag"] > 0, 1, np.arange(100) % 2)
    pipeline = make_pipeline(StandardScaler(), GDLogisticRegression(C=np.inf, random_state=0))
    with pytest.warns(ConvergenceWarning, match=r"along \+1 feature 2:.*pipeline\[:-1\].get_feature_names_out\(\) has"):
        pipeline.fit(X, y)
    assert pipeline[:-1].get_feature_names_out()[2] == "flag"
    with pytest.warns(ConvergenceWarning, match=r"along \+1 flag:.* Set a finite C, or bias_reduction='firth'\.$"):
        pipeline.set_output(transform="pandas").fit(X, y)
