"""The model in gated_tied, as PyTorch and transformers write it in other files: writes checkpoints/.

    pip install torch==2.11.0 transformers==4.57.1 safetensors==0.8.0
    python make_checkpoints.py

    bin            pytorch_model.bin: the state dictionary, embeddings shared as in memory
    bin_legacy     the same in PyTorch's format before 1.6
    bin_bf16       the same in bfloat16, which bf16.safetensors repeats in f32
    f16            model.safetensors in float16, which f32.safetensors repeats in f32
    bin_sharded    pytorch_model.bin.index.json and its shards
    sharded        model.safetensors.index.json and its shards
    executes.bin   a pickle that runs a command when Python loads it
"""

import json
import pickle
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import T5ForConditionalGeneration

HERE = Path(__file__).parent
OUT = HERE / "checkpoints"


class Executes:
    def __reduce__(self):
        import os

        return os.system, ("touch executed",)


def folder(name):
    path = OUT / name
    path.mkdir(parents=True)
    return path


def shards(state, count):
    names = sorted(state)
    size = -(-len(names) // count)
    return [{name: state[name] for name in names[i : i + size]} for i in range(0, len(names), size)]


def write_index(path, parts, stem, suffix, write):
    weight_map = {}
    for number, part in enumerate(parts, 1):
        file = f"{stem}-{number:05}-of-{len(parts):05}.{suffix}"
        write(part, path / file)
        weight_map |= {name: file for name in part}
    total = sum(t.numel() * t.element_size() for part in parts for t in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (path / f"{stem}.{suffix}.index.json").write_text(json.dumps(index, indent=1) + "\n")


def main():
    assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__
    assert transformers.__version__ == "4.57.1", transformers.__version__
    shutil.rmtree(OUT, ignore_errors=True)
    model = T5ForConditionalGeneration.from_pretrained(HERE / "gated_tied", dtype=torch.float32)
    state = model.state_dict()
    torch.save(state, folder("bin") / "pytorch_model.bin")
    torch.save(state, folder("bin_legacy") / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    half = {name: tensor.bfloat16() for name, tensor in state.items()}
    path = folder("bin_bf16")
    torch.save(half, path / "pytorch_model.bin")
    own = {name: tensor.float().contiguous().clone() for name, tensor in half.items() if "embed" not in name}
    save_file(own, path / "bf16.safetensors")
    path = folder("f16")
    own = {name: tensor.half() for name, tensor in state.items() if "embed" not in name and name != "lm_head.weight"}
    save_file(own, path / "model.safetensors", {"format": "pt"})
    save_file({name: tensor.float() for name, tensor in own.items()}, path / "f32.safetensors")
    own = {name: tensor.clone() for name, tensor in state.items() if "embed" not in name and name != "lm_head.weight"}
    write_index(folder("bin_sharded"), shards(own, 2), "pytorch_model", "bin", torch.save)
    write_index(folder("sharded"), shards(own, 3), "model", "safetensors", lambda t, p: save_file(t, p, {"format": "pt"}))
    (OUT / "executes.bin").write_bytes(pickle.dumps({"shared.weight": Executes()}, protocol=2))
    print(sum(f.stat().st_size for f in OUT.rglob("*") if f.is_file()), "bytes in all")


main()
