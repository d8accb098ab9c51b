"""Random problems for every solver and input form, held against each other, scikit-learn, and what is documented.

    python -m tests.fuzz --minutes 30 --seed 0        many cases, from this seed on
    python -m tests.fuzz --case 4711                  one of them again

``cases`` draws a problem from a seed: data, their form, parameters. ``oracles`` are claims about every fit; ``trial``
makes the fits that they ask for, and knows the lowest J that any solver has found.
"""
