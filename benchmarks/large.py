"""Ours alone on 1,000,000 x 1,000,000 in CSR with 30 nonzeros a row, L2, C = 1: seconds, memory, proven gap.

No peer runs, and no better minimum is looked for: either would take far longer than the fit.
"""

import csv
import time
from pathlib import Path

from .attempt import peak_memory
from .data import Case, Source, problem, text
from .peers import DEFAULT, Stop


def run(output, size=1_000_000, nonzeros=30):
    """Fit once for the time and once more for the memory; print and write large.csv."""
    source = Source(lambda: text(size, size, nonzeros=nonzeros), "synthetic", sparse=True)
    task = problem(Case("large"), source, relative_gap=1e-6)
    print(f"  {size:,} x {size:,}, {task.X.nnz:,} nonzeros, {task.nbytes / 1e9:.2f} GB", flush=True)
    model = DEFAULT.make(task, Stop(), 0)
    start = time.perf_counter()
    model.fit(task.X, task.y)
    row = {
        "n": size,
        "p": size,
        "nonzeros": task.X.nnz,
        "seconds": time.perf_counter() - start,
        "converged": model.converged_,
        "duality_gap": model.duality_gap_,
        "bytes_of_X": task.nbytes,
    }
    print(f"  {row['seconds']:.1f} s, converged: {row['converged']}, gap <= {row['duality_gap']:.1e}", flush=True)
    row["peak_bytes"] = peak_memory(DEFAULT, task, Stop())
    print(f"  {row['peak_bytes'] / 1e9:.2f} GB beyond X", flush=True)
    path = Path(output) / "large.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
