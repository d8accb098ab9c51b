"""The rows: whatever holds X, whatever the blocks and the threads, the sums are the same."""

import pickle
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import threadpoolctl

from gdlogit.backprop import Sigmoid
from gdlogit.data.blocks import is_constant
from gdlogit.data.dense import CopiedBlock
from gdlogit.data.layout import Layout
from gdlogit.data.memory import concatenated, rows_of
from gdlogit.data.source import BatchRows, Source
from gdlogit.data.span import compact
from gdlogit.data.threads import ONE_BLAS_THREAD, Cores
from gdlogit.summands import value_and_gradient

N, P, K = 211, 7, 3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def X(rng):
    X = np.round(4 * rng.standard_normal((N, P))) / 4  # exact in float32
    X[rng.random(X.shape) < 0.5] = 0
    return X


def read_only(X):
    for part in (X,) if isinstance(X, np.ndarray) else (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    return X


def memory_map(X, path):
    np.save(path / "X.npy", X)
    return np.load(path / "X.npy", mmap_mode="r")


def int64_indices(X):
    X = sp.csr_array(X)
    return sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), shape=X.shape)


HOLDERS = {
    "C order": lambda X, path: read_only(np.ascontiguousarray(X)),
    "Fortran order": lambda X, path: read_only(np.asfortranarray(X)),
    "every second column of more": lambda X, path: read_only(np.repeat(X, 2, axis=1)[:, ::2]),
    "float32": lambda X, path: read_only(X.astype(np.float32)),
    "memory map": memory_map,
    "csr_array": lambda X, path: read_only(sp.csr_array(X)),
    "csr_matrix": lambda X, path: read_only(sp.csr_matrix(X)),
    "csr_array, float32": lambda X, path: read_only(sp.csr_array(X.astype(np.float32))),
    "csr_array, int64 indices": lambda X, path: read_only(int64_indices(X)),
}
holders = pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)
dense_and_csr = pytest.mark.parametrize("hold", [HOLDERS["C order"], HOLDERS["csr_array"]], ids=["dense", "csr"])
intercepts = pytest.mark.parametrize("intercept", [True, False])


SEVERAL_BLOCKS = Layout(block_bytes=1000, strip_bytes=1)
THREADED = Layout(block_bytes=1000, thread_products=1, strip_bytes=1)


def cores(n_threads):
    return Cores(nullcontext(n_threads))


def make_rows(X, intercept=True, centre=None, **how):
    rng = np.random.default_rng(1)
    y, weight = rng.integers(0, K, X.shape[0]), rng.integers(0, 4, X.shape[0]).astype(float)
    return rows_of(X, y, weight, intercept, centre=centre, **how)


def theta_of(rng):
    return np.round(4 * rng.standard_normal((P + 1, K))) / 4


def all_sums(rows, theta):
    """Everything that a block can add up, as one list of arrays."""

    def f(block):
        z = block.forward(theta)
        weighted = block.weight[:, None] * z
        c = np.abs(z) / np.abs(z).sum(axis=1, keepdims=True).clip(1e-3)
        return z.sum(), block.backward(weighted), block.squared_backward(weighted), block.gram(c), block.gram(c[:, :1])

    return rows.sum(f)


def assert_close(ours, theirs, rtol):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


# --- Sums ------------------------------------------------------------------------------------------------


@holders
@intercepts
def test_sums_are_those_of_the_whole_matrix_whatever_holds_it(hold, intercept, X, rng, tmp_path):
    theta = theta_of(rng)
    rows = make_rows(hold(X, tmp_path), intercept, layout=SEVERAL_BLOCKS)
    assert 1 < len(rows.blocks) < 30
    X1 = np.hstack([X, np.full((N, 1), float(intercept))])
    z = X1 @ theta
    c = np.abs(z) / np.abs(z).sum(axis=1, keepdims=True).clip(1e-3)
    s = rows.weight
    curvature = c[:, :, None] * np.eye(K) - c[:, :, None] * c[:, None, :]
    P1 = X1.shape[1]
    expected = [
        z.sum(),
        X1.T @ (s[:, None] * z),
        (X1**2).T @ (s[:, None] * z),
        np.einsum("i,ij,il,icd->jcld", s, X1, X1, curvature).reshape(P1 * K, P1 * K),
        np.einsum("i,ij,il,i->jl", s, X1, X1, c[:, 0]),
    ]
    assert_close(all_sums(rows, theta), expected, rtol=1e-13 if rows.X.dtype == np.float64 else 1e-5)


