"""fit_batches: rows that come in batches, several times, have the minimum that they have all at once."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from gdlogit import GDLogisticRegression
from gdlogit.backprop import Softmax
from gdlogit.data.layout import Layout
from gdlogit.data.memory import rows_of
from gdlogit.data.source import BatchRows, Source
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet


def raw(n=6000, p=6, k=2, seed=0):
    """Rows on raw scales, with an offset like that of a year."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    z = X @ rng.standard_normal((p, k)) + rng.gumbel(size=(n, k))
    X[:, 0] = 2000 + 5 * X[:, 0]
    X[:, 1:] *= 10.0 ** np.linspace(-3, 5, p - 1)
    return X, z.argmax(axis=1)


def batches(*arrays, size=700):
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[1]), size)]


def model(**parameters):
    return GDLogisticRegression(**{"tol": 1e-12, "random_state": 0, "C": 1e4} | parameters)


def assert_same_fit(ours, theirs, X):
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.coef_ * X.std(axis=0), theirs.coef_ * X.std(axis=0), atol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    assert ours.converged_
    assert 0 <= ours.duality_gap_ < 1e-6
    assert ours.loss_curve_[-1] == pytest.approx(theirs.loss_curve_[-1], rel=1e-10)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"C": np.inf}, {"C": 0.1, "l1_ratio": 0.5}, {"fit_intercept": False}, {"class_weight": "balanced"}],
)
@pytest.mark.parametrize("k", [2, 3])
def test_batches_have_the_minimum_of_all_rows(k, parameters):
    X, y = raw(k=k)
    if "fit_intercept" in parameters:
        X[:, 0] -= 2000
    ours, theirs = model(**parameters).fit_batches(batches(X, y)), model(**parameters).fit(X, y)
    if parameters.get("C") == np.inf:
        ours.duality_gap_ = 0.0  # there is none
    assert_same_fit(ours, theirs, X)
    assert 3 < ours.n_passes_ < 40


@pytest.mark.parametrize("k", [2, 3])
def test_many_parameters_have_the_minimum_of_all_rows(k):
    rng = np.random.default_rng(0)
    X = sp.random_array((3000, 1600), density=0.01, random_state=rng, format="csr")
    y = np.argmax(X @ rng.standard_normal((1600, k)) * 5 + rng.gumbel(size=(3000, k)), axis=1)
    ours, theirs = model(C=1).fit_batches(batches(X, y)), model(C=1).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    assert ours.duality_gap_ < 1e-6


def test_dense_csr_and_mixed_batches_agree():
    X, y = raw()
    X[np.abs(X) < np.abs(X).mean(axis=0) / 2] = 0
    dense, csr = batches(X, y), batches(sp.csr_array(X), y)
    mixed = [pair[i % 2] for i, pair in enumerate(zip(dense, csr, strict=True))]
    theirs = model().fit(X, y)
    for source in (dense, csr, mixed):
        assert_same_fit(model().fit_batches(source), theirs, X)


@pytest.mark.parametrize("solver", ["gd", "nesterov"])
def test_the_textbooks_descents_take_the_same_steps(solver):
    X, y = raw()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    ours, theirs = (model(solver=solver, tol=1e-4, C=1) for _ in range(2))
    np.testing.assert_allclose(ours.fit_batches(batches(X, y)).coef_, theirs.fit(X, y).coef_, rtol=1e-9)


def test_weights_and_text_labels_are_those_of_fit():
    X, y = raw(k=3)
    y = np.array(["a", "b", "c"], dtype=object)[y]
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    weight[:700] = 0  # a whole batch that is no row
    weight[y == "b"] = 0  # a class that has none
    ours = model().fit_batches(batches(X, y, weight))
    assert_same_fit(ours, model().fit(X, y, weight), X)
    assert ours.classes_.dtype == object


def test_float32_batches_are_used_in_float32():
    X, y = raw()
    X = X.astype(np.float32)
    ours, theirs = (GDLogisticRegression(random_state=0, C=1e4) for _ in range(2))
    ours.fit_batches(batches(X, y))
    assert ours.coef_.dtype == np.float32
    np.testing.assert_allclose(ours.predict_proba(X), theirs.fit(X, y).predict_proba(X), atol=1e-3)


def test_the_source_may_be_a_function_cut_its_batches_anew_and_leave_some_empty():
    X, y = raw()
    sizes = iter(range(500, 10_000, 50))

    def source():
        yield X[:0], y[:0]
        yield from batches(X, y, size=next(sizes))

    ours = model().fit_batches(source, classes=[0, 1])
    assert_same_fit(ours, model().fit(X, y), X)


def test_one_row_at_a_time_is_enough():
    X, y = raw(n=200)
    assert_same_fit(model().fit_batches(batches(X, y, size=1)), model().fit(X, y), X)


