//! Hugging Face's names of tensors, and the paths of our modules.

use super::files::StoredTensor;

/// The embedding; transformers ties the other names to it.
pub(super) const SHARED: &str = "shared.weight";

/// Names that one of stands for the embedding where `shared.weight` is missing, as in the files of safetensors'
/// `save_model`, which writes a tensor once.
const EMBEDDINGS: [&str; 2] = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"];

/// So does this one, where the configuration ties it to the embedding.
pub(super) const HEAD: &str = "lm_head.weight";

/// What transformers passes over (`_keys_to_ignore_on_load_unexpected`): the first checkpoints have it, and no layer uses it.
const IGNORED: &str = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

/// What transformers takes off (`base_model_prefix`).
const BASE_PREFIX: &str = "transformer.";

/// Prefixes that names have only because of how a model was saved, and how it is to be saved instead.
const STRANGE_PREFIXES: [(&str, &str); 3] = [
    (
        "_orig_mod.",
        "torch.compile puts it there; save the model that was compiled (`model._orig_mod`)",
    ),
    (
        "module.",
        "DataParallel puts it there; save the model inside (`model.module`)",
    ),
    (
        "model.",
        "a trainer such as Lightning puts it there; save the model inside (`trainer.model.model`)",
    ),
];

/// Tensors under the names that `T5ForConditionalGeneration` has, by the rules with which transformers loads it. `tied` tells
/// whether the head is the embedding.
///
/// # Errors
/// When all names have a prefix that is none of transformers'.
pub(super) fn by_own_names(
    mut tensors: Vec<StoredTensor>,
    tied: bool,
) -> Result<Vec<StoredTensor>, String> {
    if let Some(prefix) = common_prefix(&tensors) {
        if prefix != BASE_PREFIX {
            let known = STRANGE_PREFIXES.iter().find(|(known, _)| *known == prefix);
            let way_out = known.map_or("rename them", |(_, way_out)| way_out);
            return Err(format!(
                "the names of all {} tensors begin with `{prefix}`: {way_out}",
                tensors.len()
            ));
        }
        for tensor in &mut tensors {
            tensor.name.drain(..prefix.len());
        }
    }
    tensors.retain(|tensor| tensor.name != IGNORED);
    let place = |name: &str| tensors.iter().position(|tensor| tensor.name == name);
    if place(SHARED).is_none() {
        let others = EMBEDDINGS.into_iter().chain(tied.then_some(HEAD));
        if let Some(place) = others.into_iter().find_map(place) {
            tensors[place].name = SHARED.into();
        }
    }
    Ok(tensors)
}

/// What the names of all tensors begin with, before names that a T5 has.
fn common_prefix(tensors: &[StoredTensor]) -> Option<String> {
    let ends = [SHARED, HEAD, "encoder.final_layer_norm.weight"];
    let mut of_ends = tensors.iter().filter_map(|tensor| {
        let prefix = ends.iter().find_map(|end| tensor.name.strip_suffix(end))?;
        prefix.ends_with('.').then(|| prefix.to_owned())
    });
    let prefix = of_ends.next()?;
    tensors
        .iter()
        .all(|tensor| tensor.name.starts_with(&prefix))
        .then_some(prefix)
}

/// A module path as the Hugging Face name; `gated` tells whether the feed-forward network has `wi_0` and
/// `wi_1` or only `wi`.
pub(super) fn to_hugging_face(path: &str, gated: bool) -> String {
    let encoder = path.starts_with("encoder.");
    let last = if encoder { 1 } else { 2 };
    let mut name = path.to_string();
    for (ours, theirs) in [
        (
            "position_bias.",
            "block.0.layer.0.SelfAttention.relative_attention_bias.".to_string(),
        ),
        (".cross_attention_norm.", ".layer.1.layer_norm.".into()),
        (".cross_attention.", ".layer.1.EncDecAttention.".into()),
        (".attention_norm.", ".layer.0.layer_norm.".into()),
        (".attention.", ".layer.0.SelfAttention.".into()),
        (".feed_forward_norm.", format!(".layer.{last}.layer_norm.")),
        (".feed_forward.", format!(".layer.{last}.DenseReluDense.")),
        (".final_norm.", ".final_layer_norm.".into()),
    ] {
        name = name.replace(ours, &theirs);
    }
    if gated {
        name
    } else {
        name.replace(".wi_0.", ".wi.")
    }
}
