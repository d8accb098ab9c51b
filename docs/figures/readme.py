"""The README's figure, three panels of the benchmarks' results: python -m docs.figures.readme, from the root."""

from pathlib import Path

from benchmarks import figure, report

HERE = Path(__file__).parent
SHOWN = ("breast_cancer", "adult", "letter")

if __name__ == "__main__":
    rows = report.load(HERE.parents[1] / "benchmarks" / "results")
    figure.draw([row for name in SHOWN for row in rows if row.data == name], HERE / "readme.png")
