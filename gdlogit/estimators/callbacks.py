"""scikit-learn's callbacks, of scikit-learn 1.9 and later; before that, nothing here does anything.

A fit is a task, and each of its iterations a task within it. Callbacks are told of the begin and the end of each, and
may ask at an iteration's end for the fit to stop there. The interface, ``sklearn.callback``, is experimental, and may
change without a deprecation: what is known of it is known here.
"""

from contextvars import copy_context

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """No callbacks before scikit-learn 1.9."""

    def with_callbacks(method):
        """The method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]


class FitTask:
    """One fit, as callbacks see it, in a method decorated by ``with_callbacks``; nothing, where there are none.

    They are given X, y and sample_weight as the user gave them, and run in the caller's context, where NumPy's error
    settings are the caller's.
    """

    def __init__(self, estimator, X, y, sample_weight, max_iter):
        self.is_watched = bool(getattr(estimator, "_skl_callbacks", None))  # LogisticRegression looks there, too
        if self.is_watched:
            metadata = None if sample_weight is None else {"sample_weight": sample_weight}
            self.seen = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
            self.context = copy_context()
            self.fit = estimator._init_callback_context(max_subtasks=max_iter).call_on_fit_task_begin(**self.seen)
            self.iteration = None

    def begin_iteration(self):
        """An iteration begins."""
        if self.is_watched:
            begin = self.fit.subcontext(task_name="iteration").call_on_fit_task_begin
            self.iteration = self.context.run(begin, **self.seen)

    def end_iteration(self, attributes):
        """Whether a callback asks to stop. ``attributes`` makes the estimator's, had it ended here; None: it cannot."""
        if not self.is_watched:
            return False
        iteration, self.iteration = self.iteration, None
        return self.context.run(iteration.call_on_fit_task_end, **self.seen, reconstruction_attributes=attributes)

    def end(self):
        """The estimator is fitted."""
        if not self.is_watched:
            return
        if self.iteration is not None:  # the one that was interrupted
            self.iteration.call_on_fit_task_end(**self.seen)
        self.fit.call_on_fit_task_end(**self.seen, reconstruction_attributes={})
