#!/usr/bin/env python3
"""Checks that transformers loads a T5 folder unchanged, and writes what it computes there as a fixture.

    python crates/fpt-t5/tests/golden/check_model_dir.py MODEL_DIR TEXTS OUT.safetensors

TEXTS is a JSON list of {"source": text, "target": text}. OUT holds (b texts, s source and t target tokens, padded on
the right): input_ids, attention_mask [b, s], labels [b, t] (-100 = ignored), logits [b, t, vocab], loss [1],
generated [b, n] (greedy; starts with the decoder's start id, padded with 0), max_new_tokens [1].

It fails if a tensor is missing, unexpected or of the wrong shape, if the head is not as tied as the file has it, or if
AutoTokenizer's ids differ from those of the `tokenizers` package on the folder's tokenizer.json.

Pinned: torch 2.11.0, transformers 4.57.1, safetensors 0.8.0, tokenizers 0.22.2.
"""

import argparse
import json
import pathlib

import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, T5ForConditionalGeneration

MAX_NEW_TOKENS = 12


def load_model(model_dir):
    """The model in f32, after checking that its files and its config agree."""
    model, info = T5ForConditionalGeneration.from_pretrained(model_dir, dtype=torch.float32, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        assert not info[kind], f"{model_dir}: {kind} {info[kind]}"
    weights = load_file(model_dir / "model.safetensors")
    shared = weights["shared.weight"].float()
    head = weights.get("lm_head.weight", shared).float()
    tied = torch.equal(head, shared)
    assert torch.equal(model.shared.weight, shared)
    assert torch.equal(model.encoder.embed_tokens.weight, shared)
    assert torch.equal(model.decoder.embed_tokens.weight, shared)
    assert torch.equal(model.lm_head.weight, head), f"{model_dir}: the head was replaced on loading"
    assert model.config.tie_word_embeddings == tied, f"{model_dir}: tie_word_embeddings should be {tied}"
    print(f"{model_dir}: {len(weights)} tensors, head {'tied' if tied else 'untied'}")
    return model.eval()


def tokenize(model_dir, texts, vocab_size):
    """Rows of ids, checked against the raw tokenizer.json."""
    auto = AutoTokenizer.from_pretrained(model_dir)
    raw = tokenizers.Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    rows = [auto(text)["input_ids"] for text in texts]
    for text, row in zip(texts, rows, strict=True):
        assert row == raw.encode(text).ids, f"{text!r}: {type(auto).__name__} {row}, tokenizer.json {raw.encode(text).ids}"
        assert max(row) < vocab_size, f"{text!r}: id {max(row)} is outside the model's vocabulary of {vocab_size}"
    return rows


def pad(rows, fill):
    """Rows padded on the right to one tensor."""
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=fill)


def main():
    assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__
    assert transformers.__version__ == "4.57.1", transformers.__version__
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model_dir", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()

    model = load_model(args.model_dir)
    texts = json.loads(args.texts.read_text())
    vocab_size = model.config.vocab_size
    sources = tokenize(args.model_dir, [text["source"] for text in texts], vocab_size)
    targets = tokenize(args.model_dir, [text["target"] for text in texts], vocab_size)
    batch = {
        "input_ids": pad(sources, model.config.pad_token_id),
        "attention_mask": pad([[1] * len(row) for row in sources], 0),
        "labels": pad(targets, -100),
    }
    with torch.no_grad():
        out = model(**batch)
        generated = model.generate(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"],
            # No cache: transformers 4.57 sizes the decoder's cache by `num_layers`, which breaks on uneven depths.
            max_new_tokens=MAX_NEW_TOKENS, num_beams=1, do_sample=False, use_cache=False,
        )  # fmt: skip
    tensors = batch | {
        "logits": out.logits,
        "loss": out.loss.reshape(1),
        "generated": generated,
        "max_new_tokens": torch.tensor([MAX_NEW_TOKENS]),
    }
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, args.out)
    print(f"{args.out}: loss {out.loss.item():.4f}, {args.out.stat().st_size / 1000:.0f} kB")
    tokenizer = AutoTokenizer.from_pretrained(args.model_dir)
    for text, row in zip(texts, generated, strict=True):
        print(f"  {text['source']} -> {tokenizer.decode(row, skip_special_tokens=True)}")


if __name__ == "__main__":
    main()
