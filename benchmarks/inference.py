"""Inference: times, in turns with those of others, and coverage by simulation: ``python -m benchmarks.inference``.

``times`` prints seconds, the median of some turns, with the ratio that each turn has: of standard errors to the fit, of
the Wald table (fit included) to statsmodels' Logit and to glum, of profile limits, effects, and of Firth's fit to
firthmodels. Beside each stands what was computed: the largest relative difference of the standard errors, or the passes
over the rows. Packages that are not installed are left out.

``coverage`` draws data of a known model many times, and counts how often nominal 95% intervals cover the true value.
"""

import argparse
import statistics
import time
import tracemalloc
import warnings

import numpy as np
from scipy.special import expit
from scipy.stats import kstest

from gdlogit import GDLogisticRegression

TURNS = 5


def drawn(n, p, seed=0, scale=1.0):
    """Correlated features on raw scales, and labels of a logistic model."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X[:, 1:] += 0.5 * X[:, :-1]
    z = scale * X @ (rng.standard_normal(p) / np.sqrt(p))
    X *= 10.0 ** rng.uniform(-2, 2, p)
    return X, (rng.random(n) < expit(z)).astype(int)


def in_turns(*tasks):
    """The median seconds of each task, and the median of each one's ratio to the first in the same turn."""
    seconds = []
    for _ in range(TURNS):
        turn = []
        for task in tasks:
            start = time.perf_counter()
            task()
            turn.append(time.perf_counter() - start)
        seconds.append(turn)
    ratios = [[turn[i] / turn[0] for turn in seconds] for i in range(len(tasks))]
    return [statistics.median(column) for column in zip(*seconds, strict=True)], [*map(statistics.median, ratios)]


def fitted(X, y, **parameters):
    """A fit without a penalty."""
    return GDLogisticRegression(**{"C": np.inf, "random_state": 0} | parameters).fit(X, y)


def standard_errors():
    """Standard errors beside the fit, and the memory that they take."""
    print(f"{'standard errors':18}{'n':>9}{'p':>5}{'fit s':>9}{'errors s':>10}{'ratio':>7}{'passes':>8}{'MB':>7}")
    for n, p in ((1000, 10), (10_000, 20), (50_000, 50), (50_000, 100), (1_000_000, 20), (1_000_000, 100)):
        X, y = drawn(n, p)
        model = fitted(X, y)
        seconds, ratios = in_turns(lambda: model.fit(X, y), lambda: model.inference(X, y).bse)  # noqa: B023
        result = model.inference(X, y)
        tracemalloc.start()
        _ = model.inference(X, y).bse
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        passes = result._estimate.likelihood.passes
        print(f"{'':18}{n:9}{p:5}{seconds[0]:9.4f}{seconds[1]:10.4f}{ratios[1]:7.2f}{passes:8}{peak:7.1f}", flush=True)


def wald_table(n=100_000, p=50):
    """Fit and covariance, against statsmodels and glum."""
    X, y = drawn(n, p)
    ours, tasks, names = fitted(X, y).inference(X, y), [lambda: fitted(X, y).inference(X, y).bse], ["gdlogit"]
    found = {}
    try:
        import statsmodels.api as sm

        def logit():
            found["statsmodels"] = sm.Logit(y, sm.add_constant(X)).fit(disp=False).bse

        tasks.append(logit)
        names.append("statsmodels")
    except ImportError:
        pass
    try:
        from glum import GeneralizedLinearRegressor

        def glum():
            model = GeneralizedLinearRegressor(family="binomial", alpha=0, gradient_tol=1e-8)
            found["glum"] = np.sqrt(model.fit(X, y).covariance_matrix(X, y, robust=False).diagonal())

        tasks.append(glum)
        names.append("glum")
    except ImportError:
        pass
    seconds, ratios = in_turns(*tasks)
    print(f"\nthe Wald table, {n} x {p}, fit included")
    for name, second, ratio in zip(names, seconds, ratios, strict=True):
        away = np.abs(found[name] / ours.bse - 1).max() if name in found else 0.0
        print(f"  {name:14}{second:9.3f} s   {ratio:6.2f} times ours   errors differ by {away:.0e}", flush=True)


