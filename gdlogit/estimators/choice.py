"""The choice of a point on a grid of C and l1_ratio by the scores of held-out rows, and the warnings after it."""

from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

__all__ = ["Choice", "end_of_grid", "messages_of", "results_of"]

STILL = 0.1  # of the standard error: a score that an end of the grid gains over its neighbour, and might gain beyond
NO_MINIMUM = (
    "In {} of {} fits the classes are separable, completely or in part: without a penalty J has no minimum, and some "
    "coefficients would grow for ever. The coefficients are those at which the descent stopped. {} The warning of "
    "GDLogisticRegression at that C names the features."
)
LEAST_GAIN = 1e-4  # in the score: a smaller gain is no reason to fit again, as where classes are separable


class Choice(NamedTuple):
    """Indices in ``cv_results_``: of the best point, of the simplest within a standard error, and of the one used."""

    best: int
    simplest: int
    used: int

    @classmethod
    def of(cls, results, rule):
        """The choice by a rule."""
        mean, se = results["mean_test_score"], results["se_test_score"]
        if np.isnan(mean).all():
            raise ValueError("scoring gives nan at every point of the grid.")
        best = int(np.nanargmax(mean))
        near = np.flatnonzero(mean >= mean[best] - np.nan_to_num(se[best]))
        order = np.lexsort((-results["param_l1_ratio"][near].astype(float), results["param_C"][near].astype(float)))
        simplest = int(near[order[0]])
        if callable(rule):
            used = rule(results)
            if not (isinstance(used, int | np.integer) and 0 <= used < len(mean)):
                raise ValueError(f"rule must return an index from 0 to {len(mean) - 1}; got {used!r}.")
            return cls(best, simplest, int(used))
        return cls(best, simplest, best if rule == "best" else simplest)


def results_of(scores, grid, n_nonzero):
    """``cv_results_`` as of GridSearchCV, one l1_ratio after another."""
    flat = scores.of_folds.reshape(len(scores.of_folds), -1)
    C, ratio = grid.Cs.ravel(), np.repeat(grid.l1_ratios, grid.shape[1])
    mean, std = flat.mean(axis=0), flat.std(axis=0) if scores.std is None else scores.std
    order = np.where(np.isnan(mean), np.inf, -mean)
    splits = {f"split{number}_test_score": score for number, score in enumerate(flat)}
    return {
        "params": [{"C": float(c), "l1_ratio": float(r)} for c, r in zip(C, ratio, strict=True)],
        "param_C": np.ma.array(C),
        "param_l1_ratio": np.ma.array(ratio),
        **splits,
        "mean_test_score": mean,
        "std_test_score": std,
        "se_test_score": std / np.sqrt(max((scores.n_rows or len(flat)) - 1, 1)),
        "rank_test_score": 1 + (order[None, :] < order[:, None]).sum(axis=1).astype(np.int32),
        "n_nonzero": n_nonzero.ravel(),
    }


def messages_of(estimator, folds, found):
    """Warnings of fits that did not end at their minimum, and of folds that lack a class."""
    separable = np.count_nonzero(found.separable)
    left = np.count_nonzero(found.reached[..., None] & ~found.converged & ~found.separable)
    if found.interrupted:
        reached = np.count_nonzero(found.reached)
        yield f"Interrupted: {reached} of {found.reached.size} points of the grid were reached.", ConvergenceWarning
    if left:
        worst = np.nanmax(np.where(found.converged | found.separable, 0, found.excess))
        yield (
            f"{left} of {found.converged.size} fits did not reach their minimum: J is up to {worst:.1e} above it. "
            f"Raise max_iter={estimator.max_iter} or tol={estimator.tol}, or use smaller values of C.",
            ConvergenceWarning,
        )
    if separable:
        at = np.broadcast_to(estimator.Cs_, found.reached.shape)[found.separable.any(axis=2)]
        remedy = "Leave inf out of Cs." if np.isinf(at).all() else "Give such features a penalty_factor above 0."
        yield NO_MINIMUM.format(separable, found.converged.size, remedy), ConvergenceWarning
    lacking = {f: codes for f, codes in enumerate(folds.lacking) if len(codes)}
    if lacking:
        f, codes = next(iter(lacking.items()))
        yield (
            f"The training part of {len(lacking)} of {len(folds.tests)} splits lacks a class, the first time split "
            f"{f - 1}, which lacks {estimator.classes_[codes].tolist()}. Its probability counts as 0 there. "
            "Use stratified folds, or fewer of them.",
            UserWarning,
        )


def end_of_grid(results, best, grid, n_free):
    """A warning where the best score is at an end of a grid of several values, and still rises there.

    Where the penalty leaves only the ``n_free`` features that have none, a smaller C gives the same model.
    """
    n_cs = grid.shape[1]
    i = best % n_cs
    if n_cs == 1 or i not in (0, n_cs - 1) or np.isinf(grid.point(best)[0]):
        return
    if i == 0 and results["n_nonzero"][best] <= n_free:
        return
    mean, inner = results["mean_test_score"], best + (1 if i == 0 else -1)
    if mean[best] - mean[inner] > max(STILL * results["se_test_score"][best], LEAST_GAIN):
        end = "smallest" if i == 0 else "largest"
        yield (
            f"The best score is at the {end} value of Cs, {grid.point(best)[0]:.3g}, and rises towards it. "
            f"Add {'smaller' if i == 0 else 'larger'} values to Cs.",
            UserWarning,
        )
