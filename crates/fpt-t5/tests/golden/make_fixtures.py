#!/usr/bin/env python3
"""Writes the golden fixtures of the T5 parity tests: small random models and what transformers computes with them.

Each case is a folder beside this script:
    config.json            as transformers writes it, less the keys that the case leaves out on purpose
    model.safetensors      as `save_pretrained` writes it, plus the duplicates that the case adds on purpose
    expected.safetensors   inputs, and the outputs of T5ForConditionalGeneration in f32 on the CPU

Tensors of expected.safetensors (b rows, s source and t target tokens, p prompt vectors, d = d_model):
    input_ids, attention_mask [b, s], labels [b, t] (-100 = ignored), prompt [p, d]
    encoder_output [b, p+s, d], logits [b, t, vocab], loss [1], prompt_grad [p, d]: the prompt prepended
    generated [b, n]: greedy, with the prompt; starts with id 0, ends with 1, then 0; max_new_tokens [1] is its limit
    noprompt.encoder_output [b, s, d], noprompt.logits, noprompt.loss: without the prompt
    tap.{encoder,decoder}.{i}.ffn [b, len, d_ff]: the input of the FFN's `wo`
    tap.{encoder,decoder}.{i}.self_heads, tap.decoder.{i}.cross_heads [b, len, heads, d_kv]: the input of attention's `o`

Models are drawn from seeds; the first seed whose greedy decoding is a sharp test is taken (see `is_sharp`).

Pinned: python 3.11, torch 2.11.0, transformers 4.57.1, safetensors 0.8.0 (transformers 5 rewrites
`tie_word_embeddings`, so it is no oracle for the untied head).
    pip install torch==2.11.0 transformers==4.57.1 safetensors==0.8.0
    python crates/fpt-t5/tests/golden/make_fixtures.py
"""

import json
import pathlib
from dataclasses import dataclass, field

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import MT5Config, MT5ForConditionalGeneration, T5Config, T5ForConditionalGeneration

HERE = pathlib.Path(__file__).resolve().parent
PROMPT_LENGTH = 4
PAD, EOS = 0, 1
MIN_TOP2_GAP = 1e-3


@dataclass(frozen=True)
class Case:
    """One fixture: the config, the shapes of its inputs, and the oddities of its files."""

    name: str
    config: dict
    source_lengths: tuple = (9, 6, 4)
    target_lengths: tuple = (7, 5, 3)
    max_new_tokens: int = 12
    taps: bool = False
    # Keys removed from config.json: readers must fill in the defaults.
    without_keys: tuple = ()
    # Copies of shared.weight that some checkpoints on the hub hold.
    duplicates: tuple = ()
    # Name of a second case: the same weights stored as bfloat16.
    bf16_twin: str | None = None
    # mT5: the architecture of T5 v1.1, with other defaults in its config.
    multilingual: bool = False

    def model(self):
        if self.multilingual:
            return MT5ForConditionalGeneration(MT5Config(**self.config)).eval()
        return T5ForConditionalGeneration(T5Config(**self.config)).eval()


SMALL = dict(
    vocab_size=64, d_model=16, d_kv=4, num_heads=3, d_ff=24, num_layers=2, num_decoder_layers=2,
    pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=PAD,
)  # fmt: skip
GATED = dict(feed_forward_proj="gated-gelu")
RELU = dict(feed_forward_proj="relu")
UNTIED = dict(tie_word_embeddings=False)
TIED = dict(tie_word_embeddings=True)
EMBED_TOKENS = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
LONG = dict(vocab_size=48, d_model=8, num_heads=2, d_ff=16, num_layers=1, num_decoder_layers=1)

CASES = [
    Case("gated_untied", SMALL | GATED | UNTIED | dict(num_decoder_layers=3), taps=True, bf16_twin="bf16"),
    Case(
        "relu_tied", SMALL | RELU | TIED, taps=True, duplicates=EMBED_TOKENS,
        without_keys=("num_decoder_layers", "relative_attention_max_distance"),
    ),
    Case("gated_tied", SMALL | GATED | TIED, duplicates=("lm_head.weight",)),
    Case(
        "mt5", SMALL | UNTIED, multilingual=True, without_keys=("feed_forward_proj", "tie_word_embeddings"),
    ),
    Case("relu_untied", SMALL | RELU | UNTIED, duplicates=EMBED_TOKENS),
    Case(
        "long",
        SMALL | LONG | GATED | UNTIED | dict(relative_attention_num_buckets=8, relative_attention_max_distance=20),
        source_lengths=(60, 41, 17), target_lengths=(24, 15, 6), max_new_tokens=30,
    ),
    Case(
        "long_default", SMALL | LONG | GATED | UNTIED,
        source_lengths=(150, 133, 20), target_lengths=(24, 15, 6), max_new_tokens=30,
    ),
]  # fmt: skip


