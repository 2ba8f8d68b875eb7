#!/usr/bin/env python3
"""PEFT's side of `cargo xtask interop`, which calls this script:

    interop.py versions
    interop.py train MODEL EXAMPLES ADAPTER --steps N --tokens N --submodules {1,2} [--pickle]
        Prompt tuning with PEFT on EXAMPLES, lines of {"source": ..., "target": ...}; saves ADAPTER, with --pickle as
        adapter_model.bin.
    interop.py answer MODEL ADAPTER TEXTS OURS OUT --max-new-tokens N
        Lets PEFT load ADAPTER and decode every line of TEXTS greedily. OURS holds the same lines answered by
        `fpt predict --json`. Writes to OUT, for every line: PEFT's `answer`, its `ids` without special tokens, and
        the ids of our answer by the same tokenizer (`our_ids`).
"""

import argparse
import json
import pathlib

import peft
import safetensors
import torch
import transformers
from peft import PeftModel, PromptTuningConfig, get_peft_model
from transformers import AutoTokenizer, T5ForConditionalGeneration

BATCH = 32


def load_base(path):
    """The frozen model in f32."""
    return T5ForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()


def json_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def train(args):
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    config = PromptTuningConfig(
        task_type="SEQ_2_SEQ_LM",
        num_virtual_tokens=args.tokens,
        num_transformer_submodules=args.submodules,
        prompt_tuning_init="RANDOM",
    )
    model = get_peft_model(load_base(args.model), config)
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=0.1)
    examples = json_lines(args.examples)
    for step in range(args.steps):
        batch = [examples[(step * BATCH + i) % len(examples)] for i in range(BATCH)]
        inputs = tokenizer([example["source"] for example in batch], padding=True, return_tensors="pt")
        labels = tokenizer([example["target"] for example in batch], padding=True, return_tensors="pt")
        loss = model(
            input_ids=inputs.input_ids,
            attention_mask=inputs.attention_mask,
            labels=labels.input_ids.masked_fill(labels.attention_mask == 0, -100),
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    # The base embeddings are never saved, and asking about them would go to the network.
    model.save_pretrained(args.adapter, save_embedding_layers=False, safe_serialization=not args.pickle)


@torch.no_grad()
def answer(args):
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    base = load_base(args.model)
    # transformers 4.57 sizes the decoder's cache by the encoder's depth, which breaks where they differ.
    cache = base.config.num_layers == base.config.num_decoder_layers
    model = PeftModel.from_pretrained(base, args.adapter).eval()
    texts = args.texts.read_text(encoding="utf-8").split("\n")[:-1]
    ours = json_lines(args.ours)
    assert [line["text"] for line in ours] == texts, f"{args.ours} does not answer the lines of {args.texts}"

    # Decoding skips these, sentinels too, which `all_special_ids` leaves out.
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    ids = [tokenizer(text)["input_ids"] for text in texts]
    order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    answers = [None] * len(ids)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        inputs = tokenizer.pad({"input_ids": [ids[row] for row in rows]}, return_tensors="pt")
        out = model.generate(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask,
            max_new_tokens=args.max_new_tokens, num_beams=1, do_sample=False, use_cache=cache,
        )  # fmt: skip
        for row, generated in zip(rows, out.tolist(), strict=True):
            answers[row] = {
                "answer": tokenizer.decode(generated, skip_special_tokens=True).strip(),
                "ids": [token for token in generated if token not in special],
                "our_ids": tokenizer(ours[row]["answer"], add_special_tokens=False)["input_ids"],
            }
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in answers)
    args.out.write_text(lines, encoding="utf-8")


def versions(_args):
    print(", ".join(f"{module.__name__} {module.__version__}" for module in (torch, transformers, peft, safetensors)))


def main():
    transformers.logging.set_verbosity_error()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("versions")
    command.set_defaults(run=versions)

    command = commands.add_parser("train")
    for name in ("model", "examples", "adapter"):
        command.add_argument(name, type=pathlib.Path)
    for name in ("--steps", "--tokens", "--submodules"):
        command.add_argument(name, type=int, required=True)
    command.add_argument("--pickle", action="store_true")
    command.set_defaults(run=train)

    command = commands.add_parser("answer")
    for name in ("model", "adapter", "texts", "ours", "out"):
        command.add_argument(name, type=pathlib.Path)
    command.add_argument("--max-new-tokens", type=int, required=True)
    command.set_defaults(run=answer)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
