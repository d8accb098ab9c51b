"""Learning from rows that come in batches: ``partial_fit`` reads each batch once, ``fit_batches`` fits exactly.

Both are methods of ``GDLogisticRegression``. They are in this file because neither sees all rows at once. ``online``
and ``data.source`` explain how they work.
"""

from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_consistent_length, validate_data

from .. import online
from ..backprop import loss_of
from ..bounds import bounded
from ..data.labels import Columns
from ..data.memory import rows_of
from ..data.overflow import held, overflow_named
from ..data.source import BatchRows, Source
from ..penalty import ElasticNet
from ..problem import Problem
from ..typing import Batches, Matrix
from .base import Classifier, available_if
from .by_feature import penalty_factors
from .callbacks import FitTask, with_callbacks
from .lazy import refuse_collections
from .limits import limits
from .offset import check_offset, check_width, scores_of
from .report import warn_of_end
from .validation import (
    check_batch,
    check_labels,
    check_parameters,
    check_source,
    class_factors,
    codes_among,
    columns_of,
    generator,
    named_classes,
    shares,
    stream_classes,
    weight_of_rows,
)

__all__ = ["OF_A_FIT", "OF_A_STREAM", "BatchLearner", "slices"]

OF_A_FIT = (
    "n_iter_",
    "history_",
    "loss_curve_",
    "validation_loss_curve_",
    "converged_",
    "tol_",
    "duality_gap_",
    "n_passes_",
    "has_offset_",
    "class_prior_",
)
OF_A_STREAM = ("_stream", "progressive_loss_curve_")
SLICE_BYTES = 2**24  # bytes of float64 to which rows of another type are converted at a time


def is_streamable(estimator) -> bool:
    """Whether ``partial_fit`` exists: only with an l2 penalty, or none, that is the same for all features."""
    if estimator.l1_ratio != 0:
        raise AttributeError(f"partial_fit needs an l2 penalty: l1_ratio must be 0; got {estimator.l1_ratio!r}.")
    for name in ("penalty_factor", "coef_bounds", "monotonic_cst", "bias_reduction"):
        if getattr(estimator, name) is not None:
            raise AttributeError(
                f"{name} is not supported by partial_fit: it must be None; got {getattr(estimator, name)!r}. "
                "fit and fit_batches take it."
            )
    return True


def refuse_in_a_stream(estimator):
    """Raise a ValueError for parameters that ``partial_fit`` does not support."""
    if estimator.early_stopping:
        raise ValueError(
            "early_stopping=True is not supported by partial_fit, which sees each row once. Set early_stopping=False, "
            "and watch progressive_loss_curve_."
        )


def refuse_another_kind(estimator, stream, offset):
    """Raise a ValueError for a batch with an offset in a stream without one, or the other way round."""
    had = getattr(estimator, "has_offset_", False)
    if stream is not None and had != (offset is not None):
        raise ValueError(
            "offset must be given with every batch of a stream, or with none: "
            f"{'this batch has none' if had else 'the batches before had none'}. Pass offset=0 for none."
        )


