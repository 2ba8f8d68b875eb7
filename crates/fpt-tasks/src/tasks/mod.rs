//! The paper's five tasks.

mod mnli;
mod qqp;
mod record;
mod squad2;
mod xsum;

pub use mnli::Mnli;
pub use qqp::Qqp;
pub use record::Record;
pub use squad2::Squad2;
pub use xsum::Xsum;

/// Where the files of GLUE and SuperGLUE are.
const GLUE: &str = "https://dl.fbaipublicfiles.com/glue";
