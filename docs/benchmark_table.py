"""The tables of the benchmarks page, from benchmarks/results/results.json as it is when the pages are built."""

import csv
import json
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "results.json"

LARGE = "ar95"  # a million rows, as large_data.rst says
OURS = "GDLogisticRegression()"
LOOSEST = "GDLogisticRegression, loosest tol"
HABITS = {
    "LogisticRegression()": "LogisticRegression()",
    "scaled pipeline": "StandardScaler + LogisticRegression()",
}


def write(folder):
    """Write benchmarks.csv, a line per data set; memory.csv, a line per method on a large one; and machine.csv."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    folder.mkdir(exist_ok=True)
    problems = {}
    for row in results["rows"]:
        problems.setdefault((row["data"], row["C"], row.get("l1_ratio", 0)), []).append(row)
    of_ours = [rows for rows in problems.values() if any(row["method"] == OURS for row in rows)]
    _write(folder / "benchmarks.csv", [_line(rows) for rows in of_ours])
    large = next(rows for rows in of_ours if rows[0]["data"] == LARGE)
    _write(folder / "memory.csv", [_memory(row) for row in large if row["method"] != LOOSEST])
    about = results["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in about["versions"].items() if version)
    measured = {
        "measured": about["date"][:10],
        "machine": f"{about['cpu']}, {about['cores']} cores, {about['platform']}",
        "versions": versions,
    }
    _write(folder / "machine.csv", [{"": name, "value": value} for name, value in measured.items()])


def _line(rows):
    first = rows[0]
    by_method = {row["method"]: row for row in rows}
    ours = by_method[OURS]
    rivals = [row for row in rows if row["family"] == "scikit-learn" and row["reached"]]
    best = min(rivals, key=lambda row: row["ratio_default"], default=None)
    habits = {name: by_method.get(method) for name, method in HABITS.items()}
    return {
        "data": first["data"] + _unless(first["C"], 1, "C") + _unless(first.get("l1_ratio", 0), 0, "l1_ratio"),
        "rows x features": f"{first['n']:,} x {first['p']:,}",
        "classes": first["classes"],
        "gdlogit": _time(ours["seconds"]),
        "fastest scikit-learn solver": f"{best['method']}, {_time(best['seconds'])}" if best else "none",
        "its time / gdlogit's": f"{best['ratio_default']:.3g}" if best else "",
        "LogisticRegression()": _habit(habits["LogisticRegression()"]),
        "scaled pipeline": _time(habits["scaled pipeline"]["seconds"]) if habits["scaled pipeline"] else "",
    }


def _habit(row):
    return f"{_time(row['seconds'])}, {_percent(row['gap'])} too high" if row else ""


def _unless(value, usual, name):
    return "" if value == usual else f", {name}={value:g}"


def _memory(row):
    return {
        "method": row["method"],
        "allocated by fit": f"{row['memory'] / 1e6:,.0f}\N{NO-BREAK SPACE}MB",
        "share of X": f"{100 * row['memory_share']:.0f}%",
        "time": _time(row["seconds"]),
    }


def _time(seconds):
    return f"{seconds:.3g}\N{NO-BREAK SPACE}s" if seconds >= 1 else f"{1e3 * seconds:.3g}\N{NO-BREAK SPACE}ms"


def _percent(gap):
    percent = 100 * max(gap, 0)
    return f"{percent:.0f}%" if percent >= 10 else f"{percent:.2g}%"


def _write(path, lines):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
