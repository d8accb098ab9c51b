"""scikit-learn's callbacks, from scikit-learn 1.9 on. With earlier versions this module does nothing.

A fit is a task, and each of its iterations is a task within the fit. Callbacks are called at the beginning and at the
end of each task. At the end of an iteration a callback may ask the fit to stop. scikit-learn's interface,
``sklearn.callback``, is experimental and may change without a deprecation, so only this module uses it.
"""

from contextvars import copy_context

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """No callbacks before scikit-learn 1.9."""

    def with_callbacks(method):
        """The method as it is."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]


class FitTask:
    """One fit, as callbacks see it, in a method decorated by ``with_callbacks``. Without callbacks it does nothing.

    Callbacks get X, y, sample_weight and offset as the user passed them. They run in the caller's context, with the
    caller's NumPy error settings.
    """

    def __init__(self, estimator, X, y, sample_weight, max_iter, offset=None):
        self.is_watched = bool(getattr(estimator, "_skl_callbacks", None))  # as LogisticRegression does
        if self.is_watched:
            metadata = {"sample_weight": sample_weight, "offset": offset}
            metadata = {name: value for name, value in metadata.items() if value is not None}
            self.seen = {"estimator": estimator, "X": X, "y": y, "metadata": metadata or None}
            self.context = copy_context()
            self.fit = estimator._init_callback_context(max_subtasks=max_iter).call_on_fit_task_begin(**self.seen)
            self.iteration = None

    def begin_iteration(self, attributes):
        """Tell the callbacks that an iteration begins. ``attributes`` makes the attributes of a fit that ends here."""
        if self.is_watched:
            begin = self.fit.subcontext(task_name="iteration").call_on_fit_task_begin
            self.iteration = self.context.run(begin, **self.seen, reconstruction_attributes=attributes)

    def end_iteration(self, attributes):
        """Whether a callback asks to stop. ``attributes`` makes the attributes of a fit that ends here, or is None."""
        if not self.is_watched:
            return False
        iteration, self.iteration = self.iteration, None
        return self.context.run(iteration.call_on_fit_task_end, **self.seen, reconstruction_attributes=attributes)

    def end(self):
        """Tell the callbacks that the fit has ended."""
        if not self.is_watched:
            return
        if self.iteration is not None:  # this iteration was interrupted
            self.iteration.call_on_fit_task_end(**self.seen)
        self.fit.call_on_fit_task_end(**self.seen, reconstruction_attributes={})
