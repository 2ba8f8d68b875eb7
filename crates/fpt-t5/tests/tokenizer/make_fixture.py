#!/usr/bin/env python3
"""Writes the fixtures of the tokenizer tests: SentencePiece models trained on generated text, and what transformers'
T5 tokenizers make of hard texts. It compares nothing itself; `main.rs` does.

Beside this script:
    t5.model        8000 pieces, nmt_nfkc, special tokens as T5's
    t5.jsonl        one case a line; the first two keys are always there, the others where they differ from `ids`
        text        the text
        ids         transformers' T5Tokenizer, legacy=True (the default)
        fixed       the same, legacy=False
        fast        T5TokenizerFast, converted from it
        decoded     T5Tokenizer's decode(ids, skip_special_tokens=True), where it differs from `text`
    options.model   700 pieces and everything that T5's model does not use: byte fallback, pieces of fixed text, spaces
                    kept as they are, no space in front of the text, no normalisation rules
    options.jsonl   as above, without `fast`, which can't do it

    pip install sentencepiece==0.2.3 transformers==4.57.1 tokenizers==0.22.2 protobuf
    python crates/fpt-t5/tests/tokenizer/make_fixture.py

More texts, drawn from a seed, for a comparison that is no test (`compare.rs` beside this script); the first line of FILE
names the model:
    python crates/fpt-t5/tests/tokenizer/make_fixture.py --differential 10000 --seed 1 --out FILE [--model options]
    cargo run -p fpt-t5 --example compare_tokenizers -- FILE
"""

import argparse
import io
import itertools
import json
import logging
import os
import pathlib
import random

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import sentencepiece
import transformers
from transformers.convert_slow_tokenizer import convert_slow_tokenizer

HERE = pathlib.Path(__file__).resolve().parent

ONSETS = "b c d f g h j k l m n p qu r s t v w z bl br ch cr dr fl gr pl pr sh sk sl st str th tr".split()
NUCLEI = "a e i o u ai ea ee ie oo ou y".split()
CODAS = ["", "", "", "n", "r", "s", "t", "l", "m", "d", "ng", "nd", "rt", "st", "ck"]
ACCENTED = "àáâãäåçèéêëìíîïñòóôõöøùúûüýÿœæßšžłđ"
OTHER = {
    "Cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "Greek": "αβγδεζηθικλμνξοπρστυφχψωάέήίόύώς",
    "Hiragana": "あいうえおかきくけこさしすせそたちつてとなにぬねの",
    "Han": "中文字符測試日本語人大小山川水火木金土",
}
PUNCTUATION = [".", ",", ";", ":", "!", "?", "...", " - ", "'s", "\"", "(", ")", "[", "]", "/", "&", "%", "$", "#", "@", "*", "+", "="]


def word(rng):
    text = "".join(
        rng.choice(ONSETS) + rng.choice(NUCLEI) + rng.choice(CODAS) for _ in range(rng.choice([1, 1, 2, 2, 3]))
    )
    kind = rng.random()
    if kind < 0.05:
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(ACCENTED) + text[at:]
    elif kind < 0.08:
        text = text.upper()
    elif kind < 0.25:
        text = text.capitalize()
    elif kind < 0.32:
        text = str(rng.randrange(10 ** rng.randrange(1, 6)))
    elif kind < 0.38:
        text = "".join(rng.choice(OTHER[rng.choice(sorted(OTHER))]) for _ in range(rng.randrange(1, 6)))
    return text


def training_text(seed):
    """Sentences of words with a Zipf-like distribution, so that there are pieces of every length."""
    rng = random.Random(seed)
    words = sorted({word(rng) for _ in range(16000)})
    rng.shuffle(words)
    weights = [1 / (rank + 20) for rank in range(len(words))]
    for _ in range(30000):
        sentence = []
        for text in rng.choices(words, weights, k=rng.randrange(3, 16)):
            if rng.random() < 0.15:
                text += rng.choice(PUNCTUATION)
            sentence.append(text)
        yield " ".join(sentence)


