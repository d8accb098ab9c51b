"""Why a descent ended: what holds at the point that it returns, and what a user can do about it."""

from enum import Enum

__all__ = ["Status"]

DISTANCE = "J is {distance} above its minimum (tol={tol:g})"


class Status(Enum):
    """The end of a fit: a message, which is None where nothing is wrong, and a remedy.

    Message and remedy are templates; ``told`` fills in the facts.
    """

    CONVERGED = "converged", None, None
    STOPPED = "stopped", None, None  # by a callback
    EARLY_STOPPED = "early_stopped", None, None  # by the loss of the held-out rows
    INTERRUPTED = (
        "interrupted",
        "Interrupted after {n_iter} iterations: " + DISTANCE + ".",
        "The coefficients are the best so far; to go on from them, set warm_start=True and fit again.",
    )
    MAX_ITER = "max_iter", DISTANCE + " after max_iter={max_iter} iterations.", "Raise max_iter or tol{or_solver}."
    STALLED = "stalled", DISTANCE + ", and no step lowers it beyond {precision}'s rounding.", "Raise tol{or_solver}."
    UNPROVEN = (
        "unproven",
        "J seems to be at its minimum, but it is only proven to be within {gap:.1e} of the minimum: "
        "some coefficients could move far at almost the same J.",
        "Lower C, or {or_penalty}.",
    )
    SEPARABLE = (
        "separable",
        "The classes are separable, completely or in part{direction}: without a penalty J has no minimum, and some "
        "coefficients would grow for ever. The coefficients are those at which the descent stopped.",
        "{penalise}{where_names_are}",
    )
    ABOVE_START = (
        "above_start",
        DISTANCE + ": the descent has not come below its start.",
        "Raise max_iter{or_solver}.",
    )
    DIVERGED = (
        "diverged",
        "learning_rate={learning_rate} diverges: J rose above its value at the start. The coefficients are those of "
        "the lowest J that the descent met.",
        "The largest stable rate is about {stable_rate:.3g}; learning_rate='auto' takes half of that.",
    )

    def __init__(self, name: str, message: str | None, remedy: str | None):
        self.label, self.message, self.remedy = name, message, remedy

    @property
    def is_asked_for(self) -> bool:
        """Whether the user, a callback or held-out rows ended the fit, so that it need not have converged."""
        return self in (Status.STOPPED, Status.EARLY_STOPPED, Status.INTERRUPTED)

    def told(self, **facts: object) -> str | None:
        """The message and the remedy, with the facts filled in; None where nothing is wrong."""
        return None if self.message is None else f"{self.message} {self.remedy}".format(**facts)
