"""PyTorch's training step of a soft prompt on a graphics card, to compare with `fpt bench step`.

    python gpu_step.py --model-shape t5-large|t5-xl|mini|FILE [--variant eager|sdpa|compile] [--device cuda|cpu] ...

The same work: a T5 v1.1 of that shape with random weights, frozen; a prompt of 20 vectors before the embeddings; forward,
backward, gradients clipped to 1, a step of Adafactor. Prints a JSON line: milliseconds of a step,
and the peak of the card's memory. FILE is a config.json of transformers. Needs torch (2.11) and transformers (5).
"""

import argparse
import json
import pathlib
import statistics
import time

import torch
import transformers
from transformers import T5Config, T5ForConditionalGeneration
from transformers.optimization import Adafactor

SHAPES = {
    "mini": {"d_model": 64, "d_ff": 112, "d_kv": 12, "num_heads": 4, "num_layers": 12, "vocab_size": 368},
    "t5-large": {"d_model": 1024, "d_ff": 2816, "d_kv": 64, "num_heads": 16, "num_layers": 24, "vocab_size": 32128},
    "t5-xl": {"d_model": 2048, "d_ff": 5120, "d_kv": 64, "num_heads": 32, "num_layers": 24, "vocab_size": 32128},
}
PROMPT = 20


def config_of(name):
    if name in SHAPES:
        shape = SHAPES[name]
        return T5Config(
            **shape, num_decoder_layers=shape["num_layers"], feed_forward_proj="gated-gelu",
            tie_word_embeddings=False, decoder_start_token_id=0, dropout_rate=0.0,
        )  # fmt: skip
    config = T5Config(**json.loads(pathlib.Path(name).read_text()))
    config.dropout_rate = 0.0
    return config


def build(config, variant, dtype, device):
    """The model, its weights drawn on the device itself."""
    # Not every release of transformers has SDPA for T5; asked for by name, it must.
    fused = variant == "sdpa" or variant == "compile" and getattr(T5ForConditionalGeneration, "_supports_sdpa", False)
    config._attn_implementation = "sdpa" if fused else "eager"
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = T5ForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(default)
    return model.eval().requires_grad_(False)


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-shape", default="t5-large")
    parser.add_argument("--variant", default="eager", choices=["eager", "sdpa", "compile"])
    parser.add_argument("--device", default="cuda", type=torch.device)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--source", type=int, default=512)
    parser.add_argument("--target", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    args = parser.parse_args()

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    device = args.device
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[args.precision]
    config = config_of(args.model_shape)
    model = build(config, args.variant, dtype, device)
    prompt = torch.nn.Parameter(torch.empty(PROMPT, config.d_model, device=device).uniform_(-0.5, 0.5))
    optimizer = Adafactor(
        [prompt], lr=0.3, weight_decay=1e-5, relative_step=False, scale_parameter=False, warmup_init=False,
    )  # fmt: skip
    ids = torch.randint(3, config.vocab_size, (args.batch, args.source), device=device)
    labels = torch.randint(3, config.vocab_size, (args.batch, args.target), device=device)
    mask = torch.ones(args.batch, PROMPT + args.source, dtype=torch.long, device=device)

    def loss_of():
        embeds = torch.cat([prompt.to(dtype).expand(args.batch, -1, -1), model.shared(ids)], dim=1)
        return model(inputs_embeds=embeds, attention_mask=mask, labels=labels, use_cache=False).loss

    forward = torch.compile(loss_of) if args.variant == "compile" else loss_of

    def step():
        loss = forward()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([prompt], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    for _ in range(args.warmup):
        loss = step()
    synchronize(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = []
    for _ in range(args.steps):
        start = time.perf_counter()
        loss = step()
        synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    on_card = device.type == "cuda"
    print(json.dumps({
        "program": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "device": torch.cuda.get_device_name(device) if on_card else "cpu",
        "model_shape": args.model_shape, "variant": args.variant, "precision": args.precision,
        "attention": model.config._attn_implementation,
        "batch": args.batch, "source": args.source, "target": args.target, "steps": args.steps,
        "ms": {"median": statistics.median(times), "least": min(times), "most": max(times)},
        "peak_memory": torch.cuda.max_memory_allocated(device) if on_card else None,
        "loss": loss.item(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
