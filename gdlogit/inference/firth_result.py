"""The result for Firth's bias reduction: penalised likelihood-ratio tests, and penalised profile intervals.

Wald's tests and intervals mislead where classes are separable, because the penalised likelihood is far from quadratic
there. So p-values and intervals follow l* itself. Where a parameter is held at a value, |I| is still that of all
parameters, as in R's logistf.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..quadratic.metric import NewtonMetric
from .columns import Columns
from .estimate import Estimate
from .firth import FirthLikelihood
from .result import Array, InferenceResult

__all__ = ["FirthResult", "firth_maximum"]

MOST_FIRTH_STEPS = 100
LAST_RISE = 1e-13  # promised rise of l* at which the steps end


class Metric(NamedTuple):
    """The information at a theta, which is not all of l*'s curvature; secant pairs of the last steps may add to it."""

    smooth: NewtonMetric

    def solve_columns(self, U):
        """V U, for columns U (P, n)."""
        return np.stack([self.smooth.solve(u) for u in U.T], axis=1)


class FirthColumns(Columns):
    """Thetas that step with the information at their own theta, for no pass can serve several columns of l*.

    A column that approaches its maximum too slowly improves its metric by secant pairs from then on.
    """

    def __init__(self, likelihood, information, normals, thetas):
        super().__init__(likelihood, information, normals, thetas)
        self.last, self.slow = {}, set()

    def evaluate(self, some):
        """The l* (n,) and its scores (P, n) of some columns."""
        self.passes += 1
        found = [self._evaluate(m) for m in some]
        return np.array([loglik for loglik, _ in found]), np.array([score for _, score in found]).T.reshape(
            -1, len(some)
        )

    def _evaluate(self, m):
        theta = self.thetas[:, m].copy()
        loglik, score, information = self.likelihood.evaluate(theta.reshape(self.likelihood.shape))
        score = score.ravel()
        if m in self.slow:
            last_theta, last_score, pairs = self.last[m]
            metric = NewtonMetric(information, pairs).updated(theta - last_theta, last_score - score)
        else:
            metric = NewtonMetric(information)
        if information.rank == self.rank:
            self.informations[m] = Metric(metric)
        self.last[m] = theta, score, metric.pairs
        return loglik, score

    def refresh(self, some):
        """Let some columns improve their metrics from now on; they have the information at their own thetas already."""
        self.slow.update(int(m) for m in some)


def firth_maximum(likelihood: FirthLikelihood, theta: np.ndarray, check) -> Estimate:
    """The maximum of l* near a theta; ``check(l*, rise)`` may refuse that theta."""
    with likelihood.threads():
        return climbed(likelihood, theta, check)


def climbed(likelihood: FirthLikelihood, theta: np.ndarray, check) -> Estimate:
    """``firth_maximum``, on the threads of a fit."""
    start = 0.0
    for number in range(MOST_FIRTH_STEPS):
        loglik, score, information = likelihood.evaluate(theta)
        step = information.solve(score)
        rise = 0.5 * float(np.vdot(score, step))
        if number == 0:
            check(loglik, rise)
            start = last = rise
        elif rise > last / 2 and rise < LAST_RISE:  # the rise is only rounding
            break
        last, theta = rise, information.without_aliased(theta) + step
        if rise <= LAST_RISE:
            break
    return Estimate(likelihood, theta, loglik + rise, information, start)


class FirthResult(InferenceResult):
    """Standard errors, tests and intervals of a fit with ``bias_reduction="firth"``.

    ``pvalues`` come from penalised likelihood-ratio tests, and ``conf_int`` gives penalised profile intervals by
    default. ``llf`` is the penalised log-likelihood ``l + log |I| / 2``, and ``llr`` compares ``llf`` with the
    penalised log-likelihood where all features have coefficients of 0. There is no AIC, BIC or pseudo R^2.
    """

    _method = "Firth"
    _columns = ("coef", "std err", "chi2", "P>chi2")
    _columns_class = FirthColumns
    _interval = "profile"

    @cached_property
    def _tests(self):
        """The penalised likelihood-ratio test of each parameter, in the shape of ``params``."""
        tests = self._lr_tests([np.array([place]) for place in range(len(self._terms.order))])
        return tuple(self._terms.shaped(array) for array in (tests.statistic, tests.pvalue))

    @property
    def pvalues(self) -> Array:
        """The p-values of penalised likelihood-ratio tests."""
        return self._tests[1]

    def _numbers(self):
        return self.params, self.bse, *self._tests

    @cached_property
    def llnull(self) -> float:
        """The penalised log-likelihood where all features have coefficients of 0."""
        return self.llf - 0.5 * self.lr_test(list(self._terms.features)).statistic

    @property
    def aic(self) -> float:
        """Not a number."""
        return np.nan

    bic = prsquared = aic
