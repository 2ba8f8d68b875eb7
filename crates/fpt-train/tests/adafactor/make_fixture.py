#!/usr/bin/env python3
"""Writes adafactor.json: what transformers' Adafactor does to one matrix under fixed gradients.

Two sequences, each with its initial parameter, its gradients (as they arrive, before clipping) and the parameter
after every step, all f32 printed so that they read back exactly:
    paper     lr 0.3, no gradient clipping; a zero row, a zero step, tiny (1e-8) and huge (1e3) entries
    clipped   lr 0.05, the gradient's norm clipped to 1 before every step

Pinned: torch 2.11.0, transformers 4.57.1.
    python crates/fpt-train/tests/adafactor/make_fixture.py
"""

import json
import pathlib

import torch
import transformers
from transformers.optimization import Adafactor

ROWS, COLUMNS, STEPS = 6, 8, 12
OPTIONS = dict(
    eps=(1e-30, 1e-3), clip_threshold=1.0, decay_rate=-0.8, beta1=None, weight_decay=1e-5,
    scale_parameter=False, relative_step=False, warmup_init=False,
)  # fmt: skip


def gradients(generator):
    """Gradients over eight orders of magnitude, with the values that upset a second-moment estimate."""
    magnitudes = [1.0, 1e-2, 1e-4, 1.0, 1e-6, 1e1, 1e-1, 1e-3, 1.0, 1.0, 1e-5, 1e-2]
    grads = torch.randn(STEPS, ROWS, COLUMNS, generator=generator)
    grads *= torch.tensor(magnitudes).reshape(STEPS, 1, 1)
    grads[0, 2] = 0.0
    grads[3, 4] = 0.0
    grads[3, 0] = 0.0
    grads[5, 1, 3] = 1e-8
    grads[7, 5, 6] = 1e3
    grads[9] = 0.0
    return grads


def run(lr, max_norm, generator):
    """One sequence as plain lists."""
    parameter = torch.nn.Parameter(0.5 * torch.randn(ROWS, COLUMNS, generator=generator))
    initial, grads, after = parameter.detach().clone(), gradients(generator), []
    optimizer = Adafactor([parameter], lr=lr, **OPTIONS)
    for grad in grads:
        parameter.grad = grad.clone()
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_([parameter], max_norm)
        optimizer.step()
        assert torch.isfinite(parameter).all()
        after.append(parameter.detach().clone())
    return {
        "lr": lr,
        "max_grad_norm": max_norm,
        "initial": initial.tolist(),
        "gradients": grads.tolist(),
        "after": torch.stack(after).tolist(),
    }


def main():
    assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__
    assert transformers.__version__ == "4.57.1", transformers.__version__
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    fixture = {
        "weight_decay": OPTIONS["weight_decay"],
        "paper": run(0.3, None, generator),
        "clipped": run(0.05, 1.0, generator),
    }
    path = pathlib.Path(__file__).resolve().parent / "adafactor.json"
    text = json.dumps(fixture, separators=(",", ":")).replace("]],", "]],\n").replace('"gradients"', '\n"gradients"')
    path.write_text(text + "\n")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
