#!/usr/bin/env python3
"""Writes rates.json: the factors on the learning rate of transformers' schedules, for every step of some trainings.

Of each training its name, steps and warm-up, and the factor that each of its steps is taken with. A few steps more than it
has are not asked for: transformers goes on there as it likes.

Pinned: torch 2.11.0, transformers 4.57.1.
    python crates/fpt-train/tests/rates/make_fixture.py
"""

import json
import pathlib

import torch
import transformers
from transformers import get_scheduler

NAMES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine", "inverse-sqrt": "inverse_sqrt"}
TRAININGS = [(12, 0), (12, 4), (20, 1), (7, 7)]


def factors(name, steps, warmup):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
    taken = []
    for _ in range(steps):
        taken.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return taken


def main():
    cases = [
        {"schedule": ours, "steps": steps, "warmup": warmup, "factors": factors(theirs, steps, warmup)}
        for ours, theirs in NAMES.items()
        for steps, warmup in TRAININGS
    ]
    path = pathlib.Path(__file__).with_name("rates.json")
    text = json.dumps({"transformers": transformers.__version__, "cases": cases}, indent=1)
    path.write_text(text + "\n")


if __name__ == "__main__":
    main()
