"""PyTorch's side of `cargo xtask bench --peer pytorch`: does the work of a directory as often as it is asked to.

    python peer.py DIRECTORY {train,generate,tokenize} {eager,sdpa,compile,compile-static,datasets.map}[-bf16] THREADS

With -bf16, weights and all activations are bf16 and the prompt is f32.

DIRECTORY holds a T5 in Hugging Face's layout, batches.safetensors and settings.json; to tokenize, a tokenizer.json and
the training file of a task. Each line on standard input is answered, after the work was done once, by a JSON line: seconds, the peak of resident memory so far in bytes, and what
came out (the last loss, the ids, or the number of tokens).
"""

import csv
import json
import pathlib
import sys
import tempfile

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file
from serve import serve
from transformers import EncoderDecoderCache, T5ForConditionalGeneration
from transformers.models.t5 import modeling_t5
from transformers.optimization import Adafactor


def sdpa_forward(
    self, hidden_states, mask=None, key_value_states=None, position_bias=None, past_key_values=None,
    layer_head_mask=None, query_length=None, use_cache=False, output_attentions=False, cache_position=None,
):  # fmt: skip
    """T5Attention.forward of transformers 4.57 on scaled_dot_product_attention."""
    batch, length = hidden_states.shape[:2]
    is_cross = key_value_states is not None
    cache, is_kept = past_key_values, False
    if isinstance(cache, EncoderDecoderCache):
        is_kept = is_cross and cache.is_updated.get(self.layer_idx)
        cache = cache.cross_attention_cache if is_cross else cache.self_attention_cache

    def heads(tensor):
        return tensor.view(batch, -1, self.n_heads, self.key_value_proj_dim).transpose(1, 2)

    q = heads(self.q(hidden_states))
    if is_kept:
        k, v = cache.layers[self.layer_idx].keys, cache.layers[self.layer_idx].values
    else:
        source = key_value_states if is_cross else hidden_states
        k, v = heads(self.k(source)), heads(self.v(source))
        if cache is not None:
            position = None if is_cross else cache_position
            k, v = cache.update(k, v, self.layer_idx, {"cache_position": position})
            if is_cross and isinstance(past_key_values, EncoderDecoderCache):
                past_key_values.is_updated[self.layer_idx] = True
    if position_bias is None:
        if self.has_relative_attention_bias:
            real_length = cache_position[-1] + 1 if query_length is None else query_length
            position_bias = self.compute_bias(real_length, k.shape[2], device=q.device, cache_position=cache_position)
            position_bias = position_bias[:, :, -length:, :]
        else:
            position_bias = q.new_zeros((1, self.n_heads, length, k.shape[2]))
        if mask is not None:
            position_bias = position_bias + mask[:, :, :, : k.shape[2]]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=position_bias, scale=1.0)
    return self.o(out.transpose(1, 2).reshape(batch, length, -1)), position_bias


def mnli(path):
    with path.open() as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            yield {"a": row["sentence2"], "b": row["sentence1"], "target": row["gold_label"]}


def squad2(path):
    for article in json.loads(path.read_text())["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answer = question["answers"][0]["text"] if question["answers"] else "no answer"
                yield {"a": question["question"], "b": paragraph["context"], "target": answer}


def xsum(path):
    with path.open() as file:
        for line in file:
            document, summary = line.rstrip("\n").split("\t")
            yield {"a": document, "b": "", "target": summary}


# File, reader, how a source is written of `a` and `b`, and the limit on targets.
TASKS = {
    "mnli/train.tsv": (mnli, "hypothesis: {} premise: {}", 10),
    "squad2/train-v2.0.json": (squad2, "question: {} context: {}", 200),
    "xsum/xsum_train.tsv": (xsum, "{}", 512),
}


def tokenize(directory, threads):
    """The file is read once, before the clock runs; datasets.map in batches, a process a thread, no cache."""
    import datasets
    import pyarrow.compute as pc
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    datasets.disable_caching()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    file, (read, source, limit) = next((f, task) for f, task in TASKS.items() if (directory / f).exists())
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.Dataset.from_generator(read, gen_kwargs={"path": directory / file}, cache_dir=cache)

        def encode(rows):
            sources = [source.format(a, b) for a, b in zip(rows["a"], rows["b"])]
            targets = [f"<extra_id_0>{target}" for target in rows["target"]]
            sources = tokenizer(sources, truncation=True, max_length=492)
            targets = tokenizer(targets, truncation=True, max_length=limit)
            return {"input_ids": sources["input_ids"], "labels": targets["input_ids"]}

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
    dtype = torch.bfloat16 if variant.endswith("-bf16") else torch.float32
    variant = variant.removesuffix("-bf16")
    settings = json.loads((directory / "settings.json").read_text())
    tensors = load_file(directory / "batches.safetensors")
    batches = []
    while f"{len(batches)}.labels" in tensors:
        names = ("input_ids", "attention_mask", "labels")
        batches.append({name: tensors[f"{len(batches)}.{name}"].long() for name in names})
    if variant == "sdpa":
        modeling_t5.T5Attention.forward = sdpa_forward
    model = T5ForConditionalGeneration.from_pretrained(directory, dtype=dtype).eval().requires_grad_(False)
    prompt = torch.nn.Parameter(tensors["prompt"].clone())
    optimizer = Adafactor(
        [prompt], lr=settings["train"]["learning_rate"], weight_decay=settings["train"]["weight_decay"],
        relative_step=False, scale_parameter=False, warmup_init=False,
    )  # fmt: skip

    def prepend(batch):
        rows, count = len(batch["input_ids"]), len(prompt)
        embeds = torch.cat([prompt.to(dtype).expand(rows, -1, -1), model.shared(batch["input_ids"])], dim=1)
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

    # A cache of a fixed length keeps the shapes that the compiled decoder sees.
    static = {"cache_implementation": "static"} if variant == "compile-static" else {}
    if kind == "generate" and variant.startswith("compile"):
        model.forward = torch.compile(model.forward, dynamic=not static)

    @torch.inference_mode()
    def generate():
        rows = []
        for batch in batches:
            out = model.generate(
                **prepend(batch), max_new_tokens=settings["max_new_tokens"], num_beams=1, do_sample=False, **static,
            )  # fmt: skip
            rows += out[:, 1:].tolist()
        return rows

    serve({"train": train, "generate": generate}[kind])


main()
