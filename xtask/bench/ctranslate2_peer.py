"""CTranslate2's side of `cargo xtask bench --peer ctranslate2`: answers a directory's texts as often as it is asked to.

    python ctranslate2_peer.py convert DIRECTORY
    python ctranslate2_peer.py answer DIRECTORY {float32,int8} THREADS

DIRECTORY holds a T5 in Hugging Face's layout. `convert` gives it a tokenizer that has a token for each id, and writes it in
CTranslate2's layout, once with each type of weights; it is a process of its own, so that torch, which it needs, is not
in the memory of the other. `answer` also reads texts.json, and answers each line on standard input by a JSON line:
seconds, the peak of resident memory so far in bytes, and the ids of all answers.
"""

import json
import pathlib
import sys

from serve import serve

TYPES = ("float32", "int8")
SPECIAL = {0: "<pad>", 1: "</s>", 2: "<unk>"}
IDS = {token: id for id, token in SPECIAL.items()}


def token_of(id):
    return SPECIAL.get(id, f"t{id}")


def id_of(token):
    return IDS[token] if token in IDS else int(token.removeprefix("t"))


def converted(directory, compute_type):
    return str(directory / f"ctranslate2-{compute_type}")


def convert(directory):
    from ctranslate2.converters import TransformersConverter
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    # The converter takes the vocabulary from the model's tokenizer.
    size = json.loads((directory / "config.json").read_text())["vocab_size"]
    words = WordLevel({token_of(id): id for id in range(size)}, unk_token=SPECIAL[2])
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(words), pad_token=SPECIAL[0], eos_token=SPECIAL[1], unk_token=SPECIAL[2],
    ).save_pretrained(directory)  # fmt: skip
    for compute_type in TYPES:
        TransformersConverter(str(directory)).convert(converted(directory, compute_type), quantization=compute_type)


def answer(directory, compute_type, threads):
    import ctranslate2

    translator = ctranslate2.Translator(
        converted(directory, compute_type), device="cpu", compute_type=compute_type,
        inter_threads=1, intra_threads=int(threads),
    )  # fmt: skip
    # A type that the processor has no products for is replaced without a word.
    if not translator.compute_type.startswith(compute_type):
        sys.exit(f"CTranslate2 computes with {translator.compute_type} here, not with {compute_type}")
    texts = json.loads((directory / "texts.json").read_text())
    sources = [[token_of(id) for id in source] for source in texts["sources"]]
    batches = [sources[at : at + texts["rows"]] for at in range(0, len(sources), texts["rows"])]

    def work():
        results = []
        for batch in batches:
            results += translator.translate_batch(
                batch, max_batch_size=0, max_input_length=0, max_decoding_length=texts["max_new_tokens"],
                min_decoding_length=0, return_end_token=True, beam_size=texts["num_beams"], patience=1, length_penalty=1,
            )  # fmt: skip
        return results

    serve(work, lambda results: [[id_of(token) for token in result.hypotheses[0]] for result in results])


def main():
    command, directory, *rest = sys.argv[1:]
    {"convert": convert, "answer": answer}[command](pathlib.Path(directory), *rest)


main()
