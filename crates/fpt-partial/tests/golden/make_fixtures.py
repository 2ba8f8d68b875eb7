#!/usr/bin/env python3
"""Writes the golden fixtures of partial models: small random T5s, what stays of each, and what transformers computes.

Each case is a folder beside this script:
    config.json            the full model, as transformers writes it
    model.safetensors      the full model, as `save_pretrained` writes it
    selection.json         what stays: indices into the full model, ascending
    expected.safetensors   inputs, and the outputs of the *partial* model: T5ForConditionalGeneration in f32 on the CPU
    scores.json            importance of every layer, neuron and head of the *full* model on the same batch

selection.json, per stack ("encoder", "decoder"):
    layers [..]; neurons, heads, cross_heads [[..] per kept layer] (cross_heads is [] in the encoder)

Tensors of expected.safetensors (b rows, s source and t target tokens, p prompt vectors, d = d_model):
    input_ids, attention_mask [b, s], labels [b, t] (-100 = ignored), prompt [p, d]
    encoder_output [b, p+s, d], logits [b, t, vocab], loss [1], prompt_grad [p, d]: the prompt prepended
    generated [b, n]: greedy, with the prompt; starts with id 0, ends with 1, then 0; max_new_tokens [1] is its limit

scores.json, per stack, of every layer; the prompt prepended, teacher-forced. Real positions are the prompt and the
source without padding in the encoder, those with a label that counts in the decoder:
    neurons         mean over real positions of |input of the FFN's `wo`|, per neuron
    heads_output    mean over real positions and the d_kv components of |input of attention's `o`|, per head
    heads_gradient  mean over rows of |sum over real positions and components of h * dLoss/dh|, h = the input of `o`,
                    Loss = the batch's mean cross-entropy, per head (Michel et al. 2019)
    layers          1 - mean over real positions of the cosine between the layer's input and output (ShortGPT)
    cross_heads_output, cross_heads_gradient    the same of cross-attention, in the decoder
Both heads_* are of self-attention. Numbers are rounded to 7 significant digits.

No expectation is written unless the partial model agrees with two other ways to the same numbers (see `verify`) and the
heads' gradients with the gradients of transformers' head masks (see `verify_gradients`).
Models are drawn from seeds; the first seed whose partial model decodes greedily in a sharp test is taken. Drawing,
saving and decoding are those of fpt-t5's fixtures.

Pinned: python 3.11, torch 2.11.0, transformers 4.57.1, safetensors 0.8.0, as for fpt-t5's fixtures.
    pip install torch==2.11.0 transformers==4.57.1 safetensors==0.8.0
    python crates/fpt-partial/tests/golden/make_fixtures.py
"""

import copy
import json
import pathlib
import sys
from dataclasses import dataclass

import torch
import transformers
from safetensors.torch import save_file
from torch.nn import Embedding, ModuleList, Parameter

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "fpt-t5" / "tests" / "golden"))
import make_fixtures as full  # noqa: E402  the script of the same name in fpt-t5

STACKS = ("encoder", "decoder")
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Kept:
    """What stays of a stack; which neurons stay is drawn, another set for each layer."""

    layers: tuple
    neurons: int
    heads: tuple
    cross_heads: tuple = ()


@dataclass(frozen=True)
class Case:
    """One fixture: a full model with its inputs, and what stays of it."""

    full: full.Case
    encoder: Kept
    decoder: Kept


ALL_HEADS = (0, 1, 2)
CASES = [
    Case(
        full.Case(
            "gated_untied",
            full.SMALL | full.GATED | full.UNTIED
            | dict(vocab_size=32, num_heads=4, num_layers=5, num_decoder_layers=4),
        ),
        Kept(layers=(0, 2, 4), neurons=10, heads=((0, 2), (1, 3), (2, 3))),
        Kept(layers=(0, 3), neurons=16, heads=((0, 1, 3), (1, 2, 3)), cross_heads=((0, 2, 3), (0, 1, 2))),
    ),
    # Block 0 of the encoder, where the bias is stored, does not stay.
    Case(
        full.Case(
            "relu_tied",
            full.SMALL | full.RELU | full.TIED
            | dict(vocab_size=32, d_model=8, d_kv=2, d_ff=16, num_layers=3, num_decoder_layers=1),
        ),
        Kept(layers=(1, 2), neurons=8, heads=(ALL_HEADS,) * 2),
        Kept(layers=(0,), neurons=16, heads=(ALL_HEADS,), cross_heads=(ALL_HEADS,)),
    ),
]  # fmt: skip


