"""Run the benchmark: python -m benchmarks --help."""

import argparse
import signal
import sys
import time
from itertools import product
from pathlib import Path

from . import figure, grid, large, report
from .data import QUICK, SUITES, Case, problem, sources
from .measure import compare
from .peers import METHODS

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent.parent / "shared" / "data"


def parse(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__, epilog=report.LEGEND)
    parser.add_argument(
        "--data",
        type=Path,
        default=SHARED if SHARED.is_dir() else None,
        help="folder of .npz files, as benchmarks.fetch writes",
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="data sets to run; --list shows them")
    parser.add_argument(
        "--suite", choices=SUITES, help="problems to run, which --only, --C and --l1-ratio narrow; else: all dense data"
    )
    parser.add_argument("--methods", nargs="*", metavar="NAME", help="peers to run besides ours")
    parser.add_argument("--C", type=float, nargs="+", help="inverse strengths of the penalty; 1 if no suite")
    parser.add_argument("--l1-ratio", type=float, nargs="+", help="shares of L1 in the penalty; 0 if no suite")
    parser.add_argument("--gap", type=float, default=1e-6, help="target relative gap on data that are not synthetic")
    parser.add_argument("--time-limit", type=float, default=15.0, help="seconds that one fit may take in a search")
    parser.add_argument(
        "--stop", choices=["iterations", "tol"], default="iterations", help="how peers are stopped at the gap: peers.py"
    )
    parser.add_argument("--turns", type=int, default=11, help="most turns of a fast fit")
    parser.add_argument("--quick", action="store_true", help="small data, 3 turns, 1 s a fit: about two minutes")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the results")
    parser.add_argument("--grid", action="store_true", help="time a grid search on small data instead")
    parser.add_argument("--large", action="store_true", help="time one fit of ours on 1e6 x 1e6 CSR instead")
    parser.add_argument("--redraw", action="store_true", help="draw the figure of the results in --output again")
    parser.add_argument("--list", action="store_true", help="name the data sets and the methods")
    return parser, parser.parse_args(arguments)


def main():
    """Run what the command line asks for."""
    parser, options = parse()
    available = sources(options.data, options.quick)
    names = [method.name for method in METHODS]
    if unknown := {*(options.only or ()), *(options.methods or ())} - {*available, *names}:
        parser.error(f"unknown names: {', '.join(sorted(unknown))}; --list shows what there is")
    if options.list:
        print("data sets:", *available, "\nmethods:", *names, sep="\n  ")
        for name, suite in SUITES.items():
            print(f"\nsuite {name}:", *suite, sep="\n  ")
    elif options.grid:
        grid.run(options.output)
    elif options.large:
        large.run(options.output)
    elif options.redraw:
        figure.draw(report.load(options.output), options.output / "gap.png")
    else:
        run(options, available, cases(options, available))


def cases(options, available):
    """The problems to run: those of the suite that the options allow, or every data set with every C and l1_ratio."""
    if options.suite:
        wanted = (options.only or available, options.C, options.l1_ratio)
        suite = SUITES[options.suite]
        return [case for case in suite if all(w is None or v in w for v, w in zip(case, wanted, strict=True))]
    dense = [name for name, source in available.items() if not source.sparse and not name.startswith("l1_")]
    names = options.only or [name for name in dense if not options.quick or name in QUICK]
    return [Case(*case) for case in product(names, options.C or [1.0], options.l1_ratio or [0.0])]


def run(options, available, chosen):
    """Measure the chosen problems, one after another, saving every row as it comes."""
    time_limit, turns = (1.0, 3) if options.quick else (options.time_limit, options.turns)
    by_tol = options.stop == "tol"
    methods = [method for method in METHODS if options.methods is None or method.name in options.methods]
    for method in methods:
        if not method.installed:
            print(f"{method.name} is left out: {method.needs} is not installed")
        elif method.note:
            print(f"{method.name}: {method.note}")
    methods = [method for method in methods if method.installed]
    about, rows = report.machine(), []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # passes through the finally below
    try:
        for case in chosen:
            source = available[case.data]
            task = problem(case, source, options.gap)
            allowed = [method for method in methods if not source.only or method.name in source.only]
            before, start = len(rows), time.perf_counter()
            for row in compare(task, allowed, time_limit=time_limit, most_turns=turns, by_tol=by_tol):
                rows.append(row)
                report.print_row(row)
                report.save(options.output, about, rows)
            rows[before:] = lowered(rows[before:])
            print(f"  measured in {time.perf_counter() - start:.0f} s", flush=True)
            report.save(options.output, about, rows)
    finally:  # a run that is stopped keeps what it has
        if rows:
            print(report.LEGEND)
            report.print_summary(rows)
            figure.draw(rows, options.output / "gap.png")
            print(f"\nWritten: results.csv, results.json and gap.png in {options.output}")


def lowered(rows):
    """The rows of one problem, their gaps measured from the lowest objective that any method has come to."""
    lowest, name = min((value, row.method) for row in rows for _, value in [*row.curve, (0, row.objective)])
    best = rows[0].best
    if lowest < best - 1e-2 * rows[0].target * (1 if rows[0].absolute else best):
        print(f"  The minimum is lower than thought, by {best - lowest:.1e}: found by {name}")
    return [row._replace(best=min(best, lowest)) for row in rows]


if __name__ == "__main__":
    main()
