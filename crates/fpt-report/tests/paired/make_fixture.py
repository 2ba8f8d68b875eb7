#!/usr/bin/env python3
"""Writes paired.json: what SciPy says of some paired differences.

Of each list of differences the two-sided p of the exact sign-flip test (a permutation test of paired samples that tries
all), and the 95 % confidence interval of the mean by Student's t.

Pinned: scipy 1.16.3, numpy.
    python crates/fpt-report/tests/paired/make_fixture.py
"""

import json
import pathlib

import numpy as np
import scipy
from scipy import stats

LISTS = [
    [0.5, 1.25, -0.25, 2.0, 0.75],
    [1.0, 1.0, 1.0, 1.0, -1.0],
    [3.1, -2.7, 0.4, 5.5, 1.9, -0.3, 2.2, 4.8],
    [-0.01, -0.02, 0.005, -0.03, -0.002, -0.04, -0.015, -0.007],
    [0.3, 1.7, -4.2, 0.9, 2.6, 1.1, -0.8, 3.3, 0.2, -1.4, 2.9, 0.6],
]


def case(differences):
    values = np.array(differences)
    test = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return {
        "differences": differences,
        "p": float(test.pvalue),
        "interval": [float(interval.low), float(interval.high)],
        "effect": float(values.mean() / values.std(ddof=1)),
    }


def main():
    path = pathlib.Path(__file__).with_name("paired.json")
    cases = [case(differences) for differences in LISTS]
    path.write_text(json.dumps({"scipy": scipy.__version__, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    main()