def random_selection(case, generator):
    """The selection of a case, in the form of selection.json."""

    def neurons(kept):
        draw = torch.randperm(case.full.config["d_ff"], generator=generator)[: kept.neurons]
        return sorted(draw.tolist())

    def stack(kept):
        return {
            "layers": list(kept.layers),
            "neurons": [neurons(kept) for _ in kept.layers],
            "heads": [list(heads) for heads in kept.heads],
            "cross_heads": [list(heads) for heads in kept.cross_heads],
        }

    return {name: stack(getattr(case, name)) for name in STACKS}


def attentions(block):
    """Self-attention, then cross-attention if the block has one."""
    return [getattr(layer, "SelfAttention", None) or layer.EncDecAttention for layer in block.layer[:-1]]


def feed_forward(block):
    return block.layer[-1].DenseReluDense


def components(heads, d_kv):
    """The rows of q, k and v, and columns of o, that belong to some heads."""
    return torch.cat([torch.arange(head * d_kv, (head + 1) * d_kv) for head in heads])


def keep(linear, index, dim):
    """Leaves a linear layer only some of its outputs (dim 0) or inputs (dim 1)."""
    linear.weight = Parameter(linear.weight.index_select(dim, index), requires_grad=False)
    linear.out_features, linear.in_features = linear.weight.shape


def keep_neurons(block, neurons):
    ffn, index = feed_forward(block), torch.tensor(neurons)
    for name in ("wi", "wi_0", "wi_1"):
        if hasattr(ffn, name):
            keep(getattr(ffn, name), index, dim=0)
    keep(ffn.wo, index, dim=1)


def keep_heads(attention, heads):
    index = components(heads, attention.key_value_proj_dim)
    for name in ("q", "k", "v"):
        keep(getattr(attention, name), index, dim=0)
    keep(attention.o, index, dim=1)
    attention.n_heads = len(heads)
    attention.inner_dim = len(index)


def set_bias(attention, bias, heads):
    """Makes a self-attention compute a position bias itself, for its own heads, as block 0 of a stack does."""
    attention.relative_attention_bias = Embedding.from_pretrained(bias[:, heads].clone())
    attention.has_relative_attention_bias = True


def cut(model, selection):
    """A copy with only what stays, whose blocks lack a bias still; and the table of biases of either stack."""
    model = copy.deepcopy(model)
    biases = {}
    for name in STACKS:
        stack, kept = getattr(model, name), selection[name]
        biases[name] = attentions(stack.block[0])[0].relative_attention_bias.weight
        stack.block = ModuleList([stack.block[i] for i in kept["layers"]])
        for i, block in enumerate(stack.block):
            keep_neurons(block, kept["neurons"][i])
            for attention, heads in zip(attentions(block), (kept["heads"], kept["cross_heads"])):
                keep_heads(attention, heads[i])
    return model, biases


def partial(model, selection):
    """The partial model.

    transformers computes `position_bias` (relative bias + mask) once, in the first block, and hands it to the later
    ones, which is wrong as soon as these keep other heads. But an attention that is handed none computes it itself.
    So every self-attention gets the bias table of its own heads, and a hook takes away what others hand over. That is
    faithful because the position bias depends on nothing but positions, mask and table: each layer's is the rows of
    the full model's that belong to its heads, and not a line of the forward pass is ours. (Cross-attention has no
    table; its position bias is the mask alone, whatever the heads.)
    """
    model, biases = cut(model, selection)
    for name in STACKS:
        for block, heads in zip(getattr(model, name).block, selection[name]["heads"], strict=True):
            set_bias(attentions(block)[0], biases[name], heads)
            for attention in attentions(block):
                attention.register_forward_pre_hook(
                    lambda _, args, kwargs: (args, kwargs | {"position_bias": None}), with_kwargs=True
                )
    return model


def plain_partial(model, selection):
    """The partial model where all layers of a stack keep the same heads: only the first has a bias; no hooks."""
    model, biases = cut(model, selection)
    for name in STACKS:
        heads = selection[name]["heads"]
        assert all(h == heads[0] for h in heads)
        for i, block in enumerate(getattr(model, name).block):
            attentions(block)[0].has_relative_attention_bias = i == 0
        set_bias(attentions(getattr(model, name).block[0])[0], biases[name], heads[0])
    return model