def train(path, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        model_writer=model,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    path.write_bytes(model.getvalue())


SPACES = ["\t", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u2003", "\u2009", "\u2028",
          "\u2029", "\u202f", "\u205f", "\u3000", "\u2581"]
INVISIBLE = ["\x00", "\x01", "\x08", "\x1b", "\x7f", "\x9f", "\xad", "\u034f", "\u061c", "\u200b", "\u200c", "\u200d",
             "\u200e", "\u2060", "\ufeff", "\ufe0f", "\U000e0001"]
FORMS = ["ＡＢＣ", "ａｂｃ１２３", "！？", "（ｘ）", "ｶﾞｷﾞ", "㍿", "㌔", "①②", "ﬁﬂ", "ſt", "½", "x²", "℃", "Ⅷ", "ﷺ", "ﷲ", "…", "№", "™",
         "e\u0301", "a\u0308\u0323", "o\u0302\u0301", "\u1112\u1161\u11ab", "각", "ﾊﾟ", "Å", "Ω", "\u0958", "\u0344", "ǆ",
         "＜/s＞", "＜pad＞", "＜unk＞", "＜extra_id_0＞", "\u2581\u2581", "\u0340", "\u037e", "\u2126"]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "❤️", "☃", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣"]
UNKNOWN = ["ක", "ሀ", "ༀ", "𐍈", "𝔘", "\U0001f9ff", "\ue000", "\ufffd", "\uffff", "^", "~", "`", "{", "}", "|", "\\", "_", "§", "€"]
SPECIAL = ["</s>", "<pad>", "<unk>", "<s>", "<extra_id_0>", "<extra_id_1>", "<extra_id_10>", "<extra_id_99>",
           "<extra_id_100>", "<extra_id_05>", "<extra_id_>", "<extra_id_+1>", "<extra_id_1", "<EXTRA_ID_1>", "< /s>",
           "</s", "<", ">", "<<pad>>", "</s></s>", "<extra_id_0><extra_id_1>", "<0x41>", "<extra_id_٣>",
           "<extra_id_99999999999999999999>", "[X]", "<mask> ", "{id}"]
ORDINARY = ["Hello", "world", "The", "a", "I", "x", "it's", "3.14", "1,000", "U.S.", "don't", "naïve", "Straße", "e-mail"]


def hard_texts():
    yield from ["", " ", "  ", "   ", "<extra_id_0>. Hello", "Hello <extra_id_0>.", "Thank you <extra_id_0> me to <extra_id_1> week."]
    atoms = SPACES + INVISIBLE + FORMS + EMOJI + UNKNOWN + SPECIAL
    for atom in atoms:
        yield atom
        yield f"Hello{atom}world"
        yield f" {atom}  Hello {atom} {atom}"
    for special in ["</s>", "<pad>", "<unk>", "<extra_id_0>", "<s>"]:
        for space in ["", " ", "  ", "\t", "\n", "\xa0", "\u200b", "\u2581", "\u2581 ", " \u2581", "\u3000", "\x1d", "\x85"]:
            yield f"a{space}{special}{space}b"
            yield f"{space}{special}{space}.{space}{special}{space}"
    for length in [1, 2, 3, 7, 50]:
        yield "a" * length
        yield "ක" * length
        yield "\u2581" * length
        yield " ".join(["Hello"] * length)
        yield "<extra_id_3>" * length
        yield "1" * length


def drawn_text(rng):
    """A text of words, odd characters, special tokens and any characters at all."""
    odd = rng.choice([0.02, 0.1, 0.3, 0.8])
    parts = []
    for _ in range(rng.choice([1, 2, 3, 5, 8, 13, 40])):
        kind = rng.random()
        if kind < odd:
            parts.append(rng.choice(rng.choice([SPACES, INVISIBLE, FORMS, EMOJI, UNKNOWN, SPECIAL, SPECIAL])))
        elif kind < odd + 0.03:
            code = rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x20, 0x3100), rng.randrange(0x20, 0x11000),
                               rng.randrange(0x10000, 0x110000)])
            parts.append(chr(code) if not 0xD800 <= code < 0xE000 else "\u0300")
        elif kind < odd + 0.1:
            parts.append(rng.choice(PUNCTUATION))
        else:
            parts.append(rng.choice(ORDINARY) if rng.random() < 0.3 else word(rng))
        parts.append(rng.choice(["", "", " ", " ", " ", " ", " ", "  ", "   "]))
    return "".join(parts)


class Oracle:
    def __init__(self, model, fast):
        path = str(HERE / f"{model}.model")
        self.slow = transformers.T5Tokenizer(path, legacy=True)
        self.fixed = transformers.T5Tokenizer(path, legacy=False)
        # T5TokenizerFast(path) leaves out the space in front of the text (transformers 4.57.1 passes
        # add_prefix_space=None on); published tokenizer.json files are converted as here.
        converted = convert_slow_tokenizer(self.slow) if fast else None
        self.fast = transformers.T5TokenizerFast(tokenizer_object=converted) if fast else None

    def case(self, text):
        ids = self.slow.encode(text)
        case = {"text": text, "ids": ids}
        if (fixed := self.fixed.encode(text)) != ids:
            case["fixed"] = fixed
        if self.fast and (fast := self.fast.encode(text)) != ids:
            case["fast"] = fast
        if (decoded := self.slow.decode(ids, skip_special_tokens=True)) != text:
            case["decoded"] = decoded
        return case


def write(path, lines):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(json.dumps(line, ensure_ascii=True, separators=(",", ":")) + "\n")


def main():
    logging.disable(logging.WARNING)
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--differential", type=int)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--out", type=pathlib.Path)
    arguments.add_argument("--model", choices=["t5", "options"], default="t5")
    arguments = arguments.parse_args()

    if arguments.differential:
        oracle = Oracle(arguments.model, arguments.model == "t5")
        rng = random.Random(arguments.seed)
        cases = (oracle.case(drawn_text(rng)) for _ in range(arguments.differential))
        write(arguments.out, itertools.chain([{"model": arguments.model}], cases))
        return

    train(
        HERE / "t5.model",
        sentence_iterator=training_text(7),
        vocab_size=8000,
        character_coverage=0.9999,
        normalization_rule_name="nmt_nfkc",
    )
    train(
        HERE / "options.model",
        sentence_iterator=(text for text, _ in zip(training_text(8), range(2000))),
        vocab_size=700,
        character_coverage=0.98,
        normalization_rule_name="identity",
        byte_fallback=True,
        user_defined_symbols=["[X]", "<mask> ", "{id}", "{id}s"],
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        control_symbols=["<s>"],
    )
    for model in ["t5", "options"]:
        oracle = Oracle(model, model == "t5")
        rng = random.Random(model)
        texts = [*hard_texts(), *(drawn_text(rng) for _ in range(100))]
        write(HERE / f"{model}.jsonl", (oracle.case(text) for text in dict.fromkeys(texts)))


if __name__ == "__main__":
    main()
