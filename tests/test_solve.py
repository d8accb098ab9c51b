"""The core knows no estimator: a problem, its coordinates, and the solution, for one penalty or for many."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris

from gdlogit import GDLogisticRegression, problem, solve
from gdlogit.descent.loop import Watch
from gdlogit.descent.status import Status
from gdlogit.penalty import ElasticNet
from gdlogit.problem import Coordinates, Problem
from gdlogit.solve import SOLVERS, TEXTBOOK, Settings, Solution

CANCER, IRIS = load_breast_cancer(return_X_y=True), load_iris(return_X_y=True)
RNG = np.random.default_rng(0)
WIDE = RNG.standard_normal((40, 300)) * np.logspace(-2, 2, 300) + 5, np.arange(40) % 2
SETS = {"cancer": CANCER, "iris": IRIS, "wide": WIDE, "csr": (sp.csr_array(IRIS[0]), IRIS[1])}
sets = pytest.mark.parametrize("name", SETS)


def problem_of(name, C=1.0, l1_ratio=0.0, intercept=True):
    X, y = SETS[name]
    return Problem.of(
        X, y.astype(np.uint8), np.ones(len(y)), len(np.unique(y)), C=C, l1_ratio=l1_ratio, intercept=intercept
    )


@sets
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_a_solution_is_what_the_estimator_finds(name, l1_ratio):
    X, y = SETS[name]
    model = GDLogisticRegression(l1_ratio=l1_ratio, random_state=0).fit(X, y)
    solution = solve.solve(problem_of(name, l1_ratio=l1_ratio), rng=np.random.default_rng(0))
    np.testing.assert_allclose(solution.theta[:-1].T, model.coef_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(solution.theta[-1], model.intercept_, rtol=1e-9, atol=1e-12)
    assert (solution.status is Status.CONVERGED) == model.converged_
    assert solution.gap == pytest.approx(model.duality_gap_, rel=1e-3, abs=1e-15)
    assert [record.value for record in solution.history] == pytest.approx(model.loss_curve_.tolist(), rel=1e-13)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_point_of_a_solution_is_its_theta_in_its_coordinates(solver):
    settings = Settings(solver, tol=1e-3, max_iter=50)
    solution = solve.solve(problem_of("iris"), settings)
    assert isinstance(solution, Solution)
    np.testing.assert_allclose(
        solution.coordinates.out_of(solution.point.theta), solution.theta, rtol=1e-10, atol=1e-12
    )
    assert solution.objective.at(solution.point.theta).value == pytest.approx(solution.history[-1].value, rel=1e-12)


def test_a_path_makes_its_coordinates_once(monkeypatch):
    made = []
    original = problem.compact
    monkeypatch.setattr(problem, "compact", lambda *arguments: made.append(arguments) or original(*arguments))
    whole, Cs = problem_of("wide"), np.logspace(-3, 1, 6)
    penalties = [ElasticNet.of(C, 0.0, whole.rows.total) for C in Cs]
    solutions = list(solve.path(whole, penalties, Settings(tol=1e-12)))
    assert len(made) == 1
    assert all(solution.coordinates is solutions[0].coordinates for solution in solutions)
    for C, solution in zip(Cs, solutions, strict=True):
        model = GDLogisticRegression(C=C, tol=1e-12, random_state=0).fit(*WIDE)
        np.testing.assert_allclose(solution.theta[:-1].T, model.coef_, rtol=0, atol=1e-5 * np.abs(model.coef_).max())


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_a_start_at_a_solution_of_another_penalty_ends_where_a_cold_one_does(l1_ratio):
    settings, first = Settings(tol=1e-12), solve.solve(problem_of("cancer", C=0.01, l1_ratio=l1_ratio))
    warm = solve.solve(
        problem_of("cancer", C=1.0, l1_ratio=l1_ratio)._replace(rows=first.coordinates.given), settings, first
    )
    cold = solve.solve(problem_of("cancer", C=1.0, l1_ratio=l1_ratio), settings)
    assert warm.point.value == pytest.approx(cold.point.value, rel=1e-10)


@pytest.mark.parametrize("change", ["other rows", "an l1 penalty", "a textbook solver"])
def test_coordinates_that_do_not_serve_are_made_anew(change):
    settings, first = Settings(tol=1e-6), solve.solve(problem_of("wide"))
    other = problem_of("wide") if change == "other rows" else problem_of("wide")._replace(rows=first.coordinates.given)
    if change == "an l1 penalty":
        other = other._replace(penalty=ElasticNet.of(1.0, 1.0, other.rows.total))
    if change == "a textbook solver":
        settings = settings._replace(solver="gd", max_iter=3)
    again = solve.solve(other, settings, first)
    assert again.coordinates is not first.coordinates
    np.testing.assert_allclose(again.coordinates.out_of(again.point.theta), again.theta, rtol=1e-8, atol=1e-12)


@sets
@pytest.mark.parametrize("intercept", [True, False])
def test_coordinates_lead_there_and_back(name, intercept):
    whole = problem_of(name, intercept=intercept)
    k = whole.loss.n_outputs
    theta = RNG.standard_normal(whole.shape)
    theta[-1] = theta[-1] - theta[-1].mean() * (k > 1) if intercept else 0
    for coordinates in (Coordinates.as_given(whole.rows), Coordinates.of_newton(whole.rows, 0)):
        np.testing.assert_allclose(coordinates.out_of(coordinates.into(theta)), theta, rtol=1e-9, atol=1e-9)


def test_coordinates_of_few_rows_keep_the_scores():
    whole, (X, _) = problem_of("wide"), WIDE
    coordinates = Coordinates.of_newton(whole.rows, 1000)
    assert coordinates.rows.n_features < X.shape[1]
    theta = RNG.standard_normal(whole.shape)
    again = coordinates.out_of(coordinates.into(theta))
    np.testing.assert_allclose(X @ again[:-1] + again[-1], X @ theta[:-1] + theta[-1], rtol=1e-8, atol=1e-6)


@sets
def test_a_covariance_goes_with_its_theta(name):
    """Cov(T t) = T Cov(t) T^T, where T is the linear map to the user's theta, written out column by column."""
    whole = problem_of(name)
    k = whole.loss.n_outputs
    coordinates = Coordinates.of_newton(whole.rows, 1000)
    size = (coordinates.rows.n_features + 1) * k
    units = (unit.reshape(-1, k) for unit in np.eye(size))
    T = np.stack([coordinates.centred.leave(coordinates.lift(unit)).ravel() for unit in units], axis=1)
    half = RNG.standard_normal((size, size))
    V = half @ half.T
    expected = T @ V @ T.T
    np.testing.assert_allclose(coordinates.covariance(V, k), expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_a_watch_is_told_of_each_iteration_in_the_users_coordinates():
    began, seen = [], []
    watch = Watch(lambda theta: began.append(theta()), lambda record, theta: seen.append(theta()))
    solution = solve.solve(problem_of("iris"), watch=watch)
    assert len(began) == len(seen) == len(solution.history)
    np.testing.assert_allclose(seen[-1], solution.theta, rtol=1e-12)
    assert not began[0].any()
    np.testing.assert_array_equal(began[1:], seen[:-1])


def test_a_watch_may_end_the_descent():
    solution = solve.solve(problem_of("cancer"), watch=Watch(end=lambda record, theta: record.iteration == 2))
    assert solution.status is Status.STOPPED
    assert solution.status.told() is None


FACTS = {
    "distance": "about 1e-3",
    "tol": 1e-8,
    "n_iter": 3,
    "max_iter": 5,
    "precision": "float32",
    "gap": 0.1,
    "direction": "",
    "where_names_are": "",
    "penalise": "Set a finite C.",
    "learning_rate": 1.0,
    "stable_rate": 0.5,
    "or_solver": "",
    "or_penalty": "scale the features",
}


@pytest.mark.parametrize("status", Status, ids=lambda status: status.label)
def test_every_status_has_a_message_with_a_remedy_or_needs_none(status):
    said = status.told(**FACTS)
    if status in (Status.CONVERGED, Status.STOPPED, Status.EARLY_STOPPED):
        assert said is None
    else:
        assert "{" not in said
        assert said.endswith(".")
        assert ("learning_rate" in said) == (status is Status.DIVERGED)


@pytest.mark.parametrize("solver", TEXTBOOK)
def test_a_rate_of_the_users_own_diverges_and_an_automatic_one_does_not_come_below_its_start(solver):
    diverged = solve.solve(problem_of("cancer"), Settings(solver, learning_rate=1e6, max_iter=20))
    assert diverged.status is Status.DIVERGED
    assert diverged.largest_stable_rate() < 1e6


def test_the_core_loads_no_estimator_and_no_more_of_scikit_learn_than_coordinate_descent():
    code = """
import sys, types
package = types.ModuleType("gdlogit"); package.__path__ = [sys.argv[1]]; sys.modules["gdlogit"] = package
import gdlogit.solve
rooms = {name.split(".")[1] for name in sys.modules if name.startswith("gdlogit.")}
assert not rooms & {"estimators", "display"}, rooms
"""
    subprocess.run([sys.executable, "-c", code, problem.__file__.removesuffix("/problem.py")], check=True)
