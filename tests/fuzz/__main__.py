"""The command: ``python -m tests.fuzz``. Exit code 1 where a claim has failed."""

import argparse
import sys
from collections import Counter
from itertools import count
from time import monotonic

from .cases import draw
from .oracles import IDLE, ORACLES
from .trial import Trial

CASES_OF_A_SEED = 10_000_000  # --seed 1 begins where no run with --seed 0 will ever come


def failures(case, oracles=ORACLES, counts=None):
    """Yield each oracle that the case fails, and how."""
    trial = Trial(case)
    for oracle in oracles:
        outcome = "failed"
        try:
            outcome = "idle" if oracle(trial) is IDLE else "held"
        except Exception as error:  # an oracle may also meet an error of the package's
            yield oracle, f"{type(error).__name__}: {error}".strip()
        if counts is not None:
            counts[oracle.__name__, outcome] += 1


def shrunk(case, oracle):
    """A smaller case that fails the same oracle: half the rows or columns, again and again."""
    for name, least in (("rows", case.n_classes), ("columns", 1)):
        while (fewer := max(least, getattr(case, name) // 2)) < getattr(case, name):
            smaller = case._replace(**{name: fewer})
            if not any(failures(smaller, [oracle])):
                break
            case = smaller
    return case


def report(case, oracle, how, shrink=True):
    """Print a failure, the case, and how to run it again."""
    print(f"\nFAILED {oracle.__name__}\n  {how[:1000]}\n  {case}")
    if shrink and "TimeoutError" not in how:
        case = shrunk(case, oracle)
        how = next((how for _, how in failures(case, [oracle])), how)
    print(f"  python -m tests.fuzz --case {case.seed} --rows {case.rows} --columns {case.columns}")
    print(f"  where: {how[:300]}", flush=True)


def main(arguments=None):
    """Run as the arguments say; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to draw cases")
    parser.add_argument("--seed", type=int, default=0, help="where to begin")
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--rows", type=int, help="of the case, only the first")
    parser.add_argument("--columns", type=int, help="of the case, only the first")
    given = parser.parse_args(arguments)
    counts = Counter()
    if given.case is not None:
        case = draw(given.case)
        case = case._replace(rows=given.rows or case.rows, columns=given.columns or case.columns)
        for oracle, how in failures(case, counts=counts):
            report(case, oracle, how, shrink=False)
    else:
        end, first = monotonic() + 60 * given.minutes, CASES_OF_A_SEED * given.seed
        for n_cases in count():
            if monotonic() >= end:
                break
            case = draw(first + n_cases)
            for oracle, how in failures(case, counts=counts):
                report(case, oracle, how)
        print(f"\n{n_cases} cases, from {first}")
    print(f"\n{'held':>8} {'failed':>8} {'idle':>8}")
    for oracle in ORACLES:
        print(*(f"{counts[oracle.__name__, outcome]:8d}" for outcome in ("held", "failed", "idle")), oracle.__name__)
    return int(any(outcome == "failed" for _, outcome in counts))


if __name__ == "__main__":
    sys.exit(main())
