"""A few cases of the fuzzer, and that it would see a fault; ``python -m tests.fuzz`` runs as many as time allows."""

import numpy as np
import pytest
from fuzz.__main__ import failures, shrunk
from fuzz.cases import data, draw
from fuzz.oracles import j_is_what_the_history_says

from gdlogit import GDLogisticRegression

FOUND = {  # by longer runs
    30_000_001_079: "two estimates in a row that were three times too low",
    410_000_361: "two that were four times too low, in float32",
    410_000_734: "the same, on weighted rows with offsets",
    410_000_159: "a tilt of rows of which none has curvature",
    410_000_961: "coefficients of 2e7 along what float32 cannot see",
    410_000_195: "an intercept of 1e-18, where none was asked for",
    440_000_039: "estimates that fell by 8% a step, five times too low",
    440_001_665: "22 rows of 349 features with l1, 0.4 s a step",
    440_003_382: "the same for a softmax",
    440_002_872: "a programme that HiGHS could not solve, taken for no separation",
    450_002_087: "estimates that fell by 4% a step, 26 times too low",
}

DEEP = {10, *FOUND}  # that take seconds
SEEDS = [pytest.param(seed, marks=[pytest.mark.deep] * (seed in DEEP)) for seed in (*range(20), *FOUND)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_case_holds_every_claim(seed):
    assert [f"{oracle.__name__}: {how}" for oracle, how in failures(draw(seed))] == []


def test_a_case_is_the_same_for_the_same_seed():
    for one, other in zip(data(draw(3)), data(draw(3)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_planted_fault_is_found_and_shrunk(monkeypatch):
    fit = GDLogisticRegression.fit

    def wrong(self, *given, **more):
        fit(self, *given, **more)
        self.coef_ += 0.1
        return self

    monkeypatch.setattr(GDLogisticRegression, "fit", wrong)
    case = next(case for case in map(draw, range(99)) if case.form == "ndarray" and min(case[1:3]) > 8)
    assert [oracle for oracle, _ in failures(case, [j_is_what_the_history_says])]
    smaller = shrunk(case, j_is_what_the_history_says)
    assert (smaller.rows, smaller.columns) < (case.rows, case.columns)
    assert draw(case.seed)._replace(rows=smaller.rows, columns=smaller.columns) == smaller