@holders
@intercepts
@pytest.mark.parametrize("layout", [SEVERAL_BLOCKS, THREADED], ids=["blocks", "threads"])
def test_the_centre_is_subtracted_from_the_sum_of_all_blocks(hold, intercept, layout, X, rng, tmp_path):
    X[:, 3] = 0.25  # a feature that equals its centre has slopes of exactly 0
    centre, dz = np.round(4 * rng.standard_normal(P)) / 4, rng.standard_normal((N, K))
    centre[3] = 0.25
    held = hold(X, tmp_path)
    rows = make_rows(held, intercept, centre.astype(held.dtype), layout=layout, cores=cores(3))
    with rows.threads():
        (gradient,) = rows.sum(lambda block, dz: (block.backward_sum(dz.astype(block.X.dtype)),), dz)
    expected = np.vstack([(X - centre).T @ dz, intercept * dz.sum(axis=0)])
    assert_close([gradient], [expected], rtol=1e-13 if held.dtype == np.float64 else 1e-5)
    assert not gradient[3].any()
    assert gradient.dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_centred_csr_is_the_dense_array_less_its_centre(dtype, X, rng):
    theta, centre = theta_of(rng), np.round(4 * rng.standard_normal(P)).astype(dtype) / 4
    ours = make_rows(sp.csr_array(X.astype(dtype)), centre=centre, layout=SEVERAL_BLOCKS)
    theirs = make_rows(X - centre, layout=SEVERAL_BLOCKS)
    assert_close(all_sums(ours, theta), all_sums(theirs, theta), rtol=1e-13 if dtype == np.float64 else 1e-5)
    largest, expected = (r.fold(lambda block: (block.largest_row(),), max)[0] for r in (ours, theirs))
    assert largest == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("k", [1, K])
def test_gram_of_float32_csr_far_from_its_centre_is_as_exact_as_that_of_the_dense_array(k, X, rng):
    offset = np.full(P, 1000.0)
    c = (np.round(64 * rng.random((N, k))) / 64).astype(np.float32)
    rows = make_rows(sp.csr_array((X + offset).astype(np.float32)), centre=offset.astype(np.float32))
    (ours,), (theirs,) = (r.sum(lambda block, c: (block.gram(c),), c) for r in (rows, make_rows(X)))
    assert_close([ours], [theirs], rtol=1e-9)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_gram_of_rows_that_are_certain_of_their_class_has_all_its_digits(form, X, rng):
    X, c = np.abs(X), 10.0 ** rng.uniform(-15, -8, (N, K))
    c[np.arange(N), rng.integers(K, size=N)] = 1.0  # but for the others, which it does not see
    rows = make_rows(form(X))
    (gram,) = rows.sum(lambda block, c: (block.gram(c),), c)
    x = np.hstack([X, np.ones((N, 1))])
    products = np.einsum("i,ij,ic,il,id->jcld", rows.weight, x, c, x, c)  # sums of terms that all have one sign
    for own in range(K):
        others = [other for other in range(K) if other != own]
        exact = products[:, own][:, :, others].sum(axis=2)
        ours = gram.reshape(P + 1, K, P + 1, K)[:, own, :, own]
        np.testing.assert_allclose(ours, exact, rtol=1e-13)


@pytest.fixture
def far(X):
    """X with two features that have no zero: one far from 0, one near it, but for its first rows."""
    X = np.column_stack([X, 1e9 + np.arange(N) % 7, np.arange(N) % 5 + 1])
    X[:50, -1] += 1e5 - np.arange(50) % 3
    return X


@pytest.mark.parametrize("intercept", [True, False])
def test_csr_far_from_0_has_the_sums_of_the_dense_array_measured_from_its_centre(intercept, far, rng):
    theta, c = np.round(rng.standard_normal((P + 3, K)), 2), rng.random((N, 1))
    csr = make_rows(sp.csr_array(far), intercept).centred()
    dense = make_rows(far - csr.centre, intercept)
    assert intercept == csr.centre.any()
    if intercept:
        assert_close(all_sums(csr, theta), all_sums(dense, theta), rtol=1e-10)
        assert_close(all_sums(csr.take(np.arange(60)), theta), all_sums(dense.take(np.arange(60)), theta), rtol=1e-10)
        again = pickle.loads(pickle.dumps(csr))
        assert_close(all_sums(again, theta), all_sums(csr, theta), rtol=1e-12)
        columns = csr.columns(np.arange(P + 2), np.sqrt(c[:, 0]), 1.0)
        expected = dense.columns(np.arange(P + 2), np.sqrt(c[:, 0]), 1.0)
        np.testing.assert_allclose(columns[2], expected[2], rtol=1e-12)
    np.testing.assert_allclose(csr.enter(csr.leave(theta)), theta, rtol=1e-6)