def random_model(case, generator):
    """A model whose every kind of weight matters: no norm is 1, no bias near 0, logits are O(1)."""
    model = case.model()
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "layer_norm" in name:
            value = 1 + 0.1 * noise
        elif "relative_attention_bias" in name or name == "shared.weight":
            value = noise
        elif name.endswith(".q.weight"):
            # Attention is not scaled, so q carries d_kv^-0.5.
            value = noise * (weight.shape[1] * case.config["d_kv"]) ** -0.5
        elif name.endswith((".o.weight", ".wo.weight")) and case.config["tie_word_embeddings"]:
            # Strong branches: else the residual stream makes a tied head repeat its input.
            value = 8 * noise * weight.shape[1] ** -0.5
        else:
            value = noise * weight.shape[1] ** -0.5
        if name in ("shared.weight", "lm_head.weight"):
            # A longer row wins more often: greedy decoding should end now and then.
            value[EOS] *= 1.5
        weight.data.copy_(value)
    return model


def random_batch(case, generator):
    """Right-padded rows of different lengths, each ending with EOS, and a prompt of unit scale."""

    def rows(lengths, fill):
        ids = torch.full((len(lengths), max(lengths)), fill, dtype=torch.int64)
        for row, length in zip(ids, lengths, strict=True):
            row[: length - 1] = torch.randint(3, case.config["vocab_size"], (length - 1,), generator=generator)
            row[length - 1] = EOS
        return ids

    input_ids = rows(case.source_lengths, PAD)
    return {
        "input_ids": input_ids,
        "attention_mask": (input_ids != PAD).long(),
        "labels": rows(case.target_lengths, -100),
        "prompt": torch.randn(PROMPT_LENGTH, case.config["d_model"], generator=generator),
    }