def profiles_and_effects():
    """Profile limits and drop-one tests in passes, effects beside the Hessian."""
    print(f"\n{'':18}{'n':>9}{'p':>5}{'limits':>8}{'tests':>7}   (passes)   effects / information, seconds")
    for n, p in ((1000, 10), (50_000, 20), (1_000_000, 20)):
        X, y = drawn(n, p)
        result = fitted(X, y).inference(X, y)
        likelihood, theta, counted = result._estimate.likelihood, result._estimate.theta, []
        for ask in (lambda: result.conf_int(method="profile"), result.lr_test):  # noqa: B023
            before = likelihood.passes
            ask()
            counted.append(likelihood.passes - before)
        seconds, ratios = in_turns(lambda: likelihood.information(theta), result.margins)  # noqa: B023
        print(
            f"{'':18}{n:9}{p:5}{counted[0]:8}{counted[1]:7}{'':14}{seconds[1]:.3f} / {seconds[0]:.3f} = {ratios[1]:.2f}"
        )


def firth():
    """Firth's fit, against firthmodels."""
    try:
        from firthmodels import FirthLogisticRegression
    except ImportError:
        FirthLogisticRegression = None
    print(
        f"\n{'Firth':18}{'n':>9}{'p':>5}{'steps':>7}{'ours s':>9}{'firthmodels / ours':>20}{'coefficients differ':>21}"
    )
    for n, p in ((200, 5), (1000, 10), (5000, 10), (5000, 30), (20_000, 20)):
        X, y = drawn(n, p, scale=1.5)
        X /= X.std(axis=0)  # or firthmodels does not converge
        model = fitted(X, y, bias_reduction="firth")
        tasks = [lambda: fitted(X, y, bias_reduction="firth")]  # noqa: B023
        theirs = None
        if FirthLogisticRegression is not None:
            theirs = FirthLogisticRegression(max_iter=200, gtol=1e-8, xtol=1e-8).fit(X, y)
            tasks.append(lambda: FirthLogisticRegression(max_iter=200, gtol=1e-8, xtol=1e-8).fit(X, y))  # noqa: B023
        seconds, ratios = in_turns(*tasks)
        away = "" if theirs is None else f"{np.abs(theirs.coef_ - model.coef_).max():.0e}"
        other = "" if theirs is None else f"{ratios[1]:.2f}"
        print(f"{'':18}{n:9}{p:5}{model.n_iter_[0]:7}{seconds[0]:9.4f}{other:>20}{away:>21}", flush=True)


# --- Coverage -------------------------------------------------------------------------------------------------------

N, P = 300, 10
TRUTH = np.array([1.0, 0.5, -0.5, 0.25, 0, 0, 0, 0, 0, 0])
INTERCEPT = -1.0


def table(rng, beta=TRUTH):
    """Rows of a known model with correlated features."""
    root = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(np.arange(P), np.arange(P))))
    X = rng.standard_normal((N, P)) @ root.T
    return X, (rng.random(N) < expit(INTERCEPT + X @ beta)).astype(int)


def covers(limits, truth):
    """Which limits hold the truth."""
    return (limits[..., 0] <= truth) & (truth <= limits[..., 1])


def one_run(rng, truth):
    """For each kind of interval, which coefficients it covers."""
    X, y = table(rng)
    groups, model = np.arange(N) // 5, fitted(X, y)
    found = {"Wald": model.inference(X, y)}
    for kind in ("HC0", "HC1", "HC2", "HC3"):
        found[kind] = model.inference(X, y, cov_type=kind)
    found["cluster"] = model.inference(X, y, cov_type="cluster", groups=groups)
    for name, C, l1 in (("l2, C = 0.01", 0.01, 0), ("l2, C = 1", 1, 0), ("l1, C = 0.3", 0.3, 1)):
        penalised = fitted(X, y, C=C, l1_ratio=l1)
        found[f"debiased, {name}"] = penalised.inference(X, y, method="debiased")
    covered = {name: covers(result.conf_int(), truth) for name, result in found.items()}
    covered["profile"] = covers(found["Wald"].conf_int(method="profile"), truth)
    reduced = fitted(X, y, bias_reduction="firth").inference(X, y)
    covered["Firth, Wald"] = covers(reduced.conf_int(method="wald"), truth)
    covered["Firth, profile"] = covers(reduced.conf_int(), truth)
    return covered, found["Wald"], reduced


