"""Products of a matrix of many rows with few columns."""

import numpy as np

__all__ = ["product"]

# Multiplications up to which OpenBLAS takes a kernel that reads its arguments where they are (AVX-512). Beyond, it
# copies both first, which takes longer than the product with few columns: see docs/decisions/rows.md.
SMALL = 1_000_000
MOST_COLUMNS = 100  # with more columns, the copies pay


def product(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A B, in pieces that are small enough for BLAS's fastest kernel, if A's longer side is that of its rows in memory.

    Pieces of rows that are longer than many would be strips of short parts of memory: up to ten times slower.
    ``np.dot`` rather than matmul, which keeps other threads waiting where a product has less than 500 entries. But
    np.dot copies A where A is some rows of an array in Fortran order.
    """
    if not A.flags.forc:
        return np.matmul(A, B)
    (m, n), k = A.shape, B.shape[1] if B.ndim > 1 else 1
    if k == 1 or k > MOST_COLUMNS or m * n * k <= SMALL:
        return np.dot(A, B)
    size = SMALL // (min(m, n) * k)
    if not size:
        return np.dot(A, B)
    in_rows = A.strides[0] >= A.strides[1]
    if in_rows != (m > n):
        return np.dot(A, B)
    return _by_rows(A, B, size) if in_rows else _by_terms(A, B, size)


def _by_rows(A, B, size):
    found = np.empty((len(A), B.shape[1]), np.result_type(A, B))
    for start in range(0, len(A), size):
        np.dot(A[start : start + size], B, out=found[start : start + size])
    return found


def _by_terms(A, B, size):
    found = np.dot(A[:, :size], B[:size])
    for start in range(size, len(B), size):
        found += np.dot(A[:, start : start + size], B[start : start + size])
    return found
