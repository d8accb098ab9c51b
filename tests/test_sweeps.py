"""Coordinate descent: the conditions of its minimum, and what it must leave alone."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp

from gdlogit.quadratic.sweeps import swept

N, P = 40, 12


def problem(seed=0):
    """F with nearly orthogonal columns, one of them zeros, and y."""
    rng = np.random.default_rng(seed)
    F = rng.standard_normal((N, P)) * (rng.random((N, P)) < 0.3)
    F[:, 3] = 0
    return F, rng.standard_normal(N)


forms = pytest.mark.parametrize("form", [np.asfortranarray, sp.csc_array], ids=["dense", "csc"])


@forms
@pytest.mark.parametrize("l2", [0.0, 0.5])
def test_many_sweeps_meet_the_conditions_of_the_minimum(form, l2):
    F, y = problem()
    l1 = 0.5
    x = swept(form(F), y, np.zeros(P), l1, l2, 1000)
    slope = F.T @ (F @ x - y) + l2 * x
    assert 0 < np.count_nonzero(x) < P - 1
    np.testing.assert_allclose(slope[x != 0], -l1 * np.sign(x[x != 0]), atol=1e-12)
    assert np.abs(slope[x == 0]).max() <= l1


@forms
def test_sweeps_go_on_from_where_they_start(form):
    F, y = problem()
    once = swept(form(F), y, np.zeros(P), 0.5, 0.0, 3)
    np.testing.assert_allclose(
        swept(form(F), y, once, 0.5, 0.0, 4), swept(form(F), y, np.zeros(P), 0.5, 0.0, 7), rtol=1e-12
    )


@forms
def test_one_sweep_warns_of_nothing_and_changes_no_argument(form):
    F, y = problem()
    x = np.ones(P)
    before = F.copy(), y.copy(), x.copy()
    swept(form(F), y, x, 1e-3, 0.0, 1)
    for now, then in zip((F, y, x), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_the_global_random_numbers_are_left_alone():
    F, y = problem()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    swept(np.asfortranarray(F), y, np.zeros(P), 0.5, 0.0, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_sweeps_side_by_side_leave_the_warning_filters_as_they_were():
    F, y = problem()
    F = np.asfortranarray(F)
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: swept(F, y, np.zeros(P), 1e-3, 0.0, 1), range(200)))
    assert warnings.filters == before
