"""The figure: time against objective gap, one panel per problem."""

import math
from pathlib import Path

FLOOR, CEILING = 1e-12, 10  # gaps beyond are drawn there

# Okabe and Ito's colours: apart in hue and in lightness; the marker tells them apart without any colour.
STYLES = {
    "GDLogisticRegression, loosest tol": dict(color="black", marker="o", linewidth=2.6, markersize=5, zorder=5),
    "GDLogisticRegression()": dict(color="black", marker="*", markersize=15, markerfacecolor="gold", zorder=6),
    "lbfgs": dict(color="#D55E00", marker="s"),
    "newton-cg": dict(color="#0072B2", marker="v"),
    "newton-cholesky": dict(color="#009E73", marker="D"),
    "saga": dict(color="#CC79A7", marker="<"),
    "liblinear": dict(color="#8C510A", marker=">"),
    "SGDClassifier": dict(color="#999999", marker="x"),
    "cyanure": dict(color="#56B4E9", marker="^"),
    "glum": dict(color="#7B3294", marker="p"),
    "skglm": dict(color="#0B5345", marker="P"),
    "celer": dict(color="#B8860B", marker="d"),
    "sklearnex lbfgs": dict(color="#E69F00", marker="h"),
    "LogisticRegression()": dict(color="#D55E00", marker="X", markersize=9, markeredgecolor="black"),
}
LABELS = {
    "GDLogisticRegression, loosest tol": "GDLogisticRegression, tol = 1e-1, 1e-2, ...",
    "GDLogisticRegression()": "GDLogisticRegression() as it is",
    "LogisticRegression()": "LogisticRegression() as it is",
}


def draw(rows, path):
    """Draw the rows' curves. The scaled pipeline is left out: it minimises something else."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    panels = {}
    for row in rows:
        panels.setdefault((row.data, row.C, row.l1_ratio), []).append(row)
    columns = min(3, len(panels))  # more would be cut off, or too small, on a page
    lines = math.ceil(len(panels) / columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(1 + 3.6 * columns, 1.6 + 3 * lines), squeeze=False, layout="constrained", sharey=True
    )
    for ax in axes.flat[len(panels) :]:
        ax.remove()
    several = len({(C, ratio) for _, C, ratio in panels}) > 1
    handles = {}
    for ax, ((data, C, ratio), members) in zip(axes.flat, panels.items(), strict=False):
        first = members[0]
        ax.set(xscale="log", yscale="log", ylim=(FLOOR / 3, 3 * CEILING))
        ax.xaxis.set_minor_formatter("")  # in a narrow range its labels would run into each other
        ax.set_title(
            f"{data}{f', C={C:g}, l1_ratio={ratio:g}' if several else ''}\n"
            f"{first.n:,} x {first.p:,}, {first.classes} classes",
            size=9,
        )
        goal = first.target / first.best if first.absolute else first.target
        target = ax.axhline(goal, color="black", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ax.grid(alpha=0.25)
        for row in members:
            if row.method in STYLES:
                handles.setdefault(row.method, curve(ax, row))
    figure.supxlabel(f"seconds of one fit (shares are drawn between {FLOOR:g} and {CEILING:g})", size=11)
    figure.supylabel("objective J above its minimum, as a share of the minimum", size=11)
    names = [name for name in STYLES if name in handles]
    figure.legend(
        [*(handles[name] for name in names), target],
        [*(LABELS.get(name, name) for name in names), "target of the comparison"],
        loc="outside upper center",
        ncols=min(4, columns + 1),
        fontsize=9,
        frameon=False,
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def curve(ax, row):
    """Draw one method's times and gaps, and return the line."""
    points = row.curve if row.setting != "default" else [(row.seconds, row.objective)]
    points = [(time, _shown((value - row.best) / row.best)) for time, value in _front(points)]
    style = {"linewidth": 1.2, "markersize": 4.5, **STYLES[row.method]}
    return ax.plot([time for time, _ in points], [gap for _, gap in points], **style)[0]


def _front(points):
    """The attempts to which no faster one comes as close; and the longest, which shows how long was tried."""
    points = sorted((time, math.inf if value is None else value) for time, value in points)
    front, lowest = [], math.inf
    for time, value in points:
        if value < lowest or (time, value) == points[-1]:
            lowest = min(lowest, value)
            front.append((time, lowest))
    return front


def _shown(gap):
    return min(max(gap, FLOOR), CEILING)
