"""A tiny random model with the files and tensors that google/t5-large-lm-adapt has: pytorch_model.bin and config.json.

    pip install torch==2.11.0 transformers==4.57.1
    python make_fixture.py

24 + 24 layers, gated GELU, a head of its own, and 28 rows of the embedding that are no tokens, as 32128 against 32100.
The tokenizer is options.model of fpt-t5's tests, as spiece.model: 700 pieces and 100 sentinels.
"""

import json
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration

HERE = Path(__file__).parent


def main():
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=828, d_model=8, d_kv=4, d_ff=12, num_heads=2, num_layers=24, num_decoder_layers=24,
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, decoder_start_token_id=0,
        architectures=["T5ForConditionalGeneration"],
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    torch.save({k: v.bfloat16() for k, v in model.state_dict().items()}, HERE / "pytorch_model.bin")
    (HERE / "config.json").write_text(json.dumps(config.to_diff_dict(), indent=2, sort_keys=True) + "\n")
    print((HERE / "pytorch_model.bin").stat().st_size, "bytes")


main()