def zeroed(model, selection):
    """The full model with zeros for what does not stay: columns of `o` and `wo`. It computes the same.

    A head or neuron contributes to the residual stream through its columns only, a layer through `o` and `wo` only.
    """
    model = copy.deepcopy(model)

    def silence(linear, staying):
        rest = torch.ones(linear.in_features, dtype=torch.bool)
        rest[staying] = False
        linear.weight[:, rest] = 0

    for name in STACKS:
        kept = selection[name]
        for i, block in enumerate(getattr(model, name).block):
            at = kept["layers"].index(i) if i in kept["layers"] else None
            silence(feed_forward(block).wo, [] if at is None else kept["neurons"][at])
            for attention, heads in zip(attentions(block), (kept["heads"], kept["cross_heads"])):
                staying = [] if at is None else components(heads[at], attention.key_value_proj_dim)
                silence(attention.o, staying)
    return model


def same_heads(selection):
    """A selection whose layers all keep the heads of the first one."""
    selection = copy.deepcopy(selection)
    for kept in selection.values():
        for key in ("heads", "cross_heads"):
            kept[key] = kept[key][:1] * len(kept[key])
    return selection


def expectations(model, case, batch):
    """Every tensor of expected.safetensors."""
    prompt = batch["prompt"].clone().requires_grad_(True)
    out = model(**full.prepend(model, batch, prompt), labels=batch["labels"])
    out.loss.backward()
    tensors = batch | {
        "encoder_output": out.encoder_last_hidden_state,
        "logits": out.logits,
        "loss": out.loss.reshape(1),
        "prompt_grad": prompt.grad,
        "generated": full.generate(model, case.full, batch)[0],
        "max_new_tokens": torch.tensor([case.full.max_new_tokens]),
    }
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def assert_equal(what, ours, theirs):
    """Asserts that nothing differs by more than the tolerance, and ids not at all; prints the largest difference."""
    assert ours.keys() == theirs.keys()
    worst = 0.0
    for name, tensor in ours.items():
        assert tensor.shape == theirs[name].shape, f"{what}: {name}"
        if not tensor.is_floating_point():
            assert torch.equal(tensor, theirs[name]), f"{what}: {name}"
            continue
        difference = (tensor - theirs[name]).abs().max().item()
        relative = difference / theirs[name].abs().max().item()
        assert difference <= TOLERANCE and relative <= TOLERANCE, f"{what}: {name}: {difference:e}, {relative:e}"
        worst = max(worst, difference, relative)
    print(f"    {what}: equal within {worst:.1e}")


def verify(model, case, batch, selection):
    """Two other ways to the outputs of a partial model, which need none of `partial`'s hooks."""
    same = same_heads(selection)
    assert_equal(
        "same heads in all layers, hooks and no hooks",
        expectations(partial(model, same), case, batch),
        expectations(plain_partial(model, same), case, batch),
    )
    assert_equal(
        "left out and zeroed",
        expectations(partial(model, selection), case, batch),
        expectations(zeroed(model, selection), case, batch),
    )


class Recorder:
    """What passes through a model, with gradients: the inputs of `wo` and `o`; each layer's input and output."""

    def __init__(self, model):
        self.tensors = {}
        for name in STACKS:
            for i, block in enumerate(getattr(model, name).block):
                self.inputs(feed_forward(block).wo, (name, i, "neurons"))
                for attention, key in zip(attentions(block), ("heads", "cross_heads")):
                    self.inputs(attention.o, (name, i, key))
                block.register_forward_hook(self.layer((name, i, "layers")))

    def inputs(self, linear, key):
        def hook(_, inputs):
            inputs[0].retain_grad()
            self.tensors[key] = inputs[0]

        linear.register_forward_pre_hook(hook)

    def layer(self, key):
        def hook(_, inputs, outputs):
            self.tensors[key] = inputs[0], outputs[0]

        return hook


