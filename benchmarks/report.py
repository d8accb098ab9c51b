"""What comes out: the table as it grows, results.csv and results.json, and a summary."""

import csv
import json
import math
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import geometric_mean

from threadpoolctl import threadpool_info

from .measure import Row

PROPERTIES = ("gap", "reached", "reads", "ratio", "ratio_default")
PACKAGES = ("gdlogit", "numpy", "scipy", "scikit-learn", "cyanure", "glum", "skglm", "celer", "scikit-learn-intelex")
HEADING = (
    f"  {'method':38}{'setting':>15}{'time':>9}{'reads':>11}{'gap':>10}{'loss':>10}{'memory':>10}{'/ X':>7}"
    f"{'x ours':>10}{'x default':>10}{'turns':>6}  warned"
)


def machine():
    """The machine, the versions, and the linear algebra of this process."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    import gdlogit

    versions["gdlogit"] = gdlogit.__version__  # also where it is not installed, only imported
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,  # of other work, when the run began
        "versions": versions,
        "threadpools": [
            {key: pool.get(key) for key in ("internal_api", "version", "num_threads", "architecture")}
            for pool in threadpool_info()
        ],
    }


def print_row(row):
    """Print a line of the table, and the problem's heading before its first line."""
    if row.method.endswith("loosest tol"):
        unit = "gap" if row.absolute else "relative gap"
        print(
            f"\n{row.data}: {row.n} x {row.p}, {row.classes} classes, {_penalty(row)}; "
            f"min J = {row.best:.10g} (to about {row.excess:.0e}); target: {unit} {row.target:g}; "
            f"one read: {_time(row.read_seconds)}\n{HEADING}"
        )
    mark = ("" if row.calm else "~") + ("" if row.reached or row.setting == "default" else ">")
    print(
        f"  {row.method:38}{row.setting:>15}{_time(row.seconds):>9}{_number(row.reads):>11}"
        f"{max(row.gap, 0):>9.1e}{' ' if row.reached else '!'}{row.loss:>10.5g}"
        f"{row.memory / 1e6:>7.2f} MB{_number(row.memory_share):>7}"
        f"{_ratio(row.ratio, mark):>10}{_ratio(row.ratio_default, mark):>10}{row.turns:>6}  {row.warned or '-'}"
        f"{f' (first fit: {_time(row.warm_up)})' if row.warm_up > 1 else ''}",
        flush=True,
    )


LEGEND = """
time: median of the turns. reads: time / time of one X @ w. gap: worst of the turns; ! = target not reached.
memory: peak of NumPy's allocations during fit; / X: by the bytes of X. x ours: time / ours at the loosest tol that
reaches the target; x default: / ours at default parameters, in the same turns; > = its end or limit before the target;
- = ours failed. first fit: seconds of a fit of a few rows, which imports and compiles; not in the time.
min J (to about): the excess over the true minimum, as optimum.py bounds it.
warned: categories; not the warning of a solver that it stopped by max_iter, where it was told to.
~: ours took 1.5 times as long in these turns as alone, or less than 2/3: the machine was busy, so run that again."""


def save(output, about, rows):
    """Write all rows so far."""
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    table = [{**row._asdict(), **{name: getattr(row, name) for name in PROPERTIES}} for row in rows]
    with open(output / "results.csv", "w", newline="") as file:
        fields = [name for name in table[0] if name != "curve"]
        writer = csv.DictWriter(file, fields, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(table)
    with open(output / "results.json", "w") as file:
        json.dump(_plain({"machine": about, "rows": table}), file, indent=1, default=float, allow_nan=False)


def load(output):
    """The rows that were saved."""
    with open(Path(output) / "results.json") as file:
        rows = json.load(file)["rows"]
    return [Row(**{name: math.inf if row[name] is None else row[name] for name in Row._fields}) for row in rows]


def print_summary(rows):
    """Print the worst and the mean ratios that the rows hold."""
    print("\nSummary")
    for penalty in dict.fromkeys(_penalty(row) for row in rows):
        _summarise([row for row in rows if _penalty(row) == penalty], penalty)


def _summarise(rows, label):
    default = {row.data: row for row in rows if row.method == "GDLogisticRegression()"}
    slowest = max(default.values(), key=lambda row: row.seconds)
    print(
        f"  {label}: default parameters on {len(default)} data sets: slowest {_time(slowest.seconds)} ({slowest.data});"
    )
    print(f"    warned on {', '.join(name for name, row in default.items() if row.warned) or 'none'};")
    print(f"    target not reached on {', '.join(name for name, row in default.items() if not row.reached) or 'none'};")
    if busy := sum(not row.calm for row in rows):
        print(f"    {busy} of {len(rows)} rows were measured while the machine was busy (~)")
    fastest, scaled = {}, {}
    for row in rows:
        if row.family == "scikit-learn" and row.reached and row.ratio_default:
            fastest[row.data] = min(row, fastest.get(row.data, row), key=lambda row: row.ratio_default)
        if row.method.startswith("StandardScaler"):
            scaled[row.data] = row
    for name, chosen in (("fastest scikit-learn solver at equal gap", fastest), ("scaled pipeline", scaled)):
        for least in (0, 5000):
            _print_ratios(f"{label}: {name} / ours at default parameters", chosen.values(), least)
    for row in sorted(rows, key=lambda row: row.data):
        if row.family != "ours" and row.reached and 0 < row.ratio_default < 1:
            print(f"  {label}: {row.method} is faster on {row.data}: {row.ratio_default:.2f} of our time")


def _print_ratios(label, rows, least):
    ratios = {row.data: row.ratio_default for row in rows if row.n >= least}
    if ratios:
        worst = min(ratios, key=ratios.get)
        print(
            f"  {label}, {len(ratios)} data sets with n >= {least:,}: "
            f"geometric mean {geometric_mean(ratios.values()):.2f}, least {ratios[worst]:.2f} ({worst})"
        )


def _penalty(row):
    """The penalty, in words."""
    return f"C={row.C:g}" + (f", l1_ratio={row.l1_ratio:g}" if row.l1_ratio else "")


def _ratio(value, mark):
    return mark + _number(value) if value else "-"


def _time(seconds):
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.3g} µs"


def _number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _plain(item):
    """The item with None for each number that is not finite, which JSON does not have."""
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        return [_plain(value) for value in item]
    return None if isinstance(item, float) and not math.isfinite(item) else item


def _cpu():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
