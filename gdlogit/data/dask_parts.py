"""Parts on the workers of a Dask cluster: the values are futures.

On a cluster, scheduling takes most of the time of a fit: about 1 ms for each task. So after the survey, the partitions
of a worker become one future, a list without copies (``DaskGroups``). A pass then takes one task for each worker, which
uses the worker's threads, and a tree of tasks that adds up the results. Workers keep no state, and nothing is pinned to
a worker: Dask makes the values of a lost worker anew from the user's own graph.

Tasks are named gdlogit-survey, gdlogit-pass, gdlogit-sum and gdlogit-take, so that Dask's dashboard shows the fit.
Dask is imported where it is used.
"""

from concurrent.futures import CancelledError, ThreadPoolExecutor
from copy import copy, deepcopy
from functools import partial, reduce
from typing import Any
from uuid import uuid4

from .blocks import spans
from .parts import by_entry
from .threads import ONE_BLAS_THREAD

__all__ = ["DaskParts"]

FAN_IN = 16  # results that are combined in one task
EMBEDDED_BYTES = 10_000  # a larger pickled function is sent once to each worker, not with every task
ROWS_ARE_GONE = (
    "Some rows are gone: either the worker that held them was lost and Dask cannot make the rows anew, or they were "
    "cancelled. Dask cannot make rows anew that client.scatter has put on a worker. Read or make the rows by tasks, as "
    "a Dask array or DataFrame does, and fit again."
)


class DaskParts:
    """Parts that are the futures of a client; ``name`` is the name of the tasks."""

    name = "gdlogit-survey"

    def __init__(self, client, futures):
        self.client, self.futures = client, futures

    def __len__(self):
        """How many values there are."""
        return len(self.futures)

    def map(self, f, *others):
        """Parts of f(value, ...)."""
        return self._like(self._run(self.name, f, *self._lists(others)))

    def reduce(self, f, combine, *others):
        """The tuples f(value, ...), combined by a tree of tasks."""
        return self._combined(self._run(self.name, f, *self._lists(others)), combine)

    def among(self, f, arguments):
        """f(value, argument) of the values in some places."""
        some = [self.futures[place] for place in arguments]
        return self._fetched(self._run("gdlogit-take", f, some, list(arguments.values())))

    def only(self, places):
        """Parts of the values in some places."""
        return self._like([self.futures[place] for place in places])

    def scatter(self, values):
        """Parts of other values."""
        return self._like(self._run(self.name, same, values))

    def grouped(self):
        """The same values, in one list for each worker."""
        from distributed import wait

        wait(self.futures)
        holders = self.client.who_has(self.futures)
        by_worker: dict[Any, list[int]] = {}
        for place, future in enumerate(self.futures):
            by_worker.setdefault(min(holders.get(future.key) or ("",)), []).append(place)
        return DaskGroups.of(self, list(by_worker.values()))

    def _like(self, futures):
        return DaskParts(self.client, futures)

    def _lists(self, others):
        return [self.futures, *(other.futures for other in others)]

    def _run(self, name, f, *lists):
        """New futures of f(value, ...), because the values may be large and are soon released."""
        return self.client.map(called, *lists, f=self._sent(f), key=name, pure=False)

    def _sent(self, f):
        """The function f or, if its pickle is large, a future of f."""
        from distributed.protocol.pickle import dumps

        if len(dumps(f)) <= EMBEDDED_BYTES:
            return f
        return self.client.submit(same, f, key=f"gdlogit-function-{uuid4()}")

    def _combined(self, futures, combine):
        while len(futures) > 1:
            some = [futures[start : start + FAN_IN] for start in range(0, len(futures), FAN_IN)]
            futures = self._run("gdlogit-sum", partial(added_up, combine), some)
        return self._fetched(futures)[0]

    def _fetched(self, futures):
        try:
            return self.client.gather(futures)
        except CancelledError:
            raise RuntimeError(ROWS_ARE_GONE) from None
        except Exception as error:
            raise of_ones_own(error) from None


class DaskGroups(DaskParts):
    """Parts whose values lie in lists, a future for each list; ``members`` has the places of each list's values."""

    name = "gdlogit-pass"

    def __init__(self, client, futures, members):
        super().__init__(client, futures)
        self.members = members

    @classmethod
    def of(cls, parts, members):
        """The values of given Parts, in groups."""
        lists = [[parts.futures[place] for place in group] for group in members]
        return cls(parts.client, parts._run(parts.name, list, lists), members)

    def __len__(self):
        """How many values there are."""
        return sum(map(len, self.members))

    def map(self, f, *others):
        """Parts of f(value, ...)."""
        return super().map(partial(each_of, f), *others)

    def reduce(self, f, combine, *others):
        """The tuples f(value, ...), combined in each group and then by a tree of tasks."""
        return self._combined(self._run(self.name, partial(all_of, f, combine), *self._lists(others)), combine)

    def among(self, f, arguments):
        """f(value, argument) of the values in some places."""
        wanted = [{at: arguments[i] for at, i in enumerate(group) if i in arguments} for group in self.members]
        some = [group for group, asked in enumerate(wanted) if asked]
        lists = [self.futures[group] for group in some], [wanted[group] for group in some]
        found = self._fetched(self._run("gdlogit-take", partial(some_of, f), *lists))
        by_place = {self.members[g][at]: value for g, values in zip(some, found, strict=True) for at, value in values}
        return [by_place[place] for place in arguments]

    def scatter(self, values):
        """Parts of other values."""
        return self._like(self._run(self.name, same, [[values[place] for place in group] for group in self.members]))

    def grouped(self):
        """The same."""
        return self

    def _like(self, futures):
        return DaskGroups(self.client, futures, self.members)


def of_ones_own(error):
    """A copy of an error that the client keeps; the traceback of the kept error would hold on to its futures."""
    copied = copy(error).with_traceback(error.__traceback__)
    error.__traceback__ = None
    return copied


# --- What runs on a worker ------------------------------------------------------------------------------------------


def called(*values, f):
    """The value f(*values)."""
    return f(*values)


def same(value):
    """The value."""
    return value


def combined(combine, tuples):
    """Several tuples, combined entry by entry."""
    return reduce(partial(by_entry, combine), tuples)


def added_up(combine, tuples):
    """``combined`` for results that workers hold and may use again: the first is copied, as sums may add in place."""
    first, *others = tuples
    return combined(combine, [deepcopy(first), *others])


def each_of(f, *groups):
    """The values of f for each value of the groups."""
    found = on_threads(lambda some: [f(*values) for values in some], groups)
    return [value for part in found for value in part]


def all_of(f, combine, *groups):
    """The tuples of f for each value of the groups, combined."""
    return combined(combine, on_threads(lambda some: combined(combine, (f(*values) for values in some)), groups))


def some_of(f, group, wanted):
    """The values of f for some values of a group, each with an argument; with their places in the group."""
    return [(place, f(group[place], argument)) for place, argument in wanted.items()]


def on_threads(f, groups):
    """The values of f for stretches of the groups, one stretch for each of the worker's threads."""
    from distributed import get_worker

    values = list(zip(*groups, strict=True))
    stretches = [values[span] for span in spans(len(values), get_worker().state.nthreads)]
    with ONE_BLAS_THREAD, ThreadPoolExecutor(len(stretches)) as pool:
        return list(pool.map(f, stretches)) if len(stretches) > 1 else [f(values)]