def test_memory_is_that_of_a_few_batches():
    n_batches, m, p = 60, 2000, 50

    def source():
        for seed in range(n_batches):
            rng = np.random.default_rng(seed)
            X = rng.standard_normal((m, p))
            yield X, (rng.random(m) < 1 / (1 + np.exp(-X[:, 0]))).astype(int)

    tracemalloc.start()
    ours = GDLogisticRegression(random_state=0).fit_batches(source)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert ours.converged_
    assert peak < n_batches * m * p * 8 * 0.9  # 48 MB, of which a quarter is sampled


def changing(change):
    """A source whose passes from the third on are changed."""
    X, y = raw(n=3000)
    passes = iter(range(100))

    def source():
        given = batches(X, y)
        return iter(given if next(passes) < 2 else change(given))

    return source


def broken(given):
    yield given[0]
    raise OSError("the disk has gone")


CHANGES = {
    "empty": (lambda given: [], ValueError, "source must yield the same rows in every pass.*pass 3 has 0 rows"),
    "fewer": (lambda given: given[:-1], ValueError, "pass 3 has 2800 rows"),
    "more": (lambda given: given + given[:1], ValueError, "pass 3 has more than 3000 rows"),
    "order": (lambda given: given[::-1], ValueError, "pass 3 has (other|more)"),
    "features": (lambda given: [(X[:, 1:], y) for X, y in given], ValueError, "features"),
    "values": (lambda given: [(X + 1, y) for X, y in given], ValueError, "pass 3 has other rows"),
    "labels": (lambda given: [(X, 1 - y) for X, y in given], ValueError, "pass 3 has other rows"),
    "broken": (broken, OSError, r"the disk has gone\nIn pass 3 over source, at batch 2"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_source_that_changes_is_an_error_and_the_estimator_keeps_what_it_had(name):
    change, kind, message = CHANGES[name]
    ours = GDLogisticRegression(random_state=0).fit(*raw(n=500, p=3))
    before = vars(ours).copy()
    with pytest.raises(kind, match=message):
        ours.fit_batches(changing(change))
    assert vars(ours) == before


X, Y = raw(n=100)


@pytest.mark.parametrize(
    ("source", "classes", "kind", "message"),
    [
        ([], None, ValueError, "source must yield at least one batch with rows"),
        (iter([(X, Y)]), None, TypeError, "source must be an iterable that can be iterated again"),
        (7, None, TypeError, "source must be an iterable that can be iterated again"),
        ([X], None, ValueError, r"source must yield \(X, y\), \(X, y, sample_weight\)"),
        ([(X, np.zeros(100))], None, ValueError, "at least two classes"),
        ([(X, Y)], [0, 1, 2], ValueError, "classes=.* must all have rows"),
        ([(X, Y + 1)], [0, 1], ValueError, "y must hold labels of classes"),
        ([(X, Y), (X, Y + 0.5)], None, ValueError, "Unknown label type: continuous"),
        ([(X, Y), (X * np.nan, Y)], None, ValueError, r"NaN(.|\n)*In pass 1 over source, at batch 2"),
        ([(X, Y), (X, Y[:5])], None, ValueError, "inconsistent"),
        ([(X, Y, -np.ones(100))], None, ValueError, "sample_weight must not be negative"),
        ([(X, Y, np.full(100, 1e308))], None, ValueError, "too large for float64"),
        ([(X, Y), (X, np.full(len(Y), None))], None, ValueError, r"y must hold .*it holds \[None\]"),
        ([(X, Y), (X, Y.astype(str).astype(object))], None, ValueError, r"y must hold .*it holds"),
        ([(X, Y)], [0, None], ValueError, r"classes must hold .*it holds \[None, 0\]"),
    ],
)
def test_errors_name_what_is_wrong_and_leave_the_estimator_as_it_was(source, classes, kind, message):
    ours = GDLogisticRegression()
    with pytest.raises(kind, match=message):
        ours.fit_batches(source, classes)
    assert vars(ours) == vars(GDLogisticRegression())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"solver": "sgd"}, "use partial_fit"), ({"early_stopping": True}, "early_stopping=True")],
)
def test_what_needs_rows_at_hand_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        GDLogisticRegression(**parameters).fit_batches([(X, Y)])


def test_a_stream_that_begins_has_nothing_of_a_fit_before():
    ours = GDLogisticRegression(random_state=0).fit_batches([(X, Y)])
    assert len(ours.history_) == ours.n_iter_
    new = set(vars(ours.partial_fit(X, Y))) - set(vars(GDLogisticRegression().partial_fit(X, Y, [0, 1])))
    assert not new


def test_separable_classes_without_a_penalty_are_named():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1000, 2))
    with pytest.warns(ConvergenceWarning, match="separable"):
        GDLogisticRegression(C=np.inf).fit_batches(batches(X, (X[:, 0] > 0).astype(int)))


