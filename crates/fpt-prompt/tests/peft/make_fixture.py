#!/usr/bin/env python3
"""Soft prompts between this crate and PEFT, both ways. Run from the root of the repository:

    python crates/fpt-prompt/tests/peft/make_fixture.py read ADAPTER INPUTS [--model DIR] [--out FILE]
        Loads ADAPTER (adapter_config.json and adapter_model.safetensors as this crate writes them) with
        `PeftModel.from_pretrained` on the model, decodes INPUTS greedily, and writes what came out to FILE
        (default: generated.json beside this script). INPUTS is a JSON list of texts, or of lists of token ids.

    python crates/fpt-prompt/tests/peft/make_fixture.py write [--model DIR] [--tokens N] [--text TEXT]
        Lets PEFT create and save two adapters beside this script, each with what it decodes (expected.json):
        written_by_peft_2   PEFT's default for T5: RANDOM, two transformer submodules, hence 2N rows
        written_by_peft_1   TEXT, one submodule; SAMPLE_VOCAB where the model has no tokenizer

    python crates/fpt-prompt/tests/peft/make_fixture.py types [--model DIR] [--tokens N]
        Lets PEFT save adapters of other types beside this script, each with the rows that its forward uses
        (values.json): written_by_peft_{f16,bf16} and, with `safe_serialization=False`, _bin, _bin_f16, _bin_bf16,
        and _bin_legacy, whose file is saved anew as torch did before 1.6. _bin and _f16 have two submodules.
        Also `expanded`, whose tensor repeats one number until it is far larger than its file.

generated.json and expected.json hold, for each input: `input_ids` (with the final EOS, without padding), `generated`
(starts with the decoder's start id, ends with EOS or at max_new_tokens) and `first_logits` of the first step.
The default model is datasets/mini-world/model.

Pinned: torch 2.11.0, transformers 4.57.1, peft 0.21.2, safetensors 0.8.0, tokenizers 0.22.2.
"""

import argparse
import json
import pathlib
import shutil

import peft
import torch
import transformers
from peft import PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoTokenizer, T5ForConditionalGeneration

HERE = pathlib.Path(__file__).resolve().parent
MAX_NEW_TOKENS = 12
# Ids that every vocabulary has; 1 is EOS.
PROBE_IDS = [[5, 9, 17, 30, 4, 1], [22, 3, 1], [41, 40, 8, 8, 1]]


def load_base(model_dir):
    """The frozen model in f32."""
    return T5ForConditionalGeneration.from_pretrained(model_dir, dtype=torch.float32).eval()


def token_ids(inputs, model_dir):
    """Rows of ids: texts are tokenised, ids are taken as they are."""
    if not any(isinstance(entry, str) for entry in inputs):
        return inputs
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    return [tokenizer(text)["input_ids"] for text in inputs]


@torch.no_grad()
def decode(model, rows):
    """What the prompted model generates for each row alone, so that padding plays no part."""
    results = []
    for row in rows:
        ids = torch.tensor([row])
        out = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids),
            # No cache: transformers 4.57 sizes the decoder's cache by `num_layers`, which breaks on uneven depths.
            max_new_tokens=MAX_NEW_TOKENS, num_beams=1, do_sample=False, use_cache=False,
            return_dict_in_generate=True, output_logits=True,
        )  # fmt: skip
        results.append(
            {"input_ids": row, "generated": out.sequences[0].tolist(), "first_logits": out.logits[0][0].tolist()}
        )
    return results


def write_json(path, results):
    lines = ",\n".join(json.dumps(result) for result in results)
    path.write_text(f"[\n{lines}\n]\n")


def read(model_dir, adapter_dir, inputs_file, out_file):
    """Decodes with an adapter that this crate wrote."""
    rows = token_ids(json.loads(inputs_file.read_text()), model_dir)
    model = PeftModel.from_pretrained(load_base(model_dir), adapter_dir).eval()
    config = model.active_peft_config
    saved = load_file(adapter_dir / "adapter_model.safetensors")
    assert list(saved) == ["prompt_embeddings"], list(saved)
    shape = (config.num_virtual_tokens * config.num_transformer_submodules, model.config.d_model)
    assert saved["prompt_embeddings"].shape == shape, (saved["prompt_embeddings"].shape, shape)
    assert torch.equal(model.get_prompt(1)[0], saved["prompt_embeddings"].float())
    results = decode(model, rows)
    write_json(out_file, results)
    for result in results:
        print(*result["generated"])


