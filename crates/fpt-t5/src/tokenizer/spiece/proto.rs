//! The protobuf of a SentencePiece model, as far as it is needed.

use prost::Message;

use super::damaged;

/// mT5 has 250 000 pieces.
pub(super) const MAX_PIECES: usize = 1_000_000;
/// SentencePiece refuses longer ones itself.
const MAX_PIECE_LENGTH: usize = 8_000;

/// `SentencePiece.Type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

#[derive(Debug)]
pub(super) struct Piece {
    pub(super) text: Box<str>,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// `ModelProto.SentencePiece`
#[derive(Clone, PartialEq, Message)]
struct RawPiece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

/// `TrainerSpec`
#[derive(Clone, PartialEq, Message)]
pub(super) struct Trainer {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
    #[prost(string, optional, tag = "45", default = "<unk>")]
    unk_piece: Option<String>,
    #[prost(string, optional, tag = "47", default = "</s>")]
    eos_piece: Option<String>,
    #[prost(string, optional, tag = "48", default = "<pad>")]
    pad_piece: Option<String>,
}

/// `NormalizerSpec`
#[derive(Clone, PartialEq, Message)]
pub(super) struct NormalizerSpec {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3", default = "true")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4", default = "true")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5", default = "true")]
    escape_whitespaces: Option<bool>,
}

/// `ModelProto`
pub(super) struct Model {
    pub(super) pieces: Vec<Piece>,
    pub(super) trainer: Trainer,
    pub(super) normalizer: NormalizerSpec,
}

impl Model {
    /// Read a model and refuse what the rest of this module can't do.
    pub(super) fn read(mut bytes: &[u8]) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut trainer = Trainer::default();
        let mut normalizer = NormalizerSpec::default();
        let mut denormalizer = NormalizerSpec::default();
        // The outermost message is read by hand, because an empty piece takes two bytes in the file and many more
        // in memory: so they can be counted and refused one by one.
        while !bytes.is_empty() {
            let key = prost::decode_length_delimiter(&mut bytes).map_err(damaged)?;
            if key & 7 != LENGTH_DELIMITED {
                return Err(damaged("a field has an unknown type"));
            }
            let length = prost::decode_length_delimiter(&mut bytes).map_err(damaged)?;
            let (field, rest) = bytes
                .split_at_checked(length)
                .ok_or_else(|| damaged("it ends too early"))?;
            bytes = rest;
            match key >> 3 {
                1 => pieces.push(piece(pieces.len(), field)?),
                2 => trainer.merge(field).map_err(damaged)?,
                3 => normalizer.merge(field).map_err(damaged)?,
                5 => denormalizer.merge(field).map_err(damaged)?,
                _ => {}
            }
        }
        if pieces.is_empty() {
            return Err(damaged("it has no pieces"));
        }
        match trainer.model_type() {
            UNIGRAM => {}
            other => {
                let name = match other {
                    2 => "BPE",
                    3 => "word",
                    4 => "character",
                    _ => "unknown",
                };
                return Err(format!(
                    "it is a SentencePiece model of type {name}, but T5's are Unigram models; \
                     if this model has a tokenizer.json, use that"
                ));
            }
        }
        let refused = |what: &str| {
            Err(format!(
                "it uses {what}, which is not supported; if this model has a tokenizer.json, use that"
            ))
        };
        if trainer.treat_whitespace_as_suffix() {
            return refused("spaces as suffixes (treat_whitespace_as_suffix)");
        }
        if !denormalizer.precompiled_charsmap().is_empty() {
            return refused("rules for the decoded text (denormalizer_spec)");
        }
        Ok(Self {
            pieces,
            trainer,
            normalizer,
        })
    }
}

const LENGTH_DELIMITED: usize = 2;
const UNIGRAM: i32 = 1;

fn piece(id: usize, bytes: &[u8]) -> Result<Piece, String> {
    if id >= MAX_PIECES {
        return Err(damaged(format_args!(
            "it has more than {MAX_PIECES} pieces"
        )));
    }
    let wrong = |what: &str| damaged(format_args!("piece {id} {what}"));
    let raw = RawPiece::decode(bytes).map_err(damaged)?;
    let text = raw.piece();
    if text.is_empty() || text.len() >= MAX_PIECE_LENGTH || text.contains('\0') {
        return Err(wrong("is empty, too long or has a zero byte"));
    }
    let score = raw.score();
    if !score.is_finite() {
        return Err(wrong("has a score that is not a number"));
    }
    let kind = match raw.kind() {
        1 => PieceKind::Normal,
        2 => PieceKind::Unknown,
        3 => PieceKind::Control,
        4 => PieceKind::UserDefined,
        5 => PieceKind::Unused,
        6 => PieceKind::Byte,
        _ => return Err(wrong("is of an unknown type")),
    };
    Ok(Piece {
        text: text.into(),
        score,
        kind,
    })
}
