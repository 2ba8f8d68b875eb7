"""PyTorch's products of matrices on a graphics card, to compare with `fpt bench products`.

    python gpu_products.py [--device cuda|cpu] [--precision bf16|f32] [--sizes MxKxN,MxKxN...] [--seconds S]

Prints a JSON line: for each product its milliseconds and GFLOP/s. Needs torch (2.11 was used).
"""

import argparse
import json
import statistics
import time

import torch


def sizes(text):
    products = [tuple(int(size) for size in product.split("x")) for product in text.split(",")]
    if any(len(product) != 3 or min(product) < 1 for product in products):
        raise argparse.ArgumentTypeError(f"{text} is not MxKxN,MxKxN...")
    return products


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_of(product, device, seconds):
    """Seconds of one product, by ten runs of several between two synchronisations."""
    for _ in range(3):
        product()
    synchronize(device)
    start = time.perf_counter()
    product()
    synchronize(device)
    once = max(time.perf_counter() - start, 1e-6)
    repeat = max(1, int(seconds / 10 / once))
    times = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(repeat):
            product()
        synchronize(device)
        times.append((time.perf_counter() - start) / repeat)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", type=torch.device)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "f32"])
    parser.add_argument("--sizes", type=sizes, default=[(17024, 1024, 2816), (1024, 1024, 1024)])
    parser.add_argument("--seconds", type=float, default=2.0, help="about the time for each product")
    args = parser.parse_args()

    # What PyTorch does by default: no TF32 for products.
    torch.backends.cuda.matmul.allow_tf32 = False
    dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[args.precision]
    generator = torch.Generator(args.device).manual_seed(0)
    products = []
    for m, k, n in args.sizes:
        a = torch.randn(m, k, device=args.device, dtype=dtype, generator=generator)
        b = torch.randn(k, n, device=args.device, dtype=dtype, generator=generator)
        times = time_of(lambda: a @ b, args.device, args.seconds)
        median = statistics.median(times)
        products.append({
            "size": f"{m}x{k}x{n}",
            "ms": {"median": 1e3 * median, "least": 1e3 * min(times), "most": 1e3 * max(times)},
            "gflops_per_second": 2 * m * k * n / median / 1e9,
        })  # fmt: skip
    name = torch.cuda.get_device_name(args.device) if args.device.type == "cuda" else "cpu"
    print(json.dumps({
        "program": f"torch {torch.__version__}", "device": name, "precision": args.precision, "products": products,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