def write(model_dir, tokens, text):
    """Lets PEFT write one adapter of each kind."""
    has_tokenizer = (model_dir / "tokenizer.json").exists()
    named = (
        dict(prompt_tuning_init="TEXT", prompt_tuning_init_text=text, tokenizer_name_or_path=str(model_dir))
        if has_tokenizer
        else dict(prompt_tuning_init="SAMPLE_VOCAB")
    )
    options = {
        "written_by_peft_2": dict(prompt_tuning_init="RANDOM"),
        "written_by_peft_1": dict(num_transformer_submodules=1, **named),
    }
    for name, option in options.items():
        torch.manual_seed(0)
        config = PromptTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=tokens, **option)
        model = get_peft_model(load_base(model_dir), config).eval()
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        # The base embeddings are never saved, and asking about them would go to the network.
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()
        write_json(folder / "expected.json", decode(model, PROBE_IDS))
        prompt = load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
        print(f"{name}: {option['prompt_tuning_init']}, prompt_embeddings {list(prompt.shape)}")


def types(model_dir, tokens):
    """Lets PEFT write adapters of each type and container."""
    variants = {
        "f16": (torch.float16, True, 2),
        "bf16": (torch.bfloat16, True, 1),
        "bin": (torch.float32, False, 2),
        "bin_f16": (torch.float16, False, 1),
        "bin_bf16": (torch.bfloat16, False, 1),
        "bin_legacy": (torch.float32, False, 1),
    }
    for name, (dtype, safe, submodules) in variants.items():
        torch.manual_seed(0)
        config = PromptTuningConfig(
            task_type="SEQ_2_SEQ_LM", num_virtual_tokens=tokens, num_transformer_submodules=submodules
        )
        model = get_peft_model(load_base(model_dir), config).eval()
        # PEFT creates prompts in f32.
        model.prompt_encoder.to(dtype)
        folder = HERE / f"written_by_peft_{name}"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder, save_embedding_layers=False, safe_serialization=safe)
        (folder / "README.md").unlink()
        if safe:
            prompt = load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
        else:
            state = torch.load(folder / "adapter_model.bin", weights_only=True)
            prompt = state["prompt_embeddings"]
            if name == "bin_legacy":
                torch.save(state, folder / "adapter_model.bin", _use_new_zipfile_serialization=False)
        assert prompt.dtype == dtype and prompt.shape[0] == tokens * submodules, (prompt.dtype, prompt.shape)
        write_json(folder / "values.json", prompt[:tokens].float().tolist())
        print(f"{folder.name}: {prompt.dtype}, prompt_embeddings {list(prompt.shape)}")

    # What nobody would write: a gigabyte in a kilobyte, in agreement with its config.
    folder = HERE / "expanded"
    folder.mkdir(exist_ok=True)
    rows, width = 2**24, model.config.d_model
    torch.save({"prompt_embeddings": torch.zeros(1, 1).expand(rows, width)}, folder / "adapter_model.bin")
    config = dict(peft_type="PROMPT_TUNING", num_virtual_tokens=rows, token_dim=width, num_transformer_submodules=1)
    (folder / "adapter_config.json").write_text(json.dumps(config) + "\n")


def main():
    versions = {torch: "2.11.0", transformers: "4.57.1", peft: "0.21.2"}
    for module, version in versions.items():
        assert module.__version__.split("+")[0] == version, (module.__name__, module.__version__)
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    reader, writer, typed = (commands.add_parser(name) for name in ("read", "write", "types"))
    for command in (reader, writer, typed):
        command.add_argument("--model", type=pathlib.Path, default=pathlib.Path("datasets/mini-world/model"))
    reader.add_argument("adapter", type=pathlib.Path)
    reader.add_argument("inputs", type=pathlib.Path)
    reader.add_argument("--out", type=pathlib.Path, default=HERE / "generated.json")
    for command in (writer, typed):
        command.add_argument("--tokens", type=int, default=5)
    writer.add_argument("--text", default="answer the question")
    args = parser.parse_args()
    if args.command == "read":
        read(args.model, args.adapter, args.inputs, args.out)
    elif args.command == "write":
        write(args.model, args.tokens, args.text)
    else:
        types(args.model, args.tokens)


if __name__ == "__main__":
    main()
