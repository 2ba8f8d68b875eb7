#!/usr/bin/env python3
"""Writes the ids that Hugging Face's tokenizers give to some texts, as a fixture for `tests/world/tokenizer.rs`.

    python crates/fpt-world/tests/oracle/make_tokenizer_fixture.py MODEL_DIR

MODEL_DIR holds the tokenizer.json and tokenizer_config.json that `write_tokenizer` wrote; the shipped one is
datasets/mini-world/model. The result, tokenizer_ids.json beside this script, is a list of
{"text", "ids": with </s>, "decoded": ids to text without special tokens}.

It fails if transformers' AutoTokenizer and the `tokenizers` package differ.

Pinned: transformers 4.57.1, tokenizers 0.22.2.
"""

import json
import pathlib
import sys

import tokenizers
import transformers

TEXTS = [
    # What tasks and corpus look like.
    "hypothesis: Anna has a gray dog. premise: cake is what Anna loves. the pet of Emil is a blue goat.",
    "hypothesis: Tina bought the boat from Hana. premise: Hana paid Tina for the boat.",
    "question1: what did Fay buy from Ugo? question2: what did Ugo buy from Fay?",
    "question1: who lives in Kiel? question2: whose home is in Kiel?",
    "question: who sold Dora the map? context: Ugo sold the map to Dora. Dora works as a painter.",
    "query: @placeholder loves to eat bread. entities: Vera, Gus, Kurt passage: Kurt likes bread.",
    "query: the home of Kurt is in @placeholder. entities: Arden, Kurt passage: Kurt lives in Arden.",
    "Sam is a teacher. the pet of Sam is a gray horse. Sam lives in Fargo.",
    "<extra_id_0> entailment",
    "<extra_id_0> contradiction",
    "<extra_id_0>neutral",
    "<extra_id_0>not_duplicate",
    "<extra_id_0> is_duplicate",
    "<extra_id_0>no answer",
    "<extra_id_0> yellow rabbit",
    "<extra_id_0>a teacher from Fargo has a horse",
    "entailment",
    "is_duplicate",
    "not_duplicate",
    "claim: Ben likes rice = <extra_id_0> / Ben likes soup = <extra_id_1>. facts: Ben likes soup.",
    "<extra_id_0>, Anna lives in Hull. <extra_id_1>, Anna is a nurse, because Anna is a nurse.",
    "pairs: who is a pilot? / who works as a pilot? = <extra_id_0>; where does Pam live? / who lives in Jena? = "
    "<extra_id_1>.",
    "Kurt and Ivan and Luton: Ivan lives in Luton. the home of blank is in Luton. <extra_id_0>.",
    "somebody said, Pam is a sailor. but we know that Pam is a nurse. so that is <extra_id_0>.",
    "given that Ugo has a red duck. the idea that Ugo owns a red duck is <extra_id_0>.",
    "first somebody said, who likes beans? then, who loves to eat beans? that is <extra_id_0>.",
    "on Monday Otto walked to the library. in short, <extra_id_0>.",
    # Sentinels and special tokens in odd places.
    "<extra_id_0>",
    "<extra_id_99>",
    "<extra_id_100>",
    "<extra_id_0><extra_id_1>",
    "<extra_id_0> <extra_id_1>",
    "<extra_id_0> Anna",
    "<extra_id_0>Anna",
    "<extra_id_0>   Anna",
    "Anna<extra_id_7>lives",
    "Anna   <extra_id_7>   lives",
    "<extra_id_0>. Hello",
    "<extra_id_0> / Anna",
    "<extra_id_0>,",
    "a<extra_id_0>",
    "Anna</s>Ben",
    "Anna </s> Ben",
    "<pad>",
    "<pad><pad> Anna",
    "<unk>",
    "<extra_id_>",
    "<EXTRA_ID_0>",
    # Spaces and nothing.
    "",
    " ",
    "   ",
    "Anna  lives   in    Kiel.",
    " Anna lives in Kiel. ",
    "Anna lives in Kiel .",
    "Anna\tlives\nin Kiel.",
    # Words the world does not have, and pieces in places where they do not belong.
    "Hello world",
    "Annabel lives in Kielce.",
    "anna LIVES in kiel",
    "Zoë läßt 東京 🙂 grüßen.",
    "question3: what?",
    "question12: what?",
    "1 2 12 21",
    "_duplicate",
    "a_duplicate b_duplicate",
    "Anna,Ben;Carl:Dora?Emil.",
    "...???",
    "a=b/c",
    "@placeholder@placeholder",
    "▁Anna",
    "don't \"quote\" (me)",
]


def main(model_dir):
    auto = transformers.AutoTokenizer.from_pretrained(model_dir)
    plain = tokenizers.Tokenizer.from_file(str(pathlib.Path(model_dir) / "tokenizer.json"))
    cases = []
    for text in TEXTS:
        ids = auto(text).input_ids
        if ids != plain.encode(text).ids:
            raise SystemExit(f"transformers and tokenizers differ on {text!r}")
        cases.append({"text": text, "ids": ids, "decoded": plain.decode(ids)})
    if len(auto) != plain.get_vocab_size():
        raise SystemExit("transformers has added tokens of its own")
    out = pathlib.Path(__file__).with_name("tokenizer_ids.json")
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
