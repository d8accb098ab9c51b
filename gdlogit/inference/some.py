"""Standard errors of some parameters, where there are too many to form an information matrix.

The covariance of two linear functions a and b of theta is a^T I^-1 b. Conjugate gradients on products with I give I^-1
b, with one solve for each function. For a softmax, I is the information of all k scores, and is singular along shifts
that all scores share. Contrasts do not change along these shifts, so the solves are consistent.
"""

from typing import Any, Literal, NoReturn

import numpy as np

from ..objective import Objective
from ..penalty import ElasticNet
from ..quadratic.metric import preconditioner_at, products_at
from .estimate import Estimate
from .result import Array, InferenceResult
from .terms import Terms

__all__ = ["SomeInformation", "SomeResult", "solved"]

SOLVED_RESIDUAL = 1e-8  # relative residual of a solve
LOST = 1e3  # residual / smallest residual so far: rounding has taken over
MOST_SOLVE_PRODUCTS = 3000  # of the information with a vector, in one solve
UNSOLVED = (
    "The standard error of {name} was not found by {n} products with the information matrix: the feature is collinear "
    "with others, or nearly so. Leave collinear features out of the model."
)
ONLY_SOME = (
    "{what} needs the covariance of all parameters, and features= has asked for some features only. Available are "
    "params, bse, zvalues, pvalues, conf_int, wald_test and summary."
)


class SomeInformation:
    """The information at theta, by its products. Its rank is taken to be full: no aliased features are looked for."""

    def __init__(self, likelihood, theta):
        self.likelihood = likelihood
        self.objective = Objective(likelihood.rows, likelihood.loss, ElasticNet(0.0))
        self.rank, self.estimable = likelihood.n_parameters, np.ones(likelihood.n_parameters, dtype=bool)
        self.theta = likelihood.contrasts.theta(theta)
        self.point = self.objective.at(self.theta)
        z = self.objective.scores(self.theta)
        self.solver = products_at(self.objective, self.objective.curvature(z), preconditioner_at(self.objective, z))
        self.solver.most_products = MOST_SOLVE_PRODUCTS

    def solve(self, u):
        """I^-1 u, for a vector in the shape of all scores' theta, and its residual.

        Where I is singular, rounding makes the residual grow again, so the best solution is returned.
        """
        u = u / self.objective.total
        if u.shape[1] > 1:
            u -= u.mean(axis=1, keepdims=True)  # rounding along the shifts, on which I is 0, would grow
        best, least = np.zeros_like(u), 1.0
        for iterate in self.solver.iterates(u):
            if iterate.residual < least:
                best, least = iterate.x.copy(), iterate.residual
            if least <= SOLVED_RESIDUAL or iterate.residual > LOST * least:
                break
        return best, least

    def step(self):
        """The step to the maximum of l, as contrasts, and the rise of l by this step."""
        step, _ = self.solve(-self.objective.total * self.point.gradient)
        rise = -0.5 * self.objective.total * float(np.vdot(self.point.gradient, step))
        return self.likelihood.contrasts.of(step), rise

    def covariance(self, functions, names):
        """The covariance (n, n) of linear functions (n, p + 1, k') of the contrasts."""
        functions = [self.of_all_scores(function) for function in functions]
        solutions = []
        for function, name in zip(functions, names, strict=True):
            solution, residual = self.solve(function)
            if residual > np.sqrt(SOLVED_RESIDUAL):
                raise ValueError(UNSOLVED.format(name=name, n=MOST_SOLVE_PRODUCTS))
            solutions.append(solution)
        V = np.array([[np.vdot(a, solution) for solution in solutions] for a in functions])
        return 0.5 * (V + V.T)

    def of_all_scores(self, function):
        """A linear function of the contrasts as one of all scores: the reference's coefficients get the other sign."""
        all_scores = self.likelihood.contrasts.theta(function)
        if all_scores.shape[1] > 1:
            all_scores[:, self.likelihood.contrasts.reference] = -function.sum(axis=1)
        return all_scores


def solved(likelihood, start, parameters, names, check):
    """The maximum of l near a theta; l there; the excess at the start; the information; some parameters' covariance.

    ``parameters`` are pairs (row of theta, class) of the user's parameters.
    """
    with likelihood.threads():
        theta, first = start, None
        for _ in range(2):
            information = SomeInformation(likelihood, theta)
            step, rise = information.step()
            loglik = -information.objective.total * information.point.value
            if first is None:
                check(loglik, rise)
                first = rise
            theta = theta + step
        functions = [likelihood.user_parameter(row, c) for row, c in parameters]
        return theta, loglik + rise, first, information, information.covariance(functions, names)


class SomeResult(InferenceResult):
    """The result with standard errors for some of the terms; the other terms have nan."""

    def __init__(self, estimate: Estimate, covariance: Array, places: Any, terms: Terms, asked: Any) -> None:
        super().__init__(estimate, None, terms, asked)
        self._places, self._of_some = places, covariance

    @property
    def _covariance(self):
        return self._of_some

    def cov_params(self) -> Array:
        """The covariance of the parameters of the terms that were asked for, class by class."""
        return super().cov_params()

    def _covariance_at(self, places):
        index = {place: i for i, place in enumerate(self._places)}
        missing = [self._terms.labels()[place] for place in places if place not in index]
        if missing:
            raise ValueError(f"features= has not asked for {', '.join(missing)}.")
        some = [index[place] for place in places]
        return self._of_some[np.ix_(some, some)]

    @property
    def bse(self):
        """The standard errors of the terms that were asked for."""
        flat = np.full(len(self._terms.order), np.nan)
        flat[self._places] = np.sqrt(self._of_some.diagonal())
        return self._terms.shaped(flat)

    def _refuse(self, what: str) -> NoReturn:
        raise ValueError(ONLY_SOME.format(what=what))

    def _require_likelihood(self, wanted, instead):
        self._refuse(wanted)

    def predict(self, X: Any, interval: float = 0.95, *, offset: Any = None) -> NoReturn:
        """Refused."""
        self._refuse("predict")

    def margins(self, at: Literal["overall", "mean"] = "overall", dummy: bool = False) -> NoReturn:
        """Refused."""
        self._refuse("margins")

    def contrast(
        self, feature: Any, high: float, low: float, measure: Literal["difference", "ratio", "odds"] = "difference"
    ) -> NoReturn:
        """Refused."""
        self._refuse("contrast")

    @property
    def hat(self):
        """Refused."""
        self._refuse("hat")

    @property
    def cooks_distance(self):
        """Refused."""
        self._refuse("cooks_distance")

    _largest_hat = None
    _shown = property(lambda self: sorted({place % len(self.names) for place in self._places}))

    @property
    def _notes(self):
        others = len(self.names) - len(self._shown)
        return (f"Standard errors only for the terms in features=; the {others} other terms have none.",)
