//! Several charts beside each other, with one legend.

use super::Curves;
use super::curves::extent;
use super::marks::{Key, legend};
use super::markup::{figure, inline};
use crate::ReportError;

/// Small charts, such as small multiples: of the same quantities, one for each task or the like.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    /// What the charts show.
    pub caption: String,
    /// The charts, each with its own caption.
    pub panels: Vec<Curves>,
    /// Whether all have the same axes.
    pub shared: bool,
}

impl Panels {
    pub(super) fn to_html(&self) -> Result<String, ReportError> {
        let lines: Vec<_> = self.panels.iter().map(Curves::lines).collect();
        let Some(of_all) = extent(lines.iter().map(Vec::as_slice)) else {
            let empty = "<p class=\"empty\">no data</p>\n";
            return Ok(figure("plot", &self.caption, empty));
        };
        let mut keys = Vec::new();
        for (panel, lines) in self.panels.iter().zip(&lines) {
            for key in panel.keys(lines) {
                if !keys.iter().any(|(_, label)| *label == key.1) {
                    keys.push(key);
                }
            }
        }
        keys.sort_by_key(|(key, _)| matches!(key, Key::Boundary));
        let panels = self.panels.iter().zip(&lines).map(|(panel, lines)| {
            let own = extent([&lines[..]]).filter(|_| !self.shared);
            let chart = panel.panel(own.as_ref().unwrap_or(&of_all))?;
            let name = inline(&panel.caption);
            Ok(format!(
                "<div>\n<p class=\"name\">{name}</p>\n{chart}</div>\n"
            ))
        });
        let panels: String = panels.collect::<Result<_, ReportError>>()?;
        let contents = format!("{}<div class=\"panels\">\n{panels}</div>\n", legend(keys)?);
        Ok(figure("multiples", &self.caption, &contents))
    }
}
