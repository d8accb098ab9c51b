"""What the tests of faults share: small data, faults to plant, and what a fit must leave as it was."""

import multiprocessing
import signal
import threading
import warnings
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info, threadpool_limits
from variants import ByProducts

from gdlogit import GDLogisticRegression
from gdlogit.data import layout
from gdlogit.data.layout import Layout
from gdlogit.data.memory import MemoryRows
from gdlogit.data.threads import ONE_BLAS_THREAD

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
IRIS_X, IRIS_Y = load_iris(return_X_y=True)
FEW_X, FEW_Y = X[::4, :4], Y[::4]
FITS = {
    "auto": {},
    "by products": {"variant": ByProducts},
    "l1": {"l1_ratio": 1},
    "gd": {"solver": "gd", "max_iter": 2},
    "nesterov": {"solver": "nesterov", "max_iter": 2, "early_stopping": True},
    "sgd": {"solver": "sgd", "max_iter": 2},
}


class Fault(Exception):
    """What is raised on purpose."""


def batches(*arrays, size=150):
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[1]), size)]


def assert_unchanged(model, before):
    """The estimator has the attributes that it had: the very objects."""
    assert vars(model).keys() == before.keys()
    assert all(held is before[name] for name, held in vars(model).items())


def half_fitted(variant=GDLogisticRegression, **parameters):
    """A model of the first two classes of iris, and what it consists of."""
    model = variant(random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few iterations
        model.fit(IRIS_X[:100], IRIS_Y[:100])
    return model, vars(model).copy()


class Source:
    """Batches of which the n-th ever raises an error; and in what state NumPy's error settings are at each."""

    def __init__(self, n=None, error=Fault):
        self.n, self.error, self.count, self.open, self.settings = n, error, 0, 0, []

    def __call__(self):
        self.open += 1
        try:
            with np.errstate(divide="print"):
                for batch in batches(X, Y):
                    self.count += 1
                    self.settings.append(np.geterr())
                    if self.count == self.n:
                        raise self.error("of a source")
                    yield batch
        finally:
            self.open -= 1


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def held():
    """What a fit holds of the process, and must give back; threads may still be about to end."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    for thread in threads:
        thread.join(10)
    threads = [thread.name for thread in threads if thread.is_alive()]
    state = threads, blas_threads(), ONE_BLAS_THREAD._users, signal.getsignal(signal.SIGINT)
    return *state, np.geterr(), list(warnings.filters)


@contextmanager
def blocks_on(n_threads):
    """Blocks of a few rows, which so many threads take, whatever the machine has."""
    blas, _ = ONE_BLAS_THREAD.find()
    with pytest.MonkeyPatch.context() as monkeypatch, threadpool_limits(2, user_api="blas"):
        monkeypatch.setattr(layout, "LAYOUT", Layout(thread_products=1, block_bytes=FEW_X.nbytes // 2))
        monkeypatch.setattr(ONE_BLAS_THREAD, "find", lambda: (blas, n_threads))
        yield


def at_every_block(fit, act, monkeypatch):
    """Fit, and act at the first block that a sum goes over, then at the second, ...: yield the error of each fit."""
    original, lock, left = MemoryRows.fold, threading.Lock(), 0

    def fold(rows, f, combine, *each, products=None):
        def watched(block, *each):
            nonlocal left
            with lock:
                left -= 1
                now = left == 0
            if now:
                act()
            return f(block, *each)

        return original(rows, watched, combine, *each, products=products)

    monkeypatch.setattr(MemoryRows, "fold", fold)
    for n in count(1):
        left = n
        try:
            fit()
            error = None
        except (MemoryError, KeyboardInterrupt) as caught:
            error = caught
        if left > 0:  # there were not so many blocks
            left = 0
            break
        yield error


def in_child(target, context="fork"):
    """Run a function in a child process; its exit code, or None where it hangs."""
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {context} here")
    child = multiprocessing.get_context(context).Process(target=target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads are, which is what is tested
        child.start()
    child.join(600)  # a paused machine is not a hang
    if child.exitcode is None:
        child.kill()
    return child.exitcode
