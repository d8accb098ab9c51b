"""A descent that the rounding of float32 keeps from its minimum goes on with the rows read in float64."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import gdlogit.solve
from gdlogit import GDLogisticRegression
from gdlogit.backprop import loss_of
from gdlogit.data.memory import rows_of
from gdlogit.descent.loop import Watch
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.problem import Problem
from gdlogit.solve import DEFAULTS, solve

C = 3000.0
FLOAT32_TOL = 10 * float(np.finfo(np.float32).eps)
HARD = pytest.mark.parametrize(("k", "seed"), [(2, 18), (2, 101), (5, 36), (5, 52)])


def raw_flags(k, seed):
    """Rare flags in raw units, with offsets: float32 has few digits for them."""
    rng = np.random.default_rng(seed)
    X = (rng.random((400, 6)) < rng.random(6) ** 3).astype(float)
    scores = (X / (X.std(axis=0) + 1e-9)) @ rng.standard_normal((6, k)) / 6**0.5 * 2
    y = (scores + rng.gumbel(size=(400, k))).argmax(axis=1)
    y[:k] = range(k)
    return (X * 10 ** rng.uniform(-3, 3, 6) + rng.uniform(-3, 3, 6)).astype(np.float32), y


def problem_of(X, y):
    k = y.max() + 1
    rows = rows_of(X, y, np.ones(len(y)), n_scores=1 if k == 2 else k)
    return Problem(rows, loss_of(k), ElasticNet(1 / (C * len(y))))


@HARD
@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sp.csr_array])
def test_a_raw_table_in_float32_has_the_minimum_and_the_proof_of_the_same_table_in_float64(k, seed, form):
    X, y = raw_flags(k, seed)
    narrow, wide = (GDLogisticRegression(C=C).fit(form(X.astype(dtype)), y) for dtype in (np.float32, np.float64))
    assert narrow.converged_
    assert narrow.coef_.dtype == np.float32
    assert abs(narrow.loss_curve_[-1] - wide.loss_curve_[-1]) <= FLOAT32_TOL
    assert narrow.duality_gap_ <= 100 * FLOAT32_TOL  # with a looser bound it would have gone on


@pytest.fixture
def always_goes_on(monkeypatch):
    """Go on in float64 after every descent in float32, whatever this machine's rounding is."""
    monkeypatch.setattr(
        gdlogit.solve, "rounding_hides_minimum", lambda solution: solution.objective.precision == "float32"
    )


def solved_as_stored(problem, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(gdlogit.solve, "rounding_hides_minimum", lambda solution: False)
        return solve(problem)


@pytest.mark.usefixtures("always_goes_on")
@HARD
def test_the_history_goes_on(k, seed, monkeypatch):
    problem, seen = problem_of(*raw_flags(k, seed)), []
    as_stored = solved_as_stored(problem, monkeypatch)
    solution = solve(problem, watch=Watch(end=lambda record, theta: seen.append((record, theta()))))
    assert [record for record, _ in seen] == solution.history
    assert len(solution.history) > len(as_stored.history)
    for name in ("iteration", "passes", "seconds"):
        assert (np.diff([getattr(record, name) for record in solution.history]) > 0).all()
    np.testing.assert_array_equal(seen[len(as_stored.history) - 1][1], as_stored.theta)


@pytest.mark.usefixtures("always_goes_on")
def test_it_goes_on_for_max_iter_in_all(monkeypatch):
    problem = problem_of(*raw_flags(2, 101))
    n = len(solved_as_stored(problem, monkeypatch).history)
    for extra in (0, 1):
        solution = solve(problem, DEFAULTS._replace(max_iter=n + extra))
        assert len(solution.history) == n + extra
        assert solution.objective.precision == ("float64" if extra else "float32")


@pytest.mark.usefixtures("always_goes_on")
@pytest.mark.parametrize("where", ["begin", "end"])
@pytest.mark.parametrize("after", [1, 2])
def test_ctrl_c_keeps_what_there_is(where, after, monkeypatch):
    problem, calls = problem_of(*raw_flags(2, 101)), []
    as_stored = solved_as_stored(problem, monkeypatch)

    def press(*_):
        calls.append(None)
        if len(calls) == len(as_stored.history) + after:
            raise KeyboardInterrupt

    solution = solve(problem, watch=Watch(**{where: press}))
    assert solution.status is Status.INTERRUPTED
    assert solution.point.value <= as_stored.point.value * (1 + 1e-6)
    assert len(solution.history) >= len(as_stored.history)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("k", [2, 3])
def test_rows_read_in_float64_are_those_of_a_copy_without_the_copy(form, k):
    rng = np.random.default_rng(0)
    X = (rng.standard_normal((200_000, 20)) * (rng.random((200_000, 20)) < 0.5) + 1).astype(np.float32)
    y, n_scores = rng.integers(k, size=len(X)), 1 if k == 2 else k
    theta = rng.standard_normal((21, n_scores))
    wide = rows_of(form(X.astype(float)), y, np.ones(len(y)), n_scores=n_scores).centred()
    rows = rows_of(form(X), y, np.ones(len(y)), n_scores=n_scores).about(wide.centre.astype(np.float32)).in_float64()
    ours = Objective(rows, loss_of(k), ElasticNet(1e-3))
    theirs = Objective(wide, loss_of(k), ElasticNet(1e-3))
    tracemalloc.start()
    found = ours.at(theta)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < rows.n_bytes / 2
    assert ours.precision == "float64"
    moved = rows.centre - wide.centre
    expected = theirs.at(np.vstack([theta[:-1], theta[-1:] - moved @ theta[:-1]]))
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    slopes = expected.gradient[:-1] - np.outer(moved, expected.gradient[-1])
    np.testing.assert_allclose(found.gradient[:-1], slopes, atol=1e-12)
    some = ours.on(np.arange(0, len(X), 1000))
    assert some.rows.dtype == float