def prepend(model, batch, prompt):
    """Input embeddings and mask with the prompt in front of every row."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    rows = len(ids)
    embeds = torch.cat([prompt.expand(rows, -1, -1), model.shared(ids)], dim=1)
    ones = torch.ones(rows, len(prompt), dtype=mask.dtype)
    return {"inputs_embeds": embeds, "attention_mask": torch.cat([ones, mask], dim=1)}


@torch.no_grad()
def generate(model, case, batch):
    """Greedy ids, and the smallest gap between the best two logits at any position before the end of a row."""
    # No cache: transformers 4.57 sizes the decoder's cache by `num_layers`, which breaks on uneven depths.
    out = model.generate(
        **prepend(model, batch, batch["prompt"]),
        max_new_tokens=case.max_new_tokens, num_beams=1, do_sample=False, use_cache=False,
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    best = torch.stack(out.logits, dim=1).topk(2, dim=-1).values
    open_rows = (out.sequences[:, 1:] == EOS).cumsum(1) - (out.sequences[:, 1:] == EOS).long() == 0
    return out.sequences, (best[..., 0] - best[..., 1])[open_rows].min().item()


def is_sharp(model, case, batch):
    """Whether greedy decoding tests something and leaves no room for rounding: one row ends early, one runs to
    the limit, the rows differ and vary, no pad id is generated, and no two logits nearly tie."""
    sequences, gap = generate(model, case, batch)
    rows = [row[1:].tolist() for row in sequences]
    rows = [row[: row.index(EOS) + 1] if EOS in row else row for row in rows]
    return (
        gap > MIN_TOP2_GAP
        and any(2 < len(row) < case.max_new_tokens for row in rows)
        and any(EOS not in row for row in rows)
        and not any(PAD in row for row in rows)
        and len({tuple(row) for row in rows}) == len(rows)
        and all(len(set(row)) >= 3 for row in rows)
        and len({token for row in rows for token in row}) >= 8
    )


def bf16_rounded(model, case):
    """The same model with its weights rounded to bfloat16, still in f32."""
    twin = case.model()
    twin.load_state_dict({name: weight.bfloat16().float() for name, weight in model.state_dict().items()})
    return twin


def find(case):
    """The first seed that makes a sharp test, with its model and batch."""
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        model, batch = random_model(case, generator), random_batch(case, generator)
        if is_sharp(model, case, batch) and (
            case.bf16_twin is None or is_sharp(bf16_rounded(model, case), case, batch)
        ):
            return seed, model, batch
    raise SystemExit(f"{case.name}: no seed gives a sharp greedy decoding")


def save_model(model, case, folder):
    """Writes config.json and model.safetensors."""
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    for key in case.without_keys:
        del config[key]
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if case.duplicates:
        weights = load_file(folder / "model.safetensors")
        weights |= {name: weights["shared.weight"].clone() for name in case.duplicates}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def load_model(case, folder):
    """The model as it reads back from its folder, in f32, with nothing missing and the head as tied as it says."""
    kind = MT5ForConditionalGeneration if case.multilingual else T5ForConditionalGeneration
    model, info = kind.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    assert torch.equal(model.encoder.embed_tokens.weight, model.shared.weight)
    assert torch.equal(model.decoder.embed_tokens.weight, model.shared.weight)
    assert torch.equal(model.lm_head.weight, model.shared.weight) == model.config.tie_word_embeddings
    return model.eval().requires_grad_(False)


@dataclass
class Taps:
    """Records the inputs of the FFN and attention output projections of one forward pass."""

    tensors: dict = field(default_factory=dict)
    handles: list = field(default_factory=list)

    def attach(self, model):
        for stack in ("encoder", "decoder"):
            for i, block in enumerate(getattr(model, stack).block):
                self.record(block.layer[-1].DenseReluDense.wo, f"tap.{stack}.{i}.ffn")
                self.record(block.layer[0].SelfAttention.o, f"tap.{stack}.{i}.self_heads", model.config.num_heads)
                if stack == "decoder":
                    self.record(block.layer[1].EncDecAttention.o, f"tap.{stack}.{i}.cross_heads", model.config.num_heads)

    def record(self, linear, name, heads=None):
        def hook(_, inputs):
            tapped = inputs[0].detach()
            self.tensors[name] = tapped if heads is None else tapped.unflatten(-1, (heads, -1))

        self.handles.append(linear.register_forward_pre_hook(hook))

    def detach(self):
        for handle in self.handles:
            handle.remove()


def expectations(model, case, batch):
    """Every tensor of expected.safetensors."""
    tensors = dict(batch)
    prompt = batch["prompt"].clone().requires_grad_(True)
    taps = Taps()
    if case.taps:
        taps.attach(model)
    out = model(**prepend(model, batch, prompt), labels=batch["labels"])
    taps.detach()
    out.loss.backward()
    tensors |= taps.tensors
    tensors |= {
        "encoder_output": out.encoder_last_hidden_state,
        "logits": out.logits,
        "loss": out.loss.reshape(1),
        "prompt_grad": prompt.grad,
        "generated": generate(model, case, batch)[0],
        "max_new_tokens": torch.tensor([case.max_new_tokens]),
    }
    inputs = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    with torch.no_grad():
        out = model(**inputs)
    tensors |= {
        "noprompt.encoder_output": out.encoder_last_hidden_state,
        "noprompt.logits": out.logits,
        "noprompt.loss": out.loss.reshape(1),
    }
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def write(model, case, batch, name, seed):
    """Writes one folder, the expectations from the model as it reads back from there."""
    folder = HERE / name
    save_model(model, case, folder)
    model = load_model(case, folder)
    assert is_sharp(model, case, batch)
    tensors = expectations(model, case, batch)
    save_file(tensors, folder / "expected.safetensors")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: seed {seed}, loss {tensors['loss'].item():.4f}, {size / 1000:.0f} kB")
    for row in tensors["generated"].tolist():
        print("   ", *row)
    return size


def main():
    assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__
    assert transformers.__version__ == "4.57.1", transformers.__version__
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    size = 0
    for case in CASES:
        seed, model, batch = find(case)
        size += write(model, case, batch, case.name, seed)
        if case.bf16_twin:
            size += write(model.to(torch.bfloat16), case, batch, case.bf16_twin, seed)
    print(f"{size / 1000:.0f} kB in all")
    assert size < 700_000


if __name__ == "__main__":
    main()
