"""Beam search of transformers on the models beside this file: writes beams.json.

    pip install torch==2.11.0 transformers==4.57.1 safetensors==0.8.0
    python make_beams.py

A case holds a model's folder, the source ids of two rows of different lengths (padded with 0), the settings of
GenerationConfig, and the ids that come out, without start token and padding. Cases whose best two hypotheses nearly tie
are left out, so that rounding can't decide them.
"""

import json
from pathlib import Path

import torch
import transformers
from transformers import T5ForConditionalGeneration

HERE = Path(__file__).parent
MODELS = ["gated_untied", "relu_tied"]
SETTINGS = [
    (2, 1.0, False), (3, 1.0, False), (4, 0.0, False), (4, 2.0, False), (4, -1.0, False),
    (5, 0.6, True), (2, 1.0, True), (4, 2.0, True), (8, 0.6, False),
]  # fmt: skip
MIN_GAP = 1e-3
CASES_PER_SETTING = 4


def rows(generator, vocabulary):
    lengths = torch.randint(3, 12, (2,), generator=generator).tolist()
    ids = torch.zeros(2, max(lengths), dtype=torch.long)
    for row, length in zip(ids, lengths):
        row[: length - 1] = torch.randint(3, vocabulary, (length - 1,), generator=generator)
        row[length - 1] = 1
    return ids


def until_end(row):
    return row[: row.index(1) + 1] if 1 in row else row


@torch.no_grad()
def main():
    assert transformers.__version__ == "4.57.1", transformers.__version__
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    cases = []
    for name in MODELS:
        model = T5ForConditionalGeneration.from_pretrained(HERE / name, dtype=torch.float32).eval()
        generator = torch.Generator().manual_seed(0)
        for beams, penalty, early in SETTINGS:
            found = 0
            while found < CASES_PER_SETTING:
                ids = rows(generator, model.config.vocab_size)
                limit = int(torch.randint(2, 14, (1,), generator=generator))
                settings = dict(num_beams=beams, length_penalty=penalty, early_stopping=early, max_new_tokens=limit)
                out = model.generate(
                    input_ids=ids, attention_mask=(ids != 0).long(), do_sample=False, use_cache=False,
                    num_return_sequences=2, return_dict_in_generate=True, output_scores=True, **settings,
                )  # fmt: skip
                scores = out.sequences_scores.reshape(2, 2)
                answers = [until_end(row[1:].tolist()) for row in out.sequences[::2]]
                if (scores[:, 0] - scores[:, 1]).min() < MIN_GAP or any(0 in answer for answer in answers):
                    continue
                cases.append({"model": name, "source": ids.tolist(), "answers": answers} | settings)
                found += 1
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "beams.json").write_text(f"[\n{lines}\n]\n")
    lengths = [len(a) for c in cases for a in c["answers"]]
    ended = sum(a[-1] == 1 for c in cases for a in c["answers"])
    print(f"{len(cases)} cases, answers of {min(lengths)} to {max(lengths)} ids, {ended} of {len(lengths)} ended")


main()
