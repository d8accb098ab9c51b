"""Products in pieces are the products."""

import numpy as np
import pytest

from gdlogit.data import products
from gdlogit.data.products import MOST_COLUMNS, SMALL, product


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("k", [1, 2, 7, MOST_COLUMNS, MOST_COLUMNS + 1])
def test_pieces_do_not_change_a_product(k, order, dtype):
    rng = np.random.default_rng(0)
    p = 30
    for m in (5, SMALL // (p * k), 2 * SMALL // (p * k) + 3):
        X = np.asarray(rng.standard_normal((m, p)), dtype=dtype, order=order)
        W, dz = (rng.standard_normal((rows, k)).astype(dtype) for rows in (p, m))
        eps = np.finfo(dtype).eps
        for ours, A, B in ((product(X, W), X, W), (product(X.T, dz), X.T, dz)):
            assert ours.dtype == dtype
            bound = len(B) * eps * (np.abs(A).astype(float) @ np.abs(B).astype(float))
            assert (np.abs(ours - A.astype(float) @ B.astype(float)) <= bound + 1e-300).all()


def test_rows_that_are_longer_than_many_are_not_cut_into_strips(monkeypatch):
    rng, k = np.random.default_rng(0), 3
    X, dz, W = rng.standard_normal((50, 9000)), rng.standard_normal((50, k)), rng.standard_normal((9000, k))
    for name in ("_by_rows", "_by_terms"):
        monkeypatch.setattr(products, name, None)
    for A, B in ((X, W), (X.T, dz), (np.asfortranarray(X.T), dz), (np.asfortranarray(X.T).T, W)):
        np.testing.assert_allclose(product(A, B), A @ B)


def test_a_vector_a_strided_array_and_no_rows_are_multiplied_too():
    X = np.random.default_rng(0).standard_normal((400_000, 4))[::2]
    W = np.ones((4, 3))
    np.testing.assert_allclose(product(X, W), X @ W)
    np.testing.assert_allclose(product(X, W[:, 0]), X @ W[:, 0])
    assert product(X[:0], W).shape == (0, 3)
    np.testing.assert_array_equal(product(X[:0].T, np.ones((0, 3))), np.zeros((4, 3)))