def scores(model, batch):
    """Everything in scores.json, as tensors: per stack and key one for each layer."""
    # With trainable weights: head outputs that no prompt reaches, in the decoder's first layer, have gradients too.
    model = copy.deepcopy(model).requires_grad_(True)
    recorder = Recorder(model)
    inputs = full.prepend(model, batch, batch["prompt"])
    model(**inputs, labels=batch["labels"]).loss.backward()
    real = {"encoder": inputs["attention_mask"].bool(), "decoder": batch["labels"] != -100}
    result = {name: {} for name in STACKS}
    for (name, _, key), tensor in recorder.tensors.items():
        mask = real[name]

        def add(key, value):
            result[name].setdefault(key, []).append(value.detach())

        if key == "layers":
            before, after = (states[mask].double() for states in tensor)
            add(key, 1 - torch.cosine_similarity(before, after, dim=-1).mean())
        elif key == "neurons":
            add(key, tensor[mask].abs().double().mean(0))
        else:
            by_head = (model.config.num_heads, model.config.d_kv)
            heads, gradient = (t.unflatten(-1, by_head).double() for t in (tensor, tensor.grad))
            add(f"{key}_output", heads[mask].abs().mean((0, 2)))
            sums = (heads * gradient * mask[:, :, None, None]).sum((1, 3))
            add(f"{key}_gradient", sums.abs().mean(0))
    return {name: {key: torch.stack(values) for key, values in stack.items()} for name, stack in result.items()}


def verify_gradients(model, batch, scores):
    """Compares heads' gradients with those of transformers' own head masks, at 1, one for each layer, row and head.

    A mask scales a head's attention weights and so its output, at all positions. This is how Michel et al. do it.
    """
    rows, heads = len(batch["labels"]), model.config.num_heads
    depths = (model.config.num_layers, model.config.num_decoder_layers, model.config.num_decoder_layers)
    masks = [torch.ones(depth, rows, heads, 1, 1, requires_grad=True) for depth in depths]
    names = ("head_mask", "decoder_head_mask", "cross_attn_head_mask")
    inputs = full.prepend(model, batch, batch["prompt"]) | dict(zip(names, masks))
    model(**inputs, labels=batch["labels"]).loss.backward()
    gradients = [mask.grad.flatten(2).abs().double().mean(1) for mask in masks]
    ours = [
        scores["encoder"]["heads_gradient"],
        scores["decoder"]["heads_gradient"],
        scores["decoder"]["cross_heads_gradient"],
    ]
    assert_equal("head gradients and head masks", dict(zip(names, ours)), dict(zip(names, gradients)))


def write_json(path, stacks):
    """Writes a dictionary of stacks with one line for each of their keys."""

    def lines(stack):
        return ",\n".join(f'    "{key}": {json.dumps(value)}' for key, value in stack.items())

    text = ",\n".join(f'  "{name}": {{\n{lines(stack)}\n  }}' for name, stack in stacks.items())
    path.write_text(f"{{\n{text}\n}}\n")


def rounded(value):
    return [rounded(v) for v in value] if isinstance(value, list) else float(f"{value:.7g}")


def find(case):
    """The first seed that makes a sharp test of the partial model, with the full model, batch and selection."""
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        model = full.random_model(case.full, generator).requires_grad_(False)
        batch = full.random_batch(case.full, generator)
        selection = random_selection(case, generator)
        if full.is_sharp(partial(model, selection), case.full, batch):
            return seed, model, batch, selection
    raise SystemExit(f"{case.full.name}: no seed gives a sharp greedy decoding")


def write(case):
    """Writes one folder, the expectations from the model as it reads back from there."""
    seed, model, batch, selection = find(case)
    print(f"{case.full.name}: seed {seed}")
    folder = HERE / case.full.name
    full.save_model(model, case.full, folder)
    model = full.load_model(folder)
    verify(model, case, batch, selection)
    importance = scores(model, batch)
    verify_gradients(model, batch, importance)
    assert full.is_sharp(partial(model, selection), case.full, batch)
    tensors = expectations(partial(model, selection), case, batch)
    save_file(tensors, folder / "expected.safetensors")
    write_json(folder / "selection.json", selection)
    write_json(
        folder / "scores.json",
        {name: {key: rounded(value.tolist()) for key, value in stack.items()} for name, stack in importance.items()},
    )
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"    loss {tensors['loss'].item():.4f}, {size / 1000:.0f} kB")
    for row in tensors["generated"].tolist():
        print("   ", *row)
    return size


def main():
    assert torch.__version__.split("+")[0] == "2.11.0", torch.__version__
    assert transformers.__version__ == "4.57.1", transformers.__version__
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    size = sum(write(case) for case in CASES)
    print(f"{size / 1000:.0f} kB in all")
    assert size < 150_000


if __name__ == "__main__":
    main()