def slices(X, y, sample_weight, offset=None):
    """The rows of an array as a source of small batches, each of which is copied."""
    check_consistent_length(X, y, sample_weight, offset)
    size = max(1, SLICE_BYTES // (8 * X.shape[1]))
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        yield X[rows], y[rows], *(None if array is None else array[rows] for array in (sample_weight, offset))


class BatchLearner(Classifier):
    """The methods of GDLogisticRegression that take batches."""

    def fit_batches(self, source: Batches, classes: ArrayLike | None = None) -> Self:
        """Fit the model to rows that do not fit in memory, exactly, by reading them several times.

        The result is that of ``fit`` on all rows together, to ``tol``. Memory holds one batch and a sample of 40 MB,
        and, with more than 1,500 parameters, a few numbers per row and class. The first pass finds the classes and the
        number of rows; about ten more passes follow. ``n_passes_`` counts them.

        Parameters
        ----------
        source : iterable, or function that returns an iterator
            Yields batches ``(X, y)``, ``(X, y, sample_weight)`` or ``(X, y, sample_weight, offset)``, or dicts of these
            by name. X and y are as in ``fit``, dense or CSR, of any size. sample_weight may be None. Either every batch
            has an offset, or none has. Batches without rows are skipped. The source must yield the same rows in the
            same order each time: a list does, or an object with ``__iter__``. A generator can be read only once, so
            pass the function that makes the generator.
        classes : array-like of shape (n_classes,), default=None
            All labels. Each label must belong to a row, whose weight may be 0; any other label is an error. With None
            the first pass finds the labels.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, the source or a batch is not as described; if the rows of one pass differ from the rows of
            the first; or with ``solver="sgd"`` or ``early_stopping=True``, which need random access to the rows. The
            estimator then stays as it was, also after an error that the source raises. A note on the error says in
            which pass and at which batch the error happened.

        Warns
        -----
        ConvergenceWarning
            As in ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> def batches():
        ...     for start in range(0, len(y), 100):
        ...         yield X[start : start + 100], y[start : start + 100]
        >>> model = GDLogisticRegression(random_state=0).fit_batches(batches)
        >>> model.converged_, round(model.score(X, y), 3)
        (True, 0.958)
        """
        with self._unchanged_on_error():
            message = self._fit_batches(source, classes)
        warn_of_end(message)
        return self

    @with_callbacks
    def _fit_batches(self, batches, classes):
        check_parameters(self)
        if self.solver == "sgd":
            raise ValueError("solver='sgd' reads rows in random order, which batches do not allow; use partial_fit.")
        if self.early_stopping:
            raise ValueError("early_stopping=True is not supported by fit_batches, which holds out no rows.")
        if self.intercept_correction == "flac":
            raise ValueError("intercept_correction='flac' copies all rows, which fit_batches cannot; use 'flic'.")
        check_source(batches)
        classes = None if classes is None else named_classes(classes)
        of_classes = partial(check_labels, classes), partial(columns_of, self.class_weight, self.fit_intercept)
        source = Source(batches, partial(check_batch, self), classes, *of_classes)
        rng = generator(self.random_state)
        task = (batches, None, None, self.max_iter)
        message = self._fit_rows(BatchRows(source, self.fit_intercept), source.facts, rng, task)
        self.n_passes_ = source.n_passes
        return message

    def _fit_rows(self, rows, facts, rng, task, held_out=None):
        """Fit rows that are not at hand, of which some facts are known; ``task`` is what callbacks are told of."""
        columns, factors = facts.columns, penalty_factors(self)
        start = self._start(columns, len(facts.centre), factors)
        if facts.offset_width:
            check_width(facts.offset_width, scores_of(columns.classes))
        penalty = bounded(ElasticNet.of(self.C, self.l1_ratio, rows.total, factors), limits(self, columns, factors))
        loss = loss_of(len(columns.classes), columns.n_used)
        problem = Problem(rows.for_scores(loss.n_outputs), loss, penalty)
        task = FitTask(self, *task)
        with overflow_named(np.array([facts.largest], facts.dtype)):
            message = self._solve(problem, columns, start, rng, task, held_out)
        self.class_prior_ = shares(facts.totals, columns)
        task.end()
        return message

    @available_if(is_streamable)
    def partial_fit(
        self,
        X: Matrix,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> Self:
        """Learn from one more batch of a stream; the rows need not be kept.

        One pass over shuffled raw data comes near the minimum that ``fit`` finds, whatever the size of the batches. The
        penalty applies once to the whole stream. Besides ``C``, only ``fit_intercept`` and ``class_weight`` (a dict or
        None) have an effect; ``early_stopping=True`` is an error. A call of ``fit`` ends the stream. The next
        ``partial_fit`` then begins a new stream, which keeps the classes of that fit, but nothing of its rows.

        The state of the stream is pickled with the model. With up to 1,500 parameters, which are (n_features + 1) times
        the number of scores, the state has a full matrix of second derivatives and its factor. With more parameters it
        has only the diagonal, and CSR is never made dense. The state also has the last rows, up to 1,000, which wait
        until there are enough of them to be summed up.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            One or more rows, on any scale; they are converted to float64.
        y : array-like of shape (n_samples,)
            The labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Required on the first call, unless ``fit`` was called before; later calls
            may repeat it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative; nothing is learned where all are 0. Default: all 1.
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            What is added to the scores, as in ``fit``: with every batch of a stream, or with none.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or argument is not as described; the estimator then stays as it was.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = GDLogisticRegression()
        >>> for start in range(0, len(y), 100):
        ...     _ = model.partial_fit(X[start : start + 100], y[start : start + 100], classes=[0, 1])
        >>> len(model.progressive_loss_curve_)
        6
        """
        with self._unchanged_on_error():
            check_parameters(self)
            refuse_in_a_stream(self)
            refuse_collections("partial_fit", X, y, classes, sample_weight, offset)
            stream = getattr(self, "_stream", None)
            known = stream_classes(self, classes, stream is not None)
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, reset=stream is None)
            codes = codes_among(known, y)
            columns = Columns(known, np.ones(len(known), bool), class_factors(self.class_weight, known))
            codes, weight = columns.place(codes, weight_of_rows(sample_weight, X))
            loss = loss_of(len(known))
            offset = check_offset(offset, X, loss.n_outputs)
            refuse_another_kind(self, stream, offset)
            with overflow_named(X):
                rows = rows_of(X, codes, weight, self.fit_intercept, loss.n_outputs, offset=offset)
                stream, loss_before = stream or online.begin(rows, loss, self.C), np.nan
                if weight.any():
                    stream, loss_before = online.learn(stream, rows, loss, self.C)
                theta = held(stream.coefficients, X.dtype)
            if not hasattr(self, "_stream"):
                for name in OF_A_FIT:
                    self.__dict__.pop(name, None)
                self.progressive_loss_curve_ = np.empty(0)
            self._stream, self.classes_, self.has_offset_ = stream, known, offset is not None
            self.coef_ = np.ascontiguousarray(theta[:-1].T)
            self.intercept_ = theta[-1]
            self.progressive_loss_curve_ = np.append(self.progressive_loss_curve_, loss_before)
        return self
