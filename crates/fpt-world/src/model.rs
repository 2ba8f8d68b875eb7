//! The scale model itself, as part of the program.

/// Its files by name: what `T5::from_pretrained` and a tokenizer need. About 4 MB.
pub const FILES: [(&str, &[u8]); 4] = [
    ("config.json", include_bytes!("../model/config.json")),
    (
        "model.safetensors",
        include_bytes!("../model/model.safetensors"),
    ),
    ("tokenizer.json", include_bytes!("../model/tokenizer.json")),
    (
        "tokenizer_config.json",
        include_bytes!("../model/tokenizer_config.json"),
    ),
];
