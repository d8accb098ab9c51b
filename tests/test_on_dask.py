"""Dask: the same fit on a cluster, lazy predictions, lost workers, and what goes over the wire."""

import gc
import os
import signal
import threading
import time
from operator import add, mul

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV, inference
from gdlogit.backprop import loss_of
from gdlogit.data.dask_parts import DaskParts
from gdlogit.data.labels import Columns
from gdlogit.data.on_dask import parts_of
from gdlogit.data.part_rows import PartRows
from gdlogit.data.parts import InProcess, surveyed
from gdlogit.estimators.folds_on_parts import dealt
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

pytestmark = [
    pytest.mark.filterwarnings("ignore:Port .* is already in use"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # sockets of a worker that was killed
]


def client_of(n_workers):
    how = {"n_workers": n_workers, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def client():
    yield from client_of(2)


@pytest.fixture(scope="module")
def client_of_three():
    """A client of three workers: a test kills one of them, and does not wait for a new one, which may never start."""
    yield from client_of(3)


def rows(k=2, n=4000, p=6, seed=0, scaled=False):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.3 * rng.standard_normal((p, p)))
    y = (X @ rng.standard_normal((p, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return (X, y) if scaled else (X * 10.0 ** np.linspace(-3, 4, p) + np.append(0.2, np.zeros(p - 1)), y)


def in_chunks(*arrays, size=450):
    return [da.from_array(array, chunks=(size, *array.shape[1:])) for array in arrays]


def model(**parameters):
    return GDLogisticRegression(**{"random_state": 0, "tol": 1e-12} | parameters)


def assert_same_probabilities(ours, theirs, X):
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-8)


def tasks_of(client):
    return client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])


def settled(client):
    """Wait until the scheduler has let go of all that nobody refers to."""
    for _ in range(50):
        if not (left := [key for key in tasks_of(client) if key.startswith("gdlogit")]):
            return True
        time.sleep(0.1)
    return left


# --- Fits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3])
def test_arrays_with_weights_have_the_fit_of_all_rows_and_leave_nothing(client, k):
    X, y = rows(k)
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    weight[450:900] = 0
    y[1800:2250] = 1
    ours = model(class_weight="balanced").fit(*in_chunks(X, y, weight))
    theirs = model(class_weight="balanced").fit(X, y, weight)
    assert_same_probabilities(ours, theirs, X)
    assert ours.converged_
    assert ours.history_["passes"][-1] <= ours.n_passes_ < 40
    assert settled(client) is True


def test_frames_have_names_and_may_have_text_labels_empty_partitions_and_unknown_lengths(client):
    X, y = rows(3)
    frame = pd.DataFrame(X, columns=list("abcdef")).assign(label=np.array(["u", "v", "w"])[y], flag=X[:, 0] > 0.2)
    collection = dd.from_pandas(frame, npartitions=7)
    collection = collection[~collection["a"].between(*frame["a"].iloc[[0, 1]].sort_values())]
    some = collection.compute()
    names = [*"abcdef", "flag"]
    ours = model().fit(collection[names], collection["label"], client=client)
    theirs = model().fit(some[names].astype(float), some["label"])
    assert_same_probabilities(ours, theirs, some[names].astype(float))
    np.testing.assert_array_equal(ours.feature_names_in_, names)
    emptied = collection.partitions[0][collection.partitions[0]["a"] < -1e9]
    with_empty = dd.concat([emptied, collection])
    again = model().fit(with_empty[names], with_empty["label"])
    np.testing.assert_allclose(again.coef_, ours.coef_, rtol=1e-9)
    with pytest.warns(UserWarning, match="limited support"):
        labels = collection["label"].values
    assert_same_probabilities(
        model().fit(collection[list("abcdef")].values, labels),
        model().fit(some[list("abcdef")].to_numpy(), some["label"]),
        some[list("abcdef")].to_numpy(),
    )


def test_futures_delayed_values_and_blocks_of_csr_are_taken(client):
    X, y = rows()
    X[np.abs(X) < 0.5 * X.std(axis=0)] = 0
    theirs = model().fit(sp.csr_array(X), y)
    tuples = [(sp.csr_array(X[i : i + 500]), y[i : i + 500]) for i in range(0, 4000, 500)]
    futures = client.map(lambda pair: pair, tuples)
    delayed = [dask.delayed(pair) for pair in tuples]
    blocks, labels = in_chunks(X, y)
    blocks = blocks.map_blocks(sp.csr_array)
    for given in ((futures, None), (delayed, None), (blocks, labels)):
        assert_same_probabilities(model().fit(*given), theirs, X)
    predicted = dask.compute(theirs.predict_proba(delayed), theirs.predict_proba(futures))
    for parts in predicted:
        np.testing.assert_allclose(np.concatenate(parts), theirs.predict_proba(X), atol=1e-12)


def test_float32_and_offsets_stay_what_they_are(client):
    X, y = rows()
    X, offset = X.astype(np.float32), np.linspace(-1, 1, len(y))
    dX, dy, do = in_chunks(X, y, offset)
    ours, theirs = model(tol=1e-8).fit(dX, dy, offset=do), model(tol=1e-8).fit(X, y, offset=offset)
    assert ours.coef_.dtype == np.float32
    probabilities = theirs.predict_proba(X, offset=offset)
    np.testing.assert_allclose(ours.predict_proba(X, offset=offset), probabilities, atol=1e-3)
    lazy = theirs.predict_proba(dX, offset=do)
    assert lazy.dtype == probabilities.dtype
    np.testing.assert_allclose(lazy.compute(), probabilities, atol=1e-5)
    with pytest.raises(ValueError, match="offset is missing"):
        theirs.predict(dX)


@pytest.mark.parametrize("held", [True, False])
def test_held_out_rows_may_be_a_collection_or_in_memory(client, held):
    (X, y), (X_val, y_val) = rows(), rows(seed=1)
    terms = {"early_stopping": True, "C": np.inf}
    validation = in_chunks(X_val, y_val) if held else (X_val, y_val)
    ours = model(**terms).fit(*in_chunks(X, y), X_val=validation[0], y_val=validation[1])
    theirs = model(**terms).fit(X, y, X_val=X_val, y_val=y_val)
    np.testing.assert_allclose(ours.validation_loss_curve_, theirs.validation_loss_curve_, rtol=1e-9)


def test_a_softmax_of_many_parameters_goes_by_products(client):
    rng = np.random.default_rng(0)
    X = sp.random_array((3000, 800), density=0.02, random_state=rng, format="csr")
    y = np.argmax(X @ rng.standard_normal((800, 3)) * 5 + rng.gumbel(size=(3000, 3)), axis=1)
    futures = client.map(lambda pair: pair, [(X[i : i + 500], y[i : i + 500]) for i in range(0, 3000, 500)])
    ours, theirs = model(tol=1e-10).fit(futures, None), model(tol=1e-10).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    assert ours.duality_gap_ < 1e-6


@pytest.mark.filterwarnings("ignore:The best score is at:UserWarning")  # of a short grid
def test_cross_validation_deals_the_rows_of_each_partition(client):
    X, y = rows(n=2000)
    X /= X.std(axis=0)
    weight = np.random.default_rng(1).integers(1, 3, len(y)).astype(float)
    collections = in_chunks(X, y, weight)
    ours = GDLogisticRegressionCV(Cs=[0.001, 0.01, 0.1], random_state=0).fit(*collections)
    assert ours.converged_
    fold = np.concatenate([dealt(5, i // 450, y[i : i + 450]) for i in range(0, 2000, 450)]).argmax(axis=1)
    theirs = GDLogisticRegressionCV(Cs=[0.001, 0.01, 0.1], random_state=0, cv=PredefinedSplit(fold)).fit(X, y, weight)
    np.testing.assert_allclose(ours.scores_, theirs.scores_, rtol=1e-6)
    assert ours.C_ == theirs.C_
    assert ours.score(*collections) == pytest.approx(ours.score(X, y, weight))


def test_inference_keeps_the_rows_where_they_are(client):
    X, y = rows(scaled=True)
    fitted = model(C=np.inf).fit(X, y)
    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcdef")).assign(late=y, town=np.arange(len(y)) // 9), 5)
    named = model(C=np.inf).fit(frame[list("abcdef")], frame["late"])
    ours = named.inference(frame[list("abcdef")], frame["late"], cov_type="cluster", groups=frame["town"])
    theirs = fitted.inference(X, y, cov_type="cluster", groups=np.arange(len(y)) // 9)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-6)
    assert "late" in str(ours.summary())
    assert ours.names[1] == "a"
    del ours
    gc.collect()
    assert settled(client) is True


# --- Predictions ----------------------------------------------------------------------------------------------------


def never(block):
    raise AssertionError("computed")


@pytest.mark.filterwarnings(
    "ignore:Running on a single-machine scheduler:UserWarning"
)  # by an older Dask, of another test's client
def test_predictions_compute_nothing_until_asked_and_are_of_the_same_kind():
    X, y = rows(3)
    fitted = model().fit(X, y)
    names = list("abcdef")
    frame = dd.from_pandas(pd.DataFrame(X, columns=names, index=np.arange(len(y)) * 2), npartitions=3)
    named = model().fit(frame.compute(), y)
    (dX,) = in_chunks(X)
    with dask.config.set(scheduler="sync"):
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            expected = getattr(fitted, method)(X)
            assert getattr(fitted, method)(dX.map_blocks(never, dtype=float)).shape == expected.shape
            ours = getattr(fitted, method)(dX)
            assert ours.dtype == expected.dtype
            np.testing.assert_allclose(ours.compute(), expected, rtol=1e-9)
            of_frame = getattr(named, method)(frame)
            np.testing.assert_allclose(of_frame.compute(), expected, rtol=1e-9)
            np.testing.assert_array_equal(of_frame.compute().index, frame.compute().index)
        assert list(of_frame.columns) == [0, 1, 2]
        empty = frame[frame["a"] < -1e9]
        assert len(named.predict(empty).compute()) == 0
        assert named.predict_proba(empty).compute().shape == (0, 3)
        assert fitted.predict_proba(dX[dX[:, 0] < -1e9]).compute().shape == (0, 3)
        assert fitted.predict_proba(dX[dX[:, 0] < 0.2]).compute().shape[1] == 3


def test_score_is_that_of_all_rows(client):
    X, y = rows(3)
    weight = np.linspace(0, 2, len(y))
    fitted = model().fit(X, y)
    dX, dy, dw = in_chunks(X, y, weight)
    assert fitted.score(dX, dy) == pytest.approx(fitted.score(X, y))
    assert fitted.score(dX, dy, dw) == pytest.approx(fitted.score(X, y, weight))
    some = dX[:, 0] > np.sort(X[:450, 0])[-1]  # and none of the first chunk
    assert fitted.score(dX[some], dy[some]) == pytest.approx(fitted.score(X[some.compute()], y[some.compute()]))


# --- Errors ---------------------------------------------------------------------------------------------------------


X, Y = rows()
CHUNKS = {"X": in_chunks(X)[0], "y": in_chunks(Y)[0]}
FRAME = dd.from_pandas(
    pd.DataFrame({"a": X[:, 0], "town": pd.Categorical(["u", "v"] * 2000), "name": ["x"] * 4000}), npartitions=2
)
NAN = np.where(np.arange(len(X))[:, None] == 1000, np.nan, X)


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        ({"X": CHUNKS["X"].rechunk({1: 3})}, ValueError, r"one chunk of columns; got 2. Use X.rechunk\(\{1: -1\}\)"),
        ({"y": in_chunks(Y, size=500)[0]}, ValueError, "y must have as many partitions as X, 9; got 8"),
        (
            {"y": da.from_array(Y, chunks=((440, 460, *[450] * 6, 400),))},
            ValueError,
            r"(?s)inconsistent.*In partition \d",
        ),
        ({"X": in_chunks(NAN)[0]}, ValueError, r"(?s)NaN.*In partition 2\."),
        ({"X": FRAME}, ValueError, r"'town' \(category\), 'name' \(str\w*\).*get_dummies"),
        ({"X": FRAME["a"]}, ValueError, "X must be a DataFrame"),
        ({"y": Y}, TypeError, r"y must be a Dask array .*from_array"),
        ({"X": X}, TypeError, "X must be a Dask collection, as other arguments are; got a ndarray in memory"),
        ({"y": None}, ValueError, "y must be given"),
        ({"X": CHUNKS["y"]}, ValueError, "X must have two dimensions"),
        ({"X": [dask.delayed((X, Y))]}, TypeError, "y must be None if X is a list of futures"),
        ({"X": [dask.delayed(X)], "y": None}, ValueError, "X must be a list of futures or delayed values of"),
        ({"sample_weight": in_chunks(-np.ones(4000))[0]}, ValueError, r"(?s)must not be negative.*In partition \d"),
        ({"sample_weight": in_chunks(np.full(4000, 1e306))[0]}, ValueError, "too large for float64"),
    ],
)
def test_errors_name_the_cause_and_leave_the_estimator_as_it_was(client, changed, kind, message):
    ours = GDLogisticRegression()
    with pytest.raises(kind) as caught:
        ours.fit(**CHUNKS | changed)
    assert vars(ours) == vars(GDLogisticRegression())
    caught.match(message)
    del caught
    gc.collect()  # an error refers to where it happened, and is referred to from there
    assert settled(client) is True


def test_without_a_client_the_error_says_how_to_start_one(monkeypatch):
    def nobody():
        raise ValueError("No clients found")

    monkeypatch.setattr(distributed, "get_client", nobody)
    with pytest.raises(ValueError, match=r"dask.distributed.Client\(\)"):
        GDLogisticRegression().fit(**CHUNKS)


@pytest.mark.parametrize("method", ["partial_fit", "fit_proba"])
def test_methods_that_need_rows_in_memory_do_not_fetch_a_collection(method):
    with pytest.raises(TypeError, match=f"{method} needs rows in memory; got a Dask collection"):
        getattr(GDLogisticRegression(), method)(*CHUNKS.values())


def test_a_client_is_for_collections():
    with pytest.raises(ValueError, match="client must be None where X is in memory.*got"):
        GDLogisticRegression().fit(X, Y, client="here")


@pytest.mark.parametrize("is_grouped", [False, True])
def test_the_engine_does_what_the_reference_does(client, is_grouped):
    values = list(range(7))
    theirs, ours = InProcess(values), DaskParts(client, client.map(int, values, pure=False))
    if is_grouped:
        ours = ours.grouped()
        assert ours.grouped() is ours
    assert len(ours) == len(theirs) == 7
    for parts in (ours, theirs):
        squares = parts.map(mul, parts.scatter(values))
        assert squares.reduce(as_tuple, add) == (91, 91)
        assert squares.among(mul, {5: 2, 1: 3}) == [50, 3]
    if not is_grouped:
        assert ours.only([2, 4]).reduce(as_tuple, add) == theirs.only([2, 4]).reduce(as_tuple, add)


def as_tuple(value):
    return value, value


def test_what_a_collection_cannot_have_is_refused_by_name(client):
    dX, dy = CHUNKS.values()
    chosen = GDLogisticRegressionCV(Cs=[1.0, 2.0], scoring="accuracy")
    with pytest.raises(ValueError, match="scoring must be 'neg_log_loss' for a Dask collection"):
        chosen.score(dX, dy)
    with pytest.raises(ValueError, match="client must be None where X is in memory.*got"):
        chosen.fit(X, Y, client=client)
    pipeline = make_pipeline(StandardScaler(), model(C=np.inf)).fit(X, Y)
    with pytest.raises(TypeError, match="inference of a Pipeline takes rows in memory"):
        inference(pipeline, dX, dy)


# --- What it costs --------------------------------------------------------------------------------------------------


def test_a_fit_takes_few_round_trips(client, monkeypatch):
    X, y = rows(n=20_000, p=20)
    collections = in_chunks(X, y, size=1000)
    trips, sync = [], distributed.Client.sync

    def counted(self, function, *args, **kwargs):
        trips.append(getattr(function, "__name__", function))
        return sync(self, function, *args, **kwargs)

    monkeypatch.setattr(distributed.Client, "sync", counted)
    ours = GDLogisticRegression(random_state=0).fit(*collections)
    assert ours.converged_
    assert len(trips) <= 10, trips


def test_the_partitions_of_a_worker_are_one_task_of_a_pass(client):
    X, y = rows(n=1000)
    objective = Objective(PartRows(surveyed_parts(client, X, y, size=10)), loss_of(2), ElasticNet(0.1))
    objective.at(np.zeros((7, 1)))
    before = transitions(client)
    objective.at(np.ones((7, 1)))
    assert transitions(client) - before <= 40


def surveyed_parts(client, X, y, size=450):
    parts = parts_of(dict(zip(("X", "y"), in_chunks(X, y, size=size), strict=True)), client)
    return surveyed(parts, lambda *arrays: arrays, lambda labels: None, lambda survey: survey.facts(None, Columns.of))


def transitions(client):
    return client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)


def test_the_threads_of_a_worker_share_its_partitions_and_no_bit_depends_on_them(client):
    X, y = rows(3)
    reference = model().fit(*in_chunks(X, y))
    how = {"n_workers": 1, "threads_per_worker": 3, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**how) as cluster, distributed.Client(cluster, set_as_default=False) as threads:
        ours = model().fit(*in_chunks(X, y), client=threads)
        many = Objective(PartRows(surveyed_parts(threads, X, y), n_scores=3), loss_of(3), ElasticNet(0.1))
        theta = np.ones((7, 3)) / np.append(X.std(axis=0), 1)[:, None]
        z = many.scores(theta)
        assert np.asarray(z).shape == (4000, 3)
        np.testing.assert_array_equal(z[np.array([0, 900, 3999])], np.asarray(z)[[0, 900, 3999]])
        placed = np.asarray(many.rows.placed(np.arange(4000)))
        del many, z
    np.testing.assert_array_equal(ours.coef_, reference.coef_)
    np.testing.assert_array_equal(placed, np.arange(4000))


# --- Lost workers ---------------------------------------------------------------------------------------------------


def kill_a_worker_in_the_second_pass(client, monkeypatch):
    """Kill a worker that has rows, at once after the second pass has begun."""
    passes, fold, pid = [], PartRows.fold, next(iter(client.run(os.getpid).values()))

    def counted(self, *args, **kwargs):
        passes.append(None)
        if len(passes) == 2:
            threading.Timer(0.01, os.kill, (pid, signal.SIGKILL)).start()
        return fold(self, *args, **kwargs)

    monkeypatch.setattr(PartRows, "fold", counted)


def test_a_worker_that_is_killed_changes_no_bit(client_of_three, monkeypatch):
    client = client_of_three
    X, y = rows()
    collections = client.persist(in_chunks(X, y))
    distributed.wait(collections)
    reference = model().fit(*collections)
    kill_a_worker_in_the_second_pass(client, monkeypatch)
    ours = model().fit(*collections)
    np.testing.assert_array_equal(ours.coef_, reference.coef_)
    np.testing.assert_array_equal(ours.intercept_, reference.intercept_)


def test_rows_that_cannot_be_made_anew_are_a_clear_error(client_of_three, monkeypatch):
    client = client_of_three
    X, y = rows()
    futures = client.scatter([(X[i : i + 500], y[i : i + 500]) for i in range(0, 4000, 500)])
    kill_a_worker_in_the_second_pass(client, monkeypatch)
    with pytest.raises(RuntimeError, match=r"Some rows are gone.*client\.scatter"):
        model().fit(futures, None)
