"""Benchmark of GDLogisticRegression against its peers, at equal objective gap: ``python -m benchmarks --help``.

    python -m benchmarks                                        every dense data set, C = 1, L2
    python -m benchmarks --suite sparse                         CSR data, and L1; --only, --C, --l1-ratio narrow it
    python -m benchmarks --only a9a --C 0.1 10 --l1-ratio 0.5   any other problem
    python -m benchmarks --quick                                a small one, --grid and --large: see there

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
