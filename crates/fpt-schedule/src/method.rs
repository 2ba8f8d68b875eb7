//! The names of the methods that the paper compares.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Share;
use crate::size::Dimension;

/// What a partial model leaves out (heads are not in the paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reduction {
    /// LD: whole layers.
    LayerDropping,
    /// FR: FFN neurons of every layer.
    FfnReduction,
    /// CR: layers and FFN neurons.
    Compound,
    /// HD: attention heads of every layer.
    Heads,
}

/// How a prompt is trained. Written `pt`, `ld-1/4`, `fpt-cr` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub enum Method {
    /// `pt`: prompt tuning on the full model.
    Pt,
    /// `ld-1/4`: prompt tuning on a partial model alone, with that share of the layers, neurons or
    /// heads (Table 1).
    Partial(Reduction, Share),
    /// `fpt-ld`: fast prompt tuning, that is partial stages of growing size, then the full model
    /// (Table 2).
    Fpt(Reduction),
}

/// A name that is no [`Method`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "unknown method `{name}`; expected pt, fpt-ld, fpt-fr, fpt-cr or fpt-hd, or a partial model \
     alone: ld-S, fr-S, cr-S or hd-S, where the share S is a fraction such as 1/4 or a decimal \
     such as 0.25, more than 0 and at most 1.0"
)]
pub struct UnknownMethod {
    /// The name as given.
    pub name: String,
}

impl Reduction {
    /// All reductions, in the order of the paper's tables.
    pub const ALL: [Self; 4] = [
        Self::LayerDropping,
        Self::FfnReduction,
        Self::Compound,
        Self::Heads,
    ];

    /// `ld`, `fr`, `cr` or `hd`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LayerDropping => "ld",
            Self::FfnReduction => "fr",
            Self::Compound => "cr",
            Self::Heads => "hd",
        }
    }

    /// Whether a partial model has fewer layers.
    pub(crate) const fn reduces_layers(self) -> bool {
        matches!(self, Self::LayerDropping | Self::Compound)
    }

    /// Whether a partial model has fewer FFN neurons.
    pub(crate) const fn reduces_d_ff(self) -> bool {
        matches!(self, Self::FfnReduction | Self::Compound)
    }

    /// Whether a partial model has fewer heads.
    pub(crate) const fn reduces_heads(self) -> bool {
        matches!(self, Self::Heads)
    }

    pub(crate) const fn reduces(self, dimension: Dimension) -> bool {
        match dimension {
            Dimension::Layers => self.reduces_layers(),
            Dimension::DFf => self.reduces_d_ff(),
            Dimension::Heads => self.reduces_heads(),
        }
    }
}

impl Method {
    /// The name in a form that every file system takes: `ld-1of4` for `ld-1/4`.
    pub fn slug(self) -> String {
        self.to_string().replace('/', "of")
    }

    /// The name as in the paper's tables: `PT`, `LD 1/4`, `FPT-CR`.
    pub fn label(self) -> String {
        match self {
            Self::Partial(reduction, share) => {
                format!("{} {share}", reduction.name().to_uppercase())
            }
            Self::Pt | Self::Fpt(_) => self.to_string().to_uppercase(),
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pt => f.pad("pt"),
            Self::Partial(reduction, share) => f.pad(&format!("{reduction}-{share}")),
            Self::Fpt(reduction) => f.pad(&format!("fpt-{reduction}")),
        }
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        let reduction = |text| Reduction::ALL.into_iter().find(|r| r.name() == text);
        let method = match name.split_once('-') {
            None => (name == "pt").then_some(Self::Pt),
            Some(("fpt", rest)) => reduction(rest).map(Self::Fpt),
            Some((first, share)) => reduction(first)
                .zip(share.parse().ok())
                .map(|(reduction, share)| Self::Partial(reduction, share)),
        };
        method.ok_or_else(|| UnknownMethod {
            name: name.to_owned(),
        })
    }
}

impl TryFrom<String> for Method {
    type Error = UnknownMethod;

    fn try_from(name: String) -> Result<Self, UnknownMethod> {
        name.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}
