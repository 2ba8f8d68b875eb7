#!/usr/bin/env python3
"""Writes beside.jsonl: what transformers' slow T5Tokenizer makes of texts, with the files that real checkpoints have beside
spiece.model. A line a directory:
    model       "t5", or "mt5": t5.model with mT5's sentinels, which are user-defined pieces at its end
    files       the files beside it, by name
    cases       text, ids, and decoded (skip_special_tokens=True) where it differs from the text

    pip install sentencepiece==0.2.3 transformers==4.57.1 protobuf
    python crates/fpt-t5/tests/tokenizer/make_beside.py
"""

import json
import os
import pathlib
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import transformers

HERE = pathlib.Path(__file__).resolve().parent
PIECES = 8000


def mt5():
    """User-defined pieces behind the others, as the protobuf message has them: a field more is a piece more."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    for number in reversed(range(100)):
        piece = model.pieces.add()
        piece.piece = f"\u2581<extra_id_{number}>"
        piece.score = 0.0
        piece.type = sentencepiece_model_pb2.ModelProto.SentencePiece.USER_DEFINED
    return (HERE / "t5.model").read_bytes() + model.SerializeToString()


def token(content, **more):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": False} | more


def sentinels(first=PIECES, count=100):
    return {
        str(first + count - 1 - number): token(f"<extra_id_{number}>", lstrip=True, rstrip=True, special=True)
        for number in range(count)
    }


SPECIAL = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
NAMES = [f"<extra_id_{number}>" for number in range(100)]
OWN = {str(id): token(name, special=True) for id, name in enumerate(["<pad>", "</s>", "<unk>"])}

DIRECTORIES = {
    "nothing": ("t5", {}),
    "as transformers saves it now": ("t5", {"tokenizer_config.json": SPECIAL | {
        "added_tokens_decoder": OWN | sentinels(), "additional_special_tokens": NAMES, "extra_ids": 100, "legacy": False,
        "add_prefix_space": True, "clean_up_tokenization_spaces": False, "tokenizer_class": "T5Tokenizer",
        "sp_model_kwargs": {}, "model_max_length": 512}}),
    "mT5": ("mt5", {"tokenizer_config.json": SPECIAL | {"extra_ids": 0, "additional_special_tokens": None,
                                                          "tokenizer_class": "T5Tokenizer", "sp_model_kwargs": {}}}),
    "fastchat-t5": ("t5", {
        "tokenizer_config.json": SPECIAL | {"additional_special_tokens": NAMES, "extra_ids": 100, "tokenizer_class": "T5Tokenizer"},
        "special_tokens_map.json": SPECIAL | {"additional_special_tokens": NAMES, "sep_token": "<sep>"},
        "added_tokens.json": {"<sep>": 8103, "\n": 8102, "}": 8101, "{": 8100}}),
    "few sentinels": ("t5", {"tokenizer_config.json": {"extra_ids": 7}}),
    "special tokens without sentinels": ("t5", {"tokenizer_config.json": {"additional_special_tokens": ["<a>", "<b>"]}}),
    "special tokens and sentinels": ("t5", {"special_tokens_map.json": {
        "bos_token": "<s>", "eos_token": token("</s>"), "mask_token": token("<mask>", lstrip=True),
        "additional_special_tokens": NAMES + ["<a>", token("<b>", rstrip=True)]}}),
    "added tokens of all kinds": ("t5", {"tokenizer_config.json": {"legacy": False, "added_tokens_decoder": OWN | sentinels() | {
        "8100": token("<left>", lstrip=True), "8101": token("<right>", rstrip=True), "8102": token("wo", single_word=True),
        "8103": token("Hello"), "8104": token("  "), "8105": token("<a>", special=True), "8106": token("Hello world")}}}),
    "cleaned up": ("t5", {"tokenizer_config.json": {"clean_up_tokenization_spaces": True}}),
    "no space in front": ("t5", {"tokenizer_config.json": {"legacy": False, "add_prefix_space": False}}),
    "special tokens are text": ("t5", {"tokenizer_config.json": {"split_special_tokens": True}}),
    "another end": ("t5", {"tokenizer_config.json": {"eos_token": "<end>", "pad_token": {"__type": "AddedToken", **token("<nothing>")}}}),
}

TEXTS = [
    "", " ", "Hello world", " Hello  world ", "Hello\nworld", "Hello \n\n world\n", "{id} and {x}", "Hello<sep>world <sep> x", "<extra_id_0>. Hello",
    "a <extra_id_0> b", "a<extra_id_6>b<extra_id_7> c", "<extra_id_1><extra_id_0>", "<extra_id_0>\n<sep>", "Hello</s>.world", "Hello </s> world</s>",
    "<pad> a <unk> b", "<s>Hello<mask> world <mask>.", "<a> x <b>  y<a><b>", "x  <left>  y  <right>  z", "<left><right>", "wo", "awob", "a wo b", "awo b wo",
    "Hello Hello world Helloworld", "Hello worlds", "  ", "a  b", "It 's , what we did n't . ' x ' !", "x <end> y<end>", "<nothing> x", "\u2581Hello\u2581<a>",
    "^Hello~{", "\u2581<extra_id_0>", "\u2581<extra_id_5>\u2581 <extra_id_5>",
]
IDS = [[3, 8100, 8101, 8, 8102, 9, 1], [8103, 10, 8103, 8099, 11, 2, 12, 0, 1, 13], [8050, 8106, 8107, 8001], [100, 4, 101, 5, 3, 1], [1, 1, 0], []]


def main():
    lines = []
    for name, (model, files) in DIRECTORIES.items():
        with tempfile.TemporaryDirectory() as directory:
            directory = pathlib.Path(directory)
            (directory / "spiece.model").write_bytes(mt5() if model == "mt5" else (HERE / "t5.model").read_bytes())
            for file, content in files.items():
                (directory / file).write_text(json.dumps(content))
            tokenizer = transformers.T5Tokenizer.from_pretrained(directory)
            cases = []
            for text in TEXTS:
                ids = tokenizer.encode(text)
                cases.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
            known = set(tokenizer.get_vocab().values())
            decodes = [[id for id in ids if id in known] for ids in IDS]
            decodes = [{"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)} for ids in decodes if ids]
            lines.append({"name": name, "model": model, "files": files, "cases": cases, "decodes": decodes})
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    (HERE / "beside.jsonl").write_text(text)


main()
