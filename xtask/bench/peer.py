"""PyTorch's side of `cargo xtask bench --peer pytorch`: does the work of a directory as often as it is asked to.

    python peer.py DIRECTORY {train,generate,tokenize} {eager,sdpa,compile,datasets.map} THREADS

DIRECTORY holds a T5 in Hugging Face's layout, batches.safetensors and settings.json; to tokenize, a tokenizer.json and
mnli/train.tsv. Each line on standard input is
answered, after the work was done once, by a JSON line: seconds, the peak of resident memory so far in bytes, and what
came out (the last loss, the ids, or the number of tokens).
"""

import json
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from transformers import T5ForConditionalGeneration
from transformers.models.t5 import modeling_t5
from transformers.optimization import Adafactor


def sdpa_forward(
    self, hidden_states, mask=None, key_value_states=None, position_bias=None, past_key_values=None,
    layer_head_mask=None, query_length=None, use_cache=False, output_attentions=False, cache_position=None,
):  # fmt: skip
    """T5Attention.forward of transformers 4.57, without a cache, on scaled_dot_product_attention."""
    batch, length = hidden_states.shape[:2]
    source = hidden_states if key_value_states is None else key_value_states

    def heads(tensor):
        return tensor.view(batch, -1, self.n_heads, self.key_value_proj_dim).transpose(1, 2)

    q, k, v = heads(self.q(hidden_states)), heads(self.k(source)), heads(self.v(source))
    if position_bias is None:
        if self.has_relative_attention_bias:
            position_bias = self.compute_bias(length, k.shape[2], device=q.device)
        else:
            position_bias = torch.zeros((1, self.n_heads, length, k.shape[2]))
        if mask is not None:
            position_bias = position_bias + mask[:, :, :, : k.shape[2]]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=position_bias, scale=1.0)
    return self.o(out.transpose(1, 2).reshape(batch, length, -1)), position_bias


def peak_memory():
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def serve(work, outcome=lambda result: result):
    """Answers each line; what is told of the work's result is found out after the clock has stopped."""
    for _ in sys.stdin:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "peak_memory": peak_memory(), "result": outcome(result)}), flush=True)


def tokenize(directory, threads):
    """The file is read once, before the clock runs; datasets.map in batches, a process a thread, no cache."""
    import csv
    import tempfile

    import datasets
    import pyarrow.compute as pc
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    datasets.disable_caching()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.load_dataset(
            "csv", data_files=str(directory / "mnli" / "train.tsv"), delimiter="\t", quoting=csv.QUOTE_NONE,
            keep_default_na=False, split="train", cache_dir=cache,
        )  # fmt: skip

        def encode(rows):
            sources = [
                f"hypothesis: {hypothesis} premise: {premise}"
                for premise, hypothesis in zip(rows["sentence1"], rows["sentence2"])
            ]
            targets = [f"<extra_id_0>{label}" for label in rows["gold_label"]]
            source = tokenizer(sources, truncation=True, max_length=492)
            return {"input_ids": source["input_ids"], "labels": tokenizer(targets)["input_ids"]}

        def work():
            return data.map(encode, batched=True, num_proc=threads, remove_columns=data.column_names)

        def tokens(out):
            columns = (out.data.column(name) for name in ("input_ids", "labels"))
            return sum(pc.sum(pc.list_value_length(column)).as_py() for column in columns)

        serve(work, tokens)


def main():
    directory, kind, variant, threads = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    if kind == "tokenize":
        return tokenize(directory, threads)
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    transformers.logging.set_verbosity_error()
    settings = json.loads((directory / "settings.json").read_text())
    tensors = load_file(directory / "batches.safetensors")
    batches = []
    while f"{len(batches)}.labels" in tensors:
        names = ("input_ids", "attention_mask", "labels")
        batches.append({name: tensors[f"{len(batches)}.{name}"].long() for name in names})
    if variant == "sdpa":
        modeling_t5.T5Attention.forward = sdpa_forward
    model = T5ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval().requires_grad_(False)
    prompt = torch.nn.Parameter(tensors["prompt"].clone())
    optimizer = Adafactor(
        [prompt], lr=settings["train"]["learning_rate"], weight_decay=settings["train"]["weight_decay"],
        relative_step=False, scale_parameter=False, warmup_init=False,
    )  # fmt: skip

    def prepend(batch):
        rows, count = len(batch["input_ids"]), len(prompt)
        embeds = torch.cat([prompt.expand(rows, -1, -1), model.shared(batch["input_ids"])], dim=1)
        mask = torch.cat([torch.ones(rows, count, dtype=torch.long), batch["attention_mask"]], dim=1)
        return {"inputs_embeds": embeds, "attention_mask": mask}

    def loss_of(batch):
        return model(**prepend(batch), labels=batch["labels"], use_cache=False).loss

    forward = torch.compile(loss_of, dynamic=len({b["input_ids"].shape for b in batches}) > 1) if variant == "compile" else loss_of

    def train():
        for batch in batches:
            loss = forward(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([prompt], settings["train"]["gradient_clip"])
            optimizer.step()
            optimizer.zero_grad()
        return loss.item()

    @torch.inference_mode()
    def generate():
        rows = []
        for batch in batches:
            out = model.generate(
                **prepend(batch), max_new_tokens=settings["max_new_tokens"], num_beams=1, do_sample=False,
            )  # fmt: skip
            rows += out[:, 1:].tolist()
        return rows

    serve({"train": train, "generate": generate}[kind])


main()