def test_fit_forgets_the_passes_and_a_warm_start_goes_on_from_there():
    X, y = raw()
    ours = model(warm_start=True).fit_batches(batches(X, y))
    passes = ours.n_passes_
    assert ours.fit_batches(batches(X, y)).n_passes_ < passes
    assert not hasattr(ours.fit(X, y), "n_passes_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_memory_map_is_fitted_as_the_array_is_without_a_copy(dtype, tmp_path):
    X, y = raw(n=100_000, p=80)
    X = X.astype(dtype)
    np.save(tmp_path / "X.npy", X)
    theirs = GDLogisticRegression(random_state=0, C=1e4).fit(X, y)
    tracemalloc.start()
    ours = GDLogisticRegression(random_state=0, C=1e4).fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    assert peak < 0.9 * X.nbytes


@pytest.mark.parametrize(
    ("dtype", "order"), [("float64", "F"), ("float32", "C"), ("float16", "C"), ("int32", "F"), ("uint8", "C")]
)
def test_a_memory_map_of_any_dtype_and_order_is_not_copied(tmp_path, dtype, order):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 200, (500_000, 20)).astype(dtype)
    y = (values[:, 0].astype(float) - values[:, 1] + 50 * rng.standard_normal(len(values)) > 0).astype(int)
    mapped = np.memmap(tmp_path / "X", dtype, "w+", shape=values.shape, order=order)
    mapped[:] = values
    mapped.flush()
    X = np.memmap(tmp_path / "X", dtype, "r", shape=values.shape, order=order)
    precision = np.float32 if dtype == "float32" else np.float64
    reference = GDLogisticRegression(random_state=0).fit(values.astype(precision), y)
    tracemalloc.start()
    model = GDLogisticRegression(random_state=0).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.converged_
    np.testing.assert_allclose(model.coef_, reference.coef_, atol=1e-4 if dtype == "float32" else 1e-6)
    assert peak < 60 * 2**20  # a sample and a slice; X in float64 is 76 MB


def test_rows_are_taken_and_left_out_across_batches():
    X, y = raw(n=1000)
    weight = np.arange(1.0, 1001.0)
    source = Source(batches(X, y, weight, size=300), lambda batch, reset: batch)
    rows = BatchRows(source)
    ours = rows.take(np.array([3, 950, 999]))  # of the first and the last of four batches
    np.testing.assert_array_equal(ours.X, X[[3, 950, 999]])
    first, last = np.arange(1000) < 500, np.arange(1000) >= 900

    def total(block):
        return (block.weight.sum(),)

    assert rows.without(first).without(last).sum(total)[0] == weight[500:900].sum()


def test_what_is_known_of_each_row_is_used_without_another_pass():
    X, y = raw(n=1000, k=3)
    source = Source(batches(X, y, np.ones(1000), size=300), lambda batch, reset: batch)
    ours = Objective(BatchRows(source, n_scores=3, layout=Layout(block_scores=100)), Softmax(3), ElasticNet(0.1))
    theirs = Objective(rows_of(X, y, np.ones(1000), n_scores=3), Softmax(3), ElasticNet(0.1))
    theta = np.random.default_rng(0).standard_normal((7, 3)) / np.append(X.std(axis=0), 1)[:, None]
    z, passes = ours.scores(theta), source.n_passes
    np.testing.assert_allclose(z, theirs.scores(theta), rtol=1e-12)
    c = ours.curvature(z)
    np.testing.assert_array_equal(c, theirs.curvature(z))
    assert not ours.scores(np.zeros_like(theta)).any()
    assert source.n_passes == passes
    np.testing.assert_allclose(ours.hessian_product(c)(theta), theirs.hessian_product(c)(theta), rtol=1e-10)
    assert source.n_passes == passes + 1


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [(None, None, "^y should be"), (1, None, "^y should be"), ([0, 1] * 10, 3.0, "^sample_weight must have one")],
)
def test_a_memory_map_of_integers_names_what_does_not_go_with_it(y, weight, message, tmp_path):
    X = np.memmap(tmp_path / "X", np.int32, "w+", shape=(20, 3))
    X[:, 0] = np.arange(20)
    with pytest.raises(ValueError, match=message):
        GDLogisticRegression().fit(X, y, weight)


def test_a_memory_map_of_integers_takes_a_column_of_labels_with_one_warning(tmp_path):
    X = np.memmap(tmp_path / "X", np.int32, "w+", shape=(20, 3))
    with pytest.warns(DataConversionWarning, match="column-vector y") as said:
        GDLogisticRegression().fit(X, np.arange(20)[:, None] % 2)
    assert len(said) == 1


@pytest.mark.parametrize("C", [1, 300])
def test_few_rows_that_are_read_anew_in_each_pass_take_no_long_solves_on_the_way(C):
    """For rows in memory a product is cheap, and l1 solves for Newton's step: a thousand passes in twenty steps."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 99)) * 10 ** rng.uniform(-2, 2, 99) + rng.standard_normal(99)
    fitted = GDLogisticRegression(C=C, l1_ratio=0.5, random_state=0).fit_batches(
        batches(X, rng.integers(0, 3, 30), size=15)
    )
    assert fitted.converged_
    solves = np.diff(fitted.history_["passes"]) > 2  # the last few may confirm the estimate of the excess
    assert solves.mean() <= 0.1
