"""One fit: its time, the objective it reaches, its warnings, its memory."""

import gc
import math
import time
import tracemalloc
import warnings
from typing import NamedTuple

import numpy as np

from .objective import objective
from .peers import Stop

SPINNING = 0.12  # seconds that OpenBLAS's threads wait for more work after a fit, taking a core from the next


class Attempt(NamedTuple):
    """One fit."""

    stop: Stop
    seconds: float
    objective: float = math.inf
    loss: float = math.inf
    warned: frozenset[str] = frozenset()  # categories of warnings; of the exception, if it failed
    ended: bool = False  # it failed or ended before max_iter: more iterations change nothing

    @property
    def iterations(self):
        """The most iterations that it was allowed."""
        return self.stop.max_iter

    @property
    def failed(self):
        """Whether it left no coefficients to judge."""
        return not math.isfinite(self.objective)


def fit(method, problem, stop, seed=0):
    """Fit once, timed, with the objective evaluated afterwards."""
    model = method.make(problem, stop, seed)
    gc.collect()
    time.sleep(SPINNING)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        try:
            model.fit(problem.X, problem.y)
        except Exception as error:  # a peer may fail in any way: that is its result
            return Attempt(stop, time.perf_counter() - start, warned=frozenset([type(error).__name__]), ended=True)
        seconds = time.perf_counter() - start
    warned = frozenset(warning.category.__name__ for warning in caught)
    iterations = np.max(getattr(model, "n_iter_", 0))
    ended = stop.max_iter is not None and 0 < iterations < stop.max_iter
    return Attempt(stop, seconds, *objective(problem, *method.coefficients(model, problem.n_classes)), warned, ended)


def warm_up(method, problem, rows=100):
    """Seconds of a fit of some rows of each class: the first one in a process imports and compiles."""
    few = np.concatenate([np.flatnonzero(problem.y == label)[:rows] for label in range(problem.n_classes)])
    C = problem.C * len(problem.y) / len(few)  # C n is that of the problem, so that L1 does not end at zero, uncompiled
    small = problem._replace(X=problem.X[few], y=problem.y[few], C=C)
    return fit(method, small, Stop() if method.ladder == "default" else Stop(3)).seconds


def peak_memory(method, problem, stop):
    """Bytes that NumPy had allocated at most during a fit, beyond what there was before."""
    model = method.make(problem, stop, 0)
    if method.family != "ours":  # the arrays of two iterations are those of all
        model.set_params(**{name: 2 for name in model.get_params() if name.endswith("max_iter")})
    gc.collect()
    tracemalloc.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(problem.X, problem.y)
    except Exception:  # noqa: S110 - the failure is in the row already
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak
