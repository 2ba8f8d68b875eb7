//! The page and its sections.

use std::collections::HashSet;

use super::markup::{escape, escape_lines, inline, paragraphs};
use super::{Cell, Curves, HeatMap, Panels, Scatter, TableView};
use crate::ReportError;

const STYLE: &str = concat!(include_str!("drawing.css"), include_str!("style.css"));

/// A report as one HTML file: without scripts or external resources, well-formed as XML, readable in light and dark
/// mode, on a phone and on paper.
///
/// In running text (`lead`, `text`, `footer`, captions) backticks set code and a blank line ends a paragraph.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Heading of the page.
    pub(crate) title: String,
    /// What the page shows, in a paragraph.
    pub(crate) lead: String,
    /// The parts, listed under the lead.
    pub(crate) sections: Vec<Section>,
    /// How the page was made.
    pub(crate) footer: String,
    /// The page that this one belongs to: address and name.
    pub(crate) parent: Option<(String, String)>,
    /// What the second lines of cells are, such as "figures of the paper": they are shown where the reader asks for them.
    /// Without it they always are.
    pub(crate) notes: Option<String>,
}

/// A part of a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Section {
    /// Heading of the section.
    pub heading: String,
    /// Name that links lead to: letters, digits, `-` and `_`, unique in the page.
    pub anchor: String,
    /// What the reader is to see in the items.
    pub text: String,
    /// Tables and figures, in order.
    pub items: Vec<Item>,
}

/// Something to look at.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A table.
    Table(TableView),
    /// Lines over a common axis.
    Curves(Curves),
    /// Labelled points.
    Scatter(Scatter),
    /// Charts beside each other.
    Panels(Panels),
    /// A coloured matrix of numbers.
    HeatMap(HeatMap),
    /// Several of them in a row, where there is room.
    HeatMaps(Vec<HeatMap>),
    /// Sentences, one below the other.
    Sentences(Vec<String>),
    /// Names, and what they stand for.
    Facts(Vec<(String, Vec<Cell>)>),
    /// A table that is shown where it is asked for, by these words.
    Folded(String, TableView),
    /// A file's text as it is.
    Code(String),
}

impl Page {
    /// The page as one HTML file.
    ///
    /// # Errors
    /// If an anchor is unfit or used twice, or a table or heat map is not rectangular.
    pub fn to_html(&self) -> Result<String, ReportError> {
        self.check_anchors()?;
        let title = escape(&self.title);
        let contents: String = self
            .sections
            .iter()
            .map(|s| {
                format!(
                    "<li><a href=\"#{}\">{}</a></li>\n",
                    s.anchor,
                    inline(&s.heading)
                )
            })
            .collect();
        let contents = match self.sections.len() {
            0 | 1 => String::new(),
            _ => format!("<nav aria-label=\"Contents\">\n<ul>\n{contents}</ul>\n</nav>\n"),
        };
        let sections = self
            .sections
            .iter()
            .map(Section::to_html)
            .collect::<Result<String, ReportError>>()?;
        let parent = self
            .parent
            .as_ref()
            .map_or_else(String::new, |(href, name)| {
                let link = Cell::text(name).href(href).content();
                format!("<p class=\"parent\">{link}</p>\n")
            });
        let notes = self.notes.as_ref().map_or_else(String::new, |what| {
            let label = inline(what);
            // A sibling of `main`: the style sheet needs no more to know of it.
            format!(
                "<input type=\"checkbox\" id=\"notes\"/>\n<label for=\"notes\">{label}</label>\n"
            )
        });
        let footer = if self.footer.is_empty() {
            String::new()
        } else {
            format!("<footer>\n{}</footer>\n", paragraphs(&self.footer))
        };
        Ok(format!(
            "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n\
             <meta charset=\"utf-8\"/>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n{parent}<h1>{title}</h1>\n{lead}</header>\n{contents}{notes}<main>\n{sections}</main>\n{footer}\
             </body>\n</html>\n",
            lead = paragraphs(&self.lead),
        ))
    }

    fn check_anchors(&self) -> Result<(), ReportError> {
        let mut seen = HashSet::new();
        for Section {
            anchor, heading, ..
        } in &self.sections
        {
            let fit = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let unfit = |reason| ReportError::Anchor {
                heading: heading.clone(),
                anchor: anchor.clone(),
                reason,
            };
            if anchor.is_empty() || !anchor.chars().all(fit) {
                return Err(unfit("must be letters, digits, '-' and '_'"));
            }
            if !seen.insert(anchor) {
                return Err(unfit("is used twice"));
            }
        }
        Ok(())
    }
}

impl Section {
    fn to_html(&self) -> Result<String, ReportError> {
        let items = self
            .items
            .iter()
            .map(Item::to_html)
            .collect::<Result<String, ReportError>>()
            .map_err(|error| ReportError::Section {
                heading: self.heading.clone(),
                source: Box::new(error),
            })?;
        Ok(format!(
            "<section id=\"{}\">\n<h2>{}</h2>\n{}<div class=\"items\">\n{items}</div>\n</section>\n",
            self.anchor,
            inline(&self.heading),
            paragraphs(&self.text)
        ))
    }
}

impl Item {
    fn to_html(&self) -> Result<String, ReportError> {
        match self {
            Self::Table(table) => table.to_html(),
            Self::Curves(curves) => curves.to_html(),
            Self::Scatter(scatter) => scatter.to_html(),
            Self::Panels(panels) => panels.to_html(),
            Self::HeatMap(map) => map.to_html(),
            Self::HeatMaps(maps) => {
                let maps = maps.iter().map(HeatMap::to_html);
                let maps: String = maps.collect::<Result<_, ReportError>>()?;
                Ok(format!("<div class=\"maps\">\n{maps}</div>\n"))
            }
            Self::Sentences(sentences) => {
                let sentence = |text: &String| format!("<li>{}</li>\n", inline(text));
                let sentences: String = sentences.iter().map(sentence).collect();
                Ok(format!("<ul class=\"sentences\">\n{sentences}</ul>\n"))
            }
            Self::Facts(facts) => Ok(format!(
                "<dl>\n{}</dl>\n",
                facts.iter().map(fact).collect::<String>()
            )),
            Self::Folded(words, table) => Ok(format!(
                "<details>\n<summary>{}</summary>\n{}</details>\n",
                inline(words),
                table.to_html()?
            )),
            Self::Code(text) => Ok(format!(
                "<pre tabindex=\"0\">{}</pre>\n",
                escape_lines(text)
            )),
        }
    }
}

fn fact((name, values): &(String, Vec<Cell>)) -> String {
    let values: Vec<String> = values.iter().map(Cell::content).collect();
    format!(
        "<dt>{}</dt>\n<dd>{}</dd>\n",
        escape(name),
        values.join(", ")
    )
}
