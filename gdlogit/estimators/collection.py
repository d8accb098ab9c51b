"""Fits to rows that lie in partitions: a Dask collection, or any other ``Parts``."""

from functools import partial

import numpy as np
from sklearn.utils.validation import validate_data

from ..data.labels import strangers
from ..data.on_dask import is_collection, meta_of, parts_of
from ..data.part_rows import PartRows
from ..data.parts import Parts, surveyed
from ..problem import Problem
from .batches import BatchLearner
from .callbacks import with_callbacks
from .lazy import bare
from .offset import as_columns
from .validation import check_held_out, check_labels, check_parameters, columns_of, generator, weight_of_rows

__all__ = ["CollectionLearner", "surveyed_for"]

OF_ROWS = ("X", "y", "sample_weight", "offset")
OF_VALIDATION = ("X_val", "y_val", "sample_weight_val", "offset_val")


class CollectionLearner(BatchLearner):
    """The methods of GDLogisticRegression that fit collections."""

    def _fit_collection(self, given, validation, client):
        """Fit X, y, sample_weight and offset that are Dask collections; the held-out rows may be in memory."""
        if not is_collection(given[0]):
            raise TypeError(
                f"X must be a Dask collection, as other arguments are; got a {type(given[0]).__name__} in memory. "
                "dask.array.from_array makes a Dask array from an array in memory."
            )
        parts = parts_of(dict(zip(OF_ROWS, given, strict=True)), client)
        if all(part is None for part in validation):
            validation = None
        elif is_collection(*validation):
            validation = parts_of(dict(zip(OF_VALIDATION, validation, strict=True)), parts.client)
        return self._fit_parts(parts, meta_of(given[0], parts), given, validation)

    @with_callbacks
    def _fit_parts(self, parts: Parts, meta, given, validation):
        """Fit ``parts`` of Given; ``meta`` is an X without rows that has the features and their names.

        ``given`` are X, y, sample_weight and offset as the user passed them. ``validation`` are held-out rows, in Parts
        or in four arrays, or None.
        """
        check_parameters(self)
        refuse_on_parts(self, validation)
        X, y, sample_weight, offset = given
        validate_data(self, meta, skip_check_array=True)
        labels_of = partial(columns_of, self.class_weight, self.fit_intercept)
        held = surveyed(
            parts, partial(check_rows, bare(self)), partial(check_labels, None), partial(facts_of, labels_of)
        )
        held_out = None if validation is None else self._held_out(validation, held.facts)
        rows, rng = PartRows(held, self.fit_intercept), generator(self.random_state)
        task = X, y, sample_weight, self.max_iter, offset
        message = self._fit_rows(rows, held.facts, rng, task, held_out)
        self.n_passes_ = held.n_passes
        return message

    def _held_out(self, validation, facts):
        """The held-out rows, from Parts or from arrays."""
        columns = facts.columns
        if isinstance(validation, tuple):
            X, codes, weight, offset = check_held_out(self, *validation, columns, facts.offset_width > 0)
            terms = {"n_used": columns.n_used, "intercept": self.fit_intercept, "offset": offset}
            return Problem.of(X, codes, weight, len(columns.classes), **terms).rows
        known = partial(check_known, columns.classes[columns.used])
        held = surveyed(validation, partial(check_rows, bare(self)), known, partial(facts_of, lambda *_: columns))
        if held.facts.offset_width != facts.offset_width:
            raise ValueError("offset and offset_val must be given together; pass 0 for none.")
        if not held.facts.total:
            raise ValueError("sample_weight_val must be positive for some rows; every weight is zero.")
        return PartRows(held, self.fit_intercept)


def surveyed_for(estimator, parts, meta):
    """Partitions of Parts of Given, whose features ``meta`` has: the estimator then knows these, too."""
    validate_data(estimator, meta, skip_check_array=True)
    factors = partial(columns_of, estimator.class_weight, estimator.fit_intercept)
    return surveyed(
        parts, partial(check_rows, bare(estimator)), partial(check_labels, None), partial(facts_of, factors)
    )


def check_rows(estimator, X, y, sample_weight, offset):
    """X, y, weight and offset (or None) of a partition, as arrays."""
    X, y = validate_data(estimator, X, y, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
    return X, y, weight_of_rows(sample_weight, X), as_columns(offset, X)


def check_known(classes, labels):
    """Raise a ValueError for labels of held-out rows that are not among the classes of the fit."""
    strange = strangers(classes, labels, "y_val")
    if len(strange):
        raise ValueError(f"y_val must hold labels of y only, {classes!r}; got {strange!r} too.")


def facts_of(columns_of, survey):
    """The facts of all rows."""
    return survey.facts(None, columns_of)


def refuse_on_parts(estimator, validation):
    """Raise a ValueError for parameters that need rows in memory."""
    if estimator.solver == "sgd":
        raise ValueError("solver='sgd' reads rows in random order, which partitions do not allow; use solver='auto'.")
    if estimator.early_stopping and validation is None:
        raise ValueError(
            "early_stopping=True cannot hold out rows of a collection: give X_val and y_val, or set "
            "early_stopping=False."
        )
    if estimator.intercept_correction == "flac":
        raise ValueError("intercept_correction='flac' copies all rows, which a collection does not allow; use 'flic'.")