def other_intervals(result, new, z, risk):
    """Whether the intervals of predictions, of an effect, and of contrasts cover."""
    prediction = result.predict(new)
    covered = {"prediction": covers(np.stack([prediction.lower, prediction.upper], axis=-1), expit(z))}
    covered["marginal effect"] = covers(result.margins().conf_int()[:4], risk["dy/dx"])
    for measure in ("difference", "ratio", "odds"):
        covered[f"contrast, {measure}"] = covers(result.contrast(0, 1, -1, measure).conf_int(), risk[measure])
    return covered


def true_effects(X):
    """The effects in the rows of X, at the true coefficients."""
    high, low = X.copy(), X.copy()
    high[:, 0], low[:, 0] = 1, -1
    a = expit(INTERCEPT + X @ TRUTH)
    one, other = (expit(INTERCEPT + part @ TRUTH).mean() for part in (high, low))
    odds = one / (1 - one) * (1 - other) / other
    return {"dy/dx": (a * (1 - a)).mean() * TRUTH[:4], "difference": one - other, "ratio": one / other, "odds": odds}


def coverage(runs):
    """Print how often intervals cover, and whether p-values are uniform where there is no effect."""
    truth, totals, pvalues = np.append(INTERCEPT, TRUTH), {}, {"Wald": [], "likelihood ratio": [], "Firth": []}
    credible = []
    for run in range(runs):
        rng = np.random.default_rng(run)
        covered, wald, reduced = one_run(rng, truth)
        X, y = table(np.random.default_rng(run))
        new = np.vstack([np.zeros(P), np.eye(P)[:3]])
        covered |= other_intervals(wald, new, INTERCEPT + new @ TRUTH, true_effects(X))
        for name, value in covered.items():
            totals.setdefault(name, []).append(np.atleast_1d(value))
        pvalues["Wald"].append(wald.pvalues[-1])
        pvalues["likelihood ratio"].append(wald.lr_test("x9").pvalue)
        pvalues["Firth"].append(reduced.lr_test("x9").pvalue)
        beta = rng.standard_normal(P)  # of the prior that C = 1 is
        X, y = table(rng, beta)
        credible.append(
            covers(fitted(X, y, C=1.0).inference(X, y, method="bayes").conf_int(), np.append(INTERCEPT, beta))
        )
    error = 2 * (0.95 * 0.05 / runs) ** 0.5
    print(f"coverage of nominal 95% intervals, n = {N}, p = {P}, {runs} runs; Monte Carlo error {error:.3f}")
    print(f"{'':26}{'intercept':>11}{'beta = 1':>10}{'beta = 0.5':>12}{'beta = 0':>10}")
    for name, values in totals.items():
        mean = np.mean(values, axis=0)
        if len(mean) == P + 1:
            print(f"{name:26}{mean[0]:11.3f}{mean[1]:10.3f}{mean[2]:12.3f}{mean[5:].mean():10.3f}")
        else:
            print(f"{name:26}" + "  ".join(f"{value:.3f}" for value in mean))
    mean = np.mean(credible, axis=0)
    print(f"{'credible, C = 1':26}{mean[0]:11.3f}{mean[1:].mean():10.3f}  (coefficients drawn from the prior)")
    for name, values in pvalues.items():
        print(f"p-values of {name}, beta = 0: Kolmogorov-Smirnov p = {kstest(values, 'uniform').pvalue:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.inference", description=__doc__)
    parser.add_argument("what", choices=["times", "coverage"])
    parser.add_argument("--runs", type=int, default=1000, help="of the simulation")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "coverage":
        coverage(arguments.runs)
    else:
        standard_errors()
        wald_table()
        profiles_and_effects()
        firth()
