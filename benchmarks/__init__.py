"""Benchmark of GDLogisticRegression against its peers, at equal objective gap: ``python -m benchmarks --help``.

data       what is fitted: real sets on their raw scale, scikit-learn's bundled sets, synthetic sets; dense and CSR
peers      who fits it: one entry per method
objective  J, in extended precision
optimum    the best known minimum of each problem, computed without gdlogit's code
attempt    one fit: time, objective, warnings, memory
search     the loosest setting that reaches the gap
measure    the comparison: fits in turns (ours, peer, ours, peer, ...)
report     table, CSV, JSON and a summary
figure     time against gap
grid       a small grid search
large      one fit of ours on a million rows and features, in CSR
"""
