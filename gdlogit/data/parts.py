"""Values that lie in partitions, perhaps on other machines, and the survey of rows in partitions.

``Parts`` is the interface to an engine such as Dask. The engine holds values in order, perhaps on other machines, and
runs pure functions on them. ``InProcess`` is the reference engine, a list. No function changes a value in place, so an
engine may compute a lost value again, or run a function twice.

A user's partitions (``Given``) become ``Part``s, the encoded rows that a fit takes, after a survey of all partitions.
``part_rows`` has the Rows over such parts.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from typing import Any, NamedTuple, Protocol

import numpy as np

from .memory import MemoryRows, rows_of
from .survey import Survey

__all__ = ["Given", "InProcess", "Measure", "Part", "Partitions", "Parts", "by_entry", "noted", "surveyed"]


# --- An engine ------------------------------------------------------------------------------------------------------


class Parts(Protocol):
    """Values in order, which an engine holds. The functions that it gets are pure and can be pickled."""

    def __len__(self) -> int:
        """How many values there are."""

    def map(self, f: Any, *others: Any) -> Any:
        """Parts of f(value, ...), for each value and the values of ``others`` with the same number: not fetched."""

    def reduce(self, f: Any, combine: Any, *others: Any) -> tuple[Any, ...]:
        """The tuples f(value, ...), combined entry by entry by a function of two entries, in any order: fetched."""

    def among(self, f: Any, arguments: dict[int, Any]) -> list[Any]:
        """f(value, argument) for the numbers of values in ``arguments``: fetched."""

    def only(self, places: list[int]) -> Any:
        """Parts of the values with these numbers."""

    def scatter(self, values: list[Any]) -> Any:
        """Parts of other, small values, each held where the value with the same number is."""

    def grouped(self) -> Any:
        """The same values, in as few pieces as are best for the engine; ``only`` must not be called afterwards."""


class InProcess:
    """Parts in a list: the reference for other engines."""

    def __init__(self, values):
        self.values = list(values)

    def __len__(self):
        """How many values there are."""
        return len(self.values)

    def map(self, f, *others):
        """Parts of f(value, ...)."""
        return InProcess(map(f, self.values, *(other.values for other in others)))

    def reduce(self, f, combine, *others):
        """The tuples f(value, ...), combined."""
        return reduce(partial(by_entry, combine), map(f, self.values, *(other.values for other in others)))

    def among(self, f, arguments):
        """f(value, argument) for the numbers of values in ``arguments``."""
        return [f(self.values[place], argument) for place, argument in arguments.items()]

    def only(self, places):
        """Parts of the values with these numbers."""
        return InProcess(self.values[place] for place in places)

    def scatter(self, values):
        """Parts of other values."""
        return InProcess(values)

    def grouped(self):
        """The same values: a list needs no larger pieces."""
        return self


def by_entry(combine, left, right):
    """Two tuples, combined entry by entry."""
    return tuple(map(combine, left, right))


# --- What lies in a part --------------------------------------------------------------------------------------------


class Given(NamedTuple):
    """A partition as the user has it, with its number; weight and offset may be None."""

    number: int
    X: Any
    y: Any
    weight: Any = None
    offset: Any = None


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of one partition, checked and encoded, and the number of the first of them."""

    number: int
    first: int
    X: Any
    y: np.ndarray
    weight: np.ndarray
    offset: np.ndarray | None

    def __len__(self) -> int:
        """How many rows."""
        return len(self.y)

    def __sizeof__(self) -> int:
        """The size of the arrays in bytes: without it, an engine takes the part for small, and moves it around."""
        offset = 0 if self.offset is None else self.offset.nbytes
        return self.rows(Measure()).n_bytes + self.y.nbytes + self.weight.nbytes + offset

    def rows(self, measure: "Measure", share: np.ndarray | None = None) -> MemoryRows:
        """These rows in memory, with the weight of each row multiplied by its share."""
        weight = self.weight if share is None else self.weight * share
        return rows_of(self.X, self.y, weight, *measure, self.first, offset=self.offset)


class Measure(NamedTuple):
    """The settings of rows: whether they have an intercept, the number of scores, and the centre of the features."""

    intercept: bool = True
    n_scores: int = 1
    centre: np.ndarray | None = None


@contextmanager
def noted(number):
    """Add a note with the number of the partition to an error that is raised inside."""
    try:
        yield
    except Exception as error:
        error.add_note(f"In partition {number}.")
        raise


# --- The survey -------------------------------------------------------------------------------------------------------


def checked(check, given):
    """A partition whose X, y, weight and offset are checked and converted; None for a partition without rows."""
    with noted(given.number):
        if np.shape(given.X)[:1] == np.shape(given.y)[:1] == (0,):
            return None
        return Given(given.number, *check(*given[1:]))


@dataclass(frozen=True)
class Surveys:
    """The number of rows of the partitions that have rows, by partition, and their common survey, or None."""

    sizes: dict[int, int]
    survey: Survey | None

    def __add__(self, other: "Surveys") -> "Surveys":
        """The surveys of these partitions and of others."""
        some = [survey for survey in (self.survey, other.survey) if survey is not None]
        return Surveys(self.sizes | other.sizes, reduce(add, some) if some else None)


def survey_of(check_labels, given):
    """The survey of one partition."""
    if given is None:
        return (Surveys({}, None),)
    with noted(given.number):
        survey = Survey.of(*given[1:], check_labels)
    return (Surveys({given.number: survey.n_rows}, survey),)


def encoded(facts, first_of, given):
    """The rows of a partition as a fit takes them; ``first_of`` has the number of each partition's first row."""
    return Part(given.number, first_of[given.number], *facts.encoded(*given[1:]))


class Partitions:
    """Encoded rows in Parts, the facts of these rows, and how many passes have been made over the rows.

    ``firsts`` has the number of the first row of each part, and last the number of all rows.
    """

    def __init__(self, parts, facts, firsts):
        self.parts, self.facts, self.firsts, self.n_passes = parts, facts, firsts, 1


def surveyed(parts, check, check_labels, facts_of) -> Partitions:
    """Partitions of the rows that a user gave: one pass for the survey, and another that encodes the rows.

    Parameters
    ----------
    parts : Parts of Given.
    check : function of X, y, weight and offset of a partition with rows, which returns them as arrays, or raises.
    check_labels : function of the distinct labels of a partition, which raises an error for invalid labels.
    facts_of : function of the Survey of all rows, which returns their Facts.
    """
    given = parts.map(partial(checked, check))
    (found,) = given.reduce(partial(survey_of, check_labels), add)
    if found.survey is None:
        raise ValueError(f"X must have at least one row; its {len(parts)} partitions have none.")
    facts, some = facts_of(found.survey), sorted(found.sizes)
    firsts = np.append(0, np.cumsum([found.sizes[place] for place in some]))
    first_of = dict(zip(some, firsts.tolist(), strict=False))
    return Partitions(given.only(some).map(partial(encoded, facts, first_of)).grouped(), facts, firsts)
