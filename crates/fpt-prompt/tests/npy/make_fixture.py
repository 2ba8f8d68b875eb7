#!/usr/bin/env python3
"""Prompts as google-research/prompt-tuning stores them, written by NumPy. Run from anywhere:

    python crates/fpt-prompt/tests/npy/make_fixture.py

Each `NAME.npy` beside this script holds a prompt of three vectors of eight numbers; `values.json` holds, for those that
can be read, what they are in f32. The others are refused.

Pinned: numpy 2.4.6. bfloat16 is what ml_dtypes gives NumPy, which stores it as two bytes of void.
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def bfloat16(prompt):
    """The nearest bfloat16 towards zero, as ml_dtypes stores it, and the same in f32."""
    high = (prompt.view("<u4") >> 16).astype("<u2")
    return high.view("V2"), (high.astype("<u4") << 16).view("<f4")


def main():
    prompt = np.random.default_rng(0).normal(size=(3, 8)).astype("<f4")
    void, truncated = bfloat16(prompt)
    half, double = prompt.astype("<f2"), prompt.astype("<f8") / 3
    read = {
        "float32": (prompt, prompt),
        "float16": (half, half.astype("<f4")),
        "float64": (double, double.astype("<f4")),
        "bfloat16": (void, truncated),
    }
    refused = {
        "big_endian": prompt.astype(">f4"),
        "fortran": np.asfortranarray(prompt),
        "integers": prompt.astype("<i4"),
        "records": np.zeros((3, 8), dtype=[("a", "<f4")]),
        "flat": prompt.reshape(-1),
        "batched": prompt[None],
        "empty": prompt[:0],
        "transposed": np.ascontiguousarray(prompt.T),
    }
    for name, array in {**{name: array for name, (array, _) in read.items()}, **refused}.items():
        np.save(HERE / f"{name}.npy", array)
    for version in [(2, 0), (3, 0)]:
        name = f"version_{version[0]}"
        with open(HERE / f"{name}.npy", "wb") as file:
            np.lib.format.write_array(file, prompt, version=version)
        read[name] = (prompt, prompt)
    values = {name: numbers.astype(float).tolist() for name, (_, numbers) in read.items()}
    (HERE / "values.json").write_text(json.dumps(values, indent=None).replace(']], "', ']],\n"') + "\n")


if __name__ == "__main__":
    main()