def test_csr_whose_parts_were_moved_by_different_origins_are_joined_as_they_were(far):
    parts = [make_rows(sp.csr_array(far[some])).centred() for some in (slice(0, 40), slice(40, 130), slice(130, N))]
    centre = parts[0].centre
    parts = [
        make_rows(sp.csr_array(far[some]), centre=centre) for some in (slice(0, 40), slice(40, 130), slice(130, N))
    ]
    assert len({tuple(np.zeros(P + 2) + part.block.origin) for part in parts}) > 1
    joined = concatenated(parts)
    np.testing.assert_array_equal(joined.centre, centre)
    np.testing.assert_allclose(joined.block.measured(), far - centre, rtol=1e-9)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("weight", ["even", "uneven", "often 0"])
def test_many_features_are_measured_from_the_means_of_more_than_a_thousand_rows(form, weight, rng):
    X = rng.standard_normal((3000, 200)) + np.arange(200)
    X[:, :50] = rng.random((3000, 50)) < 1e-3  # most of these flags are in none of 1,000 rows
    X[:, 50] = 1 / 3
    weight = {"even": np.ones(3000), "uneven": rng.random(3000), "often 0": rng.random(3000) * (np.arange(3000) % 2)}[
        weight
    ]
    centre = rows_of(form(X), np.zeros(3000, int), weight).centred(nearer=True).centre
    np.testing.assert_allclose(centre, np.average(X, axis=0, weights=weight), rtol=1e-12)
    assert centre[50] == 1 / 3


@pytest.mark.parametrize("hold", ["CSR", "batches"])
def test_stored_csr_is_measured_from_its_centre_where_it_has_no_zero(far, hold, rng):
    y = np.arange(N) % 2
    if hold == "CSR":
        rows = rows_of(sp.csr_array(far), y, np.ones(N)).centred()
    else:
        batches = [(sp.csr_array(far[i : i + 50]), y[i : i + 50]) for i in range(0, N, 50)]
        source = Source(batches, lambda batch, _: (*batch, None))
        rows = BatchRows(source).centred()
    stored = rows.stored()
    assert not stored.centre[:P].any()
    np.testing.assert_array_equal(stored.centre[P:], rows.centre[P:])
    index = np.sort(rng.choice(N, 20, replace=False))
    matrix = stored.take(index).kronecker(np.ones((20, 1)))
    expected = np.column_stack([far[index] - stored.centre, np.ones(20)])
    np.testing.assert_allclose(matrix.toarray(), expected, rtol=1e-9)
    assert matrix.nnz < expected.size


def test_features_near_0_of_csr_are_not_copied(X):
    X[:, -1] = 1  # as an intercept of the user's own
    given = sp.csr_array(np.column_stack([X, 50 + np.arange(N) % 20]))
    assert np.shares_memory(make_rows(given).centred().X.data, given.data)


def test_a_sum_over_csr_makes_no_array_of_its_shape(rng):
    n, p = 2000, 1000
    X = sp.random_array((n, p), density=0.002, format="csr", random_state=rng)
    rows, c = make_rows(X, centre=np.full(p, 0.1)), rng.random((n, 1))
    (block,) = rows.blocks
    tracemalloc.start()
    block.backward(block.forward(np.ones((p + 1, 1))))
    block.squared_backward(c)
    block.largest_row()
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 0.1 * 8 * n * p


def test_passes_over_csr_copy_neither_its_values_nor_its_indices(rng):
    X = sp.random_array((20_000, 100), density=0.5, format="csr", random_state=rng)
    rows, theta = make_rows(X, layout=Layout(thread_products=np.inf)), np.ones((101, 1))
    assert len(rows.blocks) > 2  # a block that is a small slice is what SciPy copies
    tracemalloc.start()
    rows.sum(lambda block: (block.backward(block.forward(theta)),))
    used, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 0.1 * rows.n_bytes
    assert peak < 0.2 * rows.n_bytes


