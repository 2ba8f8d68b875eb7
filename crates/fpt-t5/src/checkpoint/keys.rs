//! From Hugging Face's tensor names to the paths of our modules, and back.

/// Patterns for `burn_store`'s key remapping, applied in order: Hugging Face name to module path.
pub(super) const TO_MODULE: &[(&str, &str)] = &[
    (
        r"block\.0\.layer\.0\.SelfAttention\.relative_attention_bias\.",
        "position_bias.",
    ),
    (r"layer\.0\.SelfAttention\.", "attention."),
    (r"layer\.0\.layer_norm\.", "attention_norm."),
    (r"layer\.1\.EncDecAttention\.", "cross_attention."),
    (r"layer\.[12]\.DenseReluDense\.wi\.", "feed_forward.wi_0."),
    (r"layer\.[12]\.DenseReluDense\.", "feed_forward."),
    (
        r"^encoder\.(.*)layer\.1\.layer_norm\.",
        "encoder.${1}feed_forward_norm.",
    ),
    (
        r"^decoder\.(.*)layer\.1\.layer_norm\.",
        "decoder.${1}cross_attention_norm.",
    ),
    (r"layer\.2\.layer_norm\.", "feed_forward_norm."),
    (r"final_layer_norm\.", "final_norm."),
];

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