@pytest.mark.parametrize("piece", [1, 700, 10**6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("features", [[0, 2, 3, 6], [5], range(P), []], ids=str)
def test_columns_of_csr_are_weighted_in_pieces_of_any_size(features, dtype, piece, X, rng):
    X[:, 5] = 0
    rows = make_rows(sp.csr_array(X.astype(dtype)), layout=Layout(piece_bytes=piece, block_bytes=piece))
    for _ in range(2):  # the second time in the memory of the first
        features, root = np.array(features, int), rng.random(N)
        F, centre, squares = rows.columns(features, root, 10.0)
        expected = root[:, None] * np.column_stack([X.astype(dtype)[:, features], np.full(N, 10.0)])
        assert (F.dtype, F.indices.dtype) == (dtype, np.int32)
        assert F.has_canonical_format
        rounding = np.finfo(dtype).eps  # of the root, of the product, and of a sum of N squares
        np.testing.assert_allclose(F.toarray(), expected, rtol=2 * rounding)
        expected = np.append((expected[:, :-1] ** 2).sum(axis=0), root @ root)
        np.testing.assert_allclose(squares, expected, rtol=(N + 6) * rounding)
        assert not centre.any()


def test_columns_of_a_large_csr_take_hardly_more_memory_than_they_have_entries(rng):
    X = sp.random_array((20_000, 100), density=0.5, format="csr", random_state=rng)
    rows, root = make_rows(X, layout=Layout(piece_bytes=2**20, block_bytes=2**18)), np.ones(20_000)
    tracemalloc.start()
    F = rows.columns(np.arange(100), root, 1.0)[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert F.nnz == X.nnz + len(root)
    assert peak < 1.5 * rows.n_bytes


def test_columns_take_memory_for_the_working_set_alone_and_share_it_with_their_transpose(rng):
    X = sp.random_array((2_000, 100), density=0.5, format="csr", random_state=rng)
    rows, root = make_rows(X), np.ones(2_000)
    for features in (np.arange(100), np.arange(30), np.arange(33), np.arange(5), np.arange(60)):
        F = rows.columns(features, root, 1.0)[0]
        for kept in (F.data, F.indices):
            assert kept.base.size <= 2 * F.nnz
        assert np.shares_memory(F.T.data, F.data)
        assert np.shares_memory(F.T.indices, F.indices)


@pytest.mark.parametrize("piece", [1, 700, 10**6])
def test_csr_is_squared_in_pieces_of_any_size(piece, X, rng):
    dz = rng.standard_normal((N, K))
    (block,) = make_rows(sp.csr_array(X), layout=Layout(piece_bytes=piece)).blocks
    np.testing.assert_allclose(block.squared_backward(dz)[:-1], (X**2).T @ dz, rtol=0, atol=1e-12)


@dense_and_csr
@pytest.mark.parametrize("block_bytes", [1, 200, 1000, 3000, 10**6])
def test_block_size_does_not_change_the_answer(hold, block_bytes, X, rng, tmp_path):
    theta = theta_of(rng)
    X = hold(X, tmp_path)
    whole = all_sums(make_rows(X), theta)
    rows = make_rows(X, layout=Layout(block_bytes=block_bytes, sparse_entries=1e-9))
    assert (len(rows.blocks) == N) == (block_bytes == 1)
    assert (len(rows.blocks) == 1) == (block_bytes == 10**6)
    assert_close(all_sums(rows, theta), whole, rtol=1e-13)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("block_bytes", [200, 10**6])
def test_rows_without_weights_have_the_bits_of_rows_of_weight_1(form, block_bytes, X, rng):
    """A weight that is stored once for all rows must not cost precision."""
    theta = rng.standard_normal((P + 1, 1))
    weights = np.broadcast_to(1.0, N), np.ones(N)
    layout = Layout(block_bytes=block_bytes, block_rows=1)
    stored_once, of_each = (rows_of(form(X), np.arange(N) % 2, w, layout=layout) for w in weights)
    f = partial(value_and_gradient, Sigmoid(), theta)
    for ours, theirs in zip(stored_once.sum(f), of_each.sum(f), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@dense_and_csr
@pytest.mark.parametrize("n_threads", [1, 2, 3, 50])
def test_number_of_threads_does_not_change_the_answer(hold, n_threads, X, rng, tmp_path):
    theta = theta_of(rng)
    X = hold(X, tmp_path)
    whole = all_sums(make_rows(X), theta)
    rows = make_rows(X, layout=THREADED, cores=cores(n_threads))
    with rows.threads():
        assert rows.cores.n_threads == n_threads
        assert_close(all_sums(rows, theta), whole, rtol=1e-13)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_fold_combines_by_any_function(n_threads, X):
    rows = make_rows(X, layout=THREADED, cores=cores(n_threads))
    with rows.threads():
        largest, smallest = rows.fold(lambda block: (block.X.max(), -block.X.min()), max)
    assert (largest, -smallest) == (X.max(), X.min())


@holders
@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_row_gets_its_own_result_whatever_the_blocks_and_the_threads(hold, n_threads, X, rng, tmp_path):
    theta, known = theta_of(rng), rng.standard_normal((N, 2))
    rows = make_rows(hold(X, tmp_path), layout=THREADED, cores=cores(n_threads), first=40)  # as a batch of more rows
    with rows.threads():
        z = rows.each(lambda block: block.scores(theta))
        both = rows.each(lambda block, z, known: z[:, :1] + known[:, 0, None], z, known)
        mask = rows.each(lambda block: block.weight == 0)
        mapped = rows.map(lambda known: known.sum(axis=1), known)
        (total,) = rows.sum(lambda block, z: (block.weight @ z,), z)
    assert len(rows.blocks) > 3
    np.testing.assert_allclose(z, X @ theta[:-1] + theta[-1], rtol=0, atol=1e-5)
    assert z.dtype == rows.dtype
    np.testing.assert_array_equal(both, z[:, :1] + known[:, :1])
    np.testing.assert_array_equal(mask, rows.weight == 0)
    np.testing.assert_array_equal(mapped, known.sum(axis=1))
    np.testing.assert_allclose(total, rows.weight @ z, rtol=1e-5)


@holders
def test_shared_scores_are_those_of_every_row(hold, X, rng, tmp_path):
    rows, theta = make_rows(hold(X, tmp_path)), theta_of(rng)
    assert rows.shared_scores(theta) is None
    theta[:-1] = 0
    shared = rows.repeated(rows.shared_scores(theta))
    np.testing.assert_array_equal(shared, rows.each(lambda block: block.scores(theta)))
    assert shared.dtype == rows.dtype


@holders
@intercepts
def test_rows_are_pickled_without_blocks_threads_and_views(hold, intercept, X, rng, tmp_path):
    theta = theta_of(rng)
    rows = make_rows(hold(X, tmp_path), intercept, centre=np.ones(P) * intercept, layout=THREADED, cores=cores(3))
    with rows.threads():
        for given in (rows, rows.take(np.arange(0, N, 2))):
            expected = all_sums(given, theta)
            pickled = pickle.dumps(given)
            features = [given.X] if isinstance(given.X, np.ndarray) else vars(given.X).values()
            parts = [given.y, given.weight, *features]
            assert len(pickled) < 1.2 * sum(getattr(part, "nbytes", 0) for part in parts) + 4096
            again = pickle.loads(pickled)
            assert again.cores.n_threads == 1
            assert_close(all_sums(again, theta), expected, rtol=1e-13 if given.dtype == np.float64 else 1e-5)


@holders
def test_blocks_are_views_of_all_rows_in_order(hold, X, tmp_path):
    rows = make_rows(hold(X, tmp_path), layout=SEVERAL_BLOCKS)
    dense = [block.X.toarray() if sp.issparse(block.X) else block.X for block in rows.blocks]
    np.testing.assert_array_equal(np.vstack(dense), X)
    np.testing.assert_array_equal(np.concatenate([block.y for block in rows.blocks]), rows.y)
    np.testing.assert_array_equal(np.concatenate([block.weight for block in rows.blocks]), rows.weight)
    for block in rows.blocks:
        ours, theirs = (block.X, rows.X) if isinstance(rows.X, np.ndarray) else (block.X.data, rows.X.data)
        assert np.shares_memory(ours, theirs)
        np.testing.assert_array_equal(rows.y[block.first : block.first + len(block)], block.y)


@holders
def test_taken_rows_are_a_copy_of_those(hold, X, tmp_path):
    rows = make_rows(hold(X, tmp_path), intercept=False)
    index = np.array([3, 5, 200])
    taken = rows.take(index)
    (block,) = taken.blocks
    np.testing.assert_array_equal(block.X.toarray() if sp.issparse(block.X) else block.X, X[index])
    np.testing.assert_array_equal(taken.y, rows.y[index])
    np.testing.assert_array_equal(taken.weight, rows.weight[index])
    assert taken.constant == 0
    assert taken.X.dtype == rows.X.dtype


@holders
@intercepts
def test_a_copy_has_the_sums_of_the_rows_that_it_copies(hold, intercept, X, rng, tmp_path):
    theta, centre = theta_of(rng), np.round(4 * rng.standard_normal(P)) / 4 * intercept
    X = hold(X, tmp_path)
    rows = make_rows(X, intercept, centre.astype(X.dtype), layout=Layout(few_bytes=500))  # copied some at a time
    index = np.sort(rng.choice(N, 90, replace=False))
    theirs = rows_of(X[index], rows.y[index], rows.weight[index], intercept, centre=rows.centre)
    rtol = 1e-13 if X.dtype == np.float64 else 1e-5
    copies = rows.take(index), rows.take(np.arange(N)).take(index)
    assert all(isinstance(copy.block, CopiedBlock) or sp.issparse(copy.X) for copy in copies)
    third = rows_of(X[index[::3]], rows.y[index[::3]], rows.weight[index[::3]], intercept, centre=rows.centre)
    for copy in copies:
        assert_close(all_sums(copy, theta), all_sums(theirs, theta), rtol)
        assert_close(all_sums(copy.every(3), theta), all_sums(third, theta), rtol)
        some = np.arange(90) % 3 == 0
        assert_close(all_sums(copy.without(some), theta), all_sums(theirs.without(some), theta), rtol)
    assert_close(all_sums(theirs.after(copies[0]), theta), [2 * total for total in all_sums(theirs, theta)], rtol)


@holders
@intercepts
@pytest.mark.parametrize("centred", [False, True])
def test_rows_are_filled_with_their_zeros_and_the_constant_feature(hold, intercept, centred, X, tmp_path):
    rows = make_rows(hold(X, tmp_path), intercept)
    rows = rows.about(np.ones(P, rows.dtype)) if centred else rows
    for same in (rows, rows.take(np.arange(N))):
        np.testing.assert_array_equal(same.filled(), np.hstack([X - centred, np.full((N, 1), intercept)]))


def test_features_that_no_row_has_are_left_out_of_csr(X, rng):
    wide, features = np.zeros((N, 1000)), np.sort(rng.choice(1000, P, replace=False))
    wide[:, features] = X
    seen, rows = make_rows(sp.csr_array(wide)).seen()
    np.testing.assert_array_equal(seen, [*features, 1000])
    theta = theta_of(rng)
    assert_close(all_sums(rows, theta), all_sums(make_rows(X), theta), 1e-14)


def test_every_feature_counts_where_rows_are_dense_or_measured_from_a_centre(X):
    for rows in (make_rows(X), make_rows(X).take([0]), make_rows(sp.csr_array(X), centre=np.ones(P))):
        seen, same = rows.seen()
        assert seen is None
        assert same.block is rows.block


@intercepts
@pytest.mark.parametrize("centre", [0, 3])
@pytest.mark.parametrize("csr_first", [False, True])
def test_dense_rows_and_csr_go_together(intercept, centre, csr_first, X, rng):
    forms = (sp.csr_array, np.asarray) if csr_first else (np.asarray, sp.csr_array)
    first, second = (make_rows(form(X), intercept, centre=np.full(P, float(centre))) for form in forms)
    theta = theta_of(rng)
    joined = second.after(first.take(np.arange(N)))
    assert isinstance(joined.X, np.ndarray)
    assert_close(all_sums(joined, theta), [2 * total for total in all_sums(first, theta)], 1e-13)


@pytest.mark.parametrize("centre", [0, 3])
@pytest.mark.parametrize("csr_first", [False, True])
def test_dense_rows_and_csr_of_many_features_go_together_as_csr(centre, csr_first):
    p = 2**21
    X = sp.random_array((3, p), density=1e-5, format="csr", random_state=np.random.default_rng(0))
    centre, theta = np.full(p, float(centre)), np.ones((p + 1, K))
    forms = (sp.csr_array, sp.csr_array.toarray) if csr_first else (sp.csr_array.toarray, sp.csr_array)
    first, second = (make_rows(form(X), centre=centre) for form in forms)
    joined = second.after(first.take(np.arange(3)))
    assert joined.is_sparse
    z = joined.each(lambda block: block.scores(theta))
    expected = np.tile(X.sum(axis=1)[:, None] - centre.sum() + 1, (2, K))
    np.testing.assert_allclose(z, expected, rtol=1e-9)


@pytest.mark.parametrize("size", [1, 10, 10_000])
def test_gram_of_pieces_of_any_size_is_the_same(size, X, rng):
    theta = theta_of(rng)
    whole = all_sums(make_rows(X, centre=np.ones(P)), theta)
    rows = make_rows(X, centre=np.ones(P), layout=Layout(gram_bytes=1, gram_rows=size))
    assert_close(all_sums(rows, theta), whole, rtol=1e-13)
    assert_close(all_sums(rows.take(np.arange(N)), theta), whole, rtol=1e-13)


@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_taken_without_a_copy_of_all(order, rng):
    X = np.asarray(rng.standard_normal((100_000, 10)), order=order)
    rows = rows_of(X, np.zeros(len(X), np.uint8), np.ones(len(X)), centre=np.ones(10))
    tracemalloc.start()
    rows.take(np.arange(0, len(X), 100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.1 * X.nbytes


@holders
def test_only_few_dense_rows_are_copied_unasked(hold, X, tmp_path):
    rows = make_rows(hold(X, tmp_path))
    assert (rows.copied_if_few() is rows) == sp.issparse(rows.X)
    more = make_rows(hold(X, tmp_path), layout=Layout(few_bytes=rows.n_bytes - 1))
    assert more.copied_if_few() is more


@holders
@intercepts
def test_largest_row_is_the_largest_weighted_square(hold, intercept, X, tmp_path):
    rows = make_rows(hold(X, tmp_path), intercept)
    (block,) = rows.blocks
    assert block.largest_row() == pytest.approx((rows.weight * ((X**2).sum(axis=1) + intercept)).max(), rel=1e-6)


def test_smallest_weight_is_that_of_the_rows_that_have_any(X):
    rows = make_rows(X)
    assert rows.weight.min() == 0
    assert rows.smallest_weight == 1
    assert rows.total == rows.weight.sum()


# --- Threads ---------------------------------------------------------------------------------------------


@pytest.fixture
def threaded(X):
    """Rows of which even these few are summed by threads, where BLAS may have two."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        yield make_rows(X, layout=THREADED)


def blas_threads():
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


def test_blas_has_one_thread_inside_and_as_many_as_before_outside(threaded):
    before = blas_threads()
    with threaded.threads():
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_an_exception_inside_gives_the_threads_back(threaded, rng):
    before, theta = blas_threads(), theta_of(rng)
    whole = all_sums(threaded, theta)

    def fail(block):
        raise KeyError("of a block")

    with pytest.raises(KeyError, match="of a block"), threaded.threads():
        threaded.sum(fail)
    assert blas_threads() == before
    assert_close(all_sums(threaded, theta), whole, rtol=1e-13)


def test_fits_side_by_side_restore_the_threads_when_the_last_ends(threaded, X):
    before = blas_threads()
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(threaded.threads())
        second.enter_context(make_rows(X, layout=THREADED).threads())
        first.close()
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


class LivingThread(ThreadPoolExecutor):
    """A thread that enters a context manager, and leaves it when told to."""

    def __init__(self):
        super().__init__(1)

    def enter(self, make):
        self.context = self.submit(make).result()
        self.submit(self.context.__enter__).result()

    def leave(self):
        self.submit(self.context.__exit__, None, None, None).result()


@pytest.fixture
def pair(threaded):
    """Two threads, neither of which has limited BLAS before."""
    for library in ONE_BLAS_THREAD.find()[0]:
        if hasattr(library, "clear_controlling_thread"):  # from threadpoolctl 3.8 on
            library.clear_controlling_thread(force=True)
    with LivingThread() as one, LivingThread() as other:
        yield one, other


def limited_blas():
    """What KMeans does."""
    return threadpoolctl.threadpool_limits(1, user_api="blas")


def test_a_limit_that_ends_during_a_fit_stays_ended_after_the_fit(threaded, pair):
    (kmeans, fit), before = pair, blas_threads()
    kmeans.enter(limited_blas)
    fit.enter(threaded.threads)
    kmeans.leave()
    fit.leave()
    assert blas_threads() == before


def test_a_limit_that_begins_during_a_fit_and_ends_in_it_leaves_the_fits_own(threaded, pair):
    (kmeans, fit), before = pair, blas_threads()
    fit.enter(threaded.threads)
    kmeans.enter(limited_blas)
    kmeans.leave()
    assert set(blas_threads()) == {1}
    fit.leave()
    assert blas_threads() == before


@pytest.mark.skipif(
    [int(part) for part in threadpoolctl.__version__.split(".")[:2]] < [3, 8],
    reason="KMeans restores the 1 that it found",
)
def test_a_limit_that_outlasts_the_fit_in_which_it_began_is_not_for_good(threaded, pair):
    (kmeans, fit), before = pair, blas_threads()
    fit.enter(threaded.threads)
    kmeans.enter(limited_blas)
    fit.leave()
    kmeans.leave()
    assert blas_threads() == before


def test_fits_of_two_threads_that_overlap_restore_the_threads(threaded, pair):
    (one, other), before = pair, blas_threads()
    one.enter(threaded.threads)
    other.enter(threaded.threads)
    one.leave()
    assert set(blas_threads()) == {1}
    other.leave()
    assert blas_threads() == before


def test_a_thread_can_limit_blas_for_its_fit_after_a_fit_of_another_thread(threaded, pair):
    (one, other), before = pair, blas_threads()
    one.enter(threaded.threads)
    one.leave()
    other.enter(threaded.threads)
    assert set(blas_threads()) == {1}
    other.leave()
    assert blas_threads() == before


def test_many_fits_in_threads_restore_the_threads(threaded, X, rng):
    before, theta = blas_threads(), theta_of(rng)
    whole = all_sums(threaded, theta)

    def fit(_):
        rows = make_rows(X, layout=THREADED)
        with rows.threads():
            return all_sums(rows, theta)

    with ThreadPoolExecutor(4) as pool:
        for sums in pool.map(fit, range(24)):
            assert_close(sums, whole, rtol=1e-13)
    assert blas_threads() == before


def test_few_products_start_no_threads(X):
    rows = make_rows(X, cores=cores(2))
    before = threading.active_count()
    with rows.threads():
        rows.sum(lambda block: (block.weight.sum(),))
        assert threading.active_count() == before
        rows.sum(lambda block: (block.weight.sum(),), products=1e9)
        assert threading.active_count() > before


# --- Row space -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [20, 12])
def test_compact_rows_keep_the_scores_and_the_norm(rank, rng):
    X = rng.standard_normal((20, rank)) @ rng.standard_normal((rank, 300))
    rows = rows_of(X, np.zeros(20, int), np.ones(20))
    low_rows, lower, lift = compact(rows, 1000)
    assert low_rows.X.shape == (20, rank)
    theta = rng.standard_normal((301, 2))
    low = lower(theta)
    high = lift(low)
    z, z_compact, z_lifted = (r.blocks[0].forward(t) for r, t in ((rows, theta), (low_rows, low), (rows, high)))
    np.testing.assert_allclose(z_compact, z, rtol=0, atol=1e-11 * np.abs(z).max())
    np.testing.assert_allclose(z_lifted, z, rtol=0, atol=1e-11 * np.abs(z).max())
    np.testing.assert_allclose(np.linalg.norm(high[:-1]), np.linalg.norm(low[:-1]), rtol=1e-11)
    np.testing.assert_array_equal(high[-1], theta[-1])
    np.testing.assert_allclose(lower(high), low, rtol=0, atol=1e-11 * np.abs(low).max())


def test_compact_rows_of_scales_over_six_orders_come_back_with_their_scores(rng):
    X = rng.standard_normal((20, 300)) * 1e-3
    X[:, :3] *= 1e6
    rows = rows_of(X, np.zeros(20, int), np.ones(20))
    low_rows, _, lift = compact(rows, 1000)
    low = np.vstack([rng.standard_normal((20, 2)) / np.linalg.norm(low_rows.X, axis=0)[:, None], [[0, 0]]])
    z_compact, z = low_rows.blocks[0].forward(low), rows.blocks[0].forward(lift(low))
    np.testing.assert_allclose(z, z_compact, rtol=0, atol=1e-9)


def test_compact_coefficients_have_the_scores_of_small_features_beside_large_ones(rng):
    X = rng.standard_normal((6, 30))
    X[:, 0] = 1e7 + X[:, 0]  # the rows are nearly parallel
    rows, theta = rows_of(X, np.arange(6) % 2, np.ones(6)), np.vstack([1e-7, rng.standard_normal((29, 1)), 0.0])
    low_rows, lower, lift = compact(rows, 1000)
    z = low_rows.blocks[0].forward(lower(theta))
    np.testing.assert_allclose(rows.blocks[0].forward(lift(lower(theta))), z, rtol=0, atol=1e-12)


def test_compact_keeps_small_features_of_float32(rng):
    X = rng.standard_normal((4, 30), dtype=np.float32) * np.where(np.arange(30) < 2, 1e4, 1e-3).astype(np.float32)
    low_rows, _, _ = compact(rows_of(X, np.arange(4) % 2, np.ones(4)), 1000)
    assert low_rows.X.shape == (4, 4)


@pytest.mark.parametrize("hold", [sp.csr_array, lambda X: X[:, :10], lambda X: X * np.logspace(0, 20, 300)])
def test_compact_leaves_tall_sparse_and_badly_scaled_rows_as_they_are(hold, rng):
    rows = rows_of(hold(rng.standard_normal((20, 300))), np.zeros(20, int), np.ones(20))
    same, lower, lift = compact(rows, 1000)
    assert same is rows
    theta = rng.standard_normal((301, 2))
    assert lower(theta) is theta
    assert lift(theta) is theta


def test_compact_takes_rows_of_zeros():
    low_rows, lower, lift = compact(rows_of(np.zeros((2, 5)), np.array([0, 1]), np.ones(2)), 1000)
    assert low_rows.X.shape == (2, 1)
    np.testing.assert_array_equal(lift(lower(np.zeros((6, 1)))), 0)


@pytest.mark.parametrize("hold", [np.asarray, sp.csr_array, int64_indices], ids=["dense", "CSR", "CSR, int64 indices"])
@pytest.mark.parametrize("n", [1, 2, 100, 101, 300])
def test_a_column_is_constant_where_its_least_entry_is_its_largest(hold, n):
    X = np.zeros((n, 8))
    X[:, 1] = 3.5
    X[-1, 2] = X[0, 3] = X[n // 2, 4] = 1.0  # constant but for one row
    X[:, 5], X[:-1, 6] = np.arange(n), -2.0
    assert is_constant(hold(X)).tolist() == (X.min(axis=0) == X.max(axis=0)).tolist()


def test_an_explicit_zero_varies_no_column():
    X = sp.csr_array(([0.0, 2.0, 0.0], [0, 1, 1], [0, 2, 3]), shape=(2, 2))
    assert is_constant(X).tolist() == [True, False]
