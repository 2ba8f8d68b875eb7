//! The templates of a declaration.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::read::{Record, Wanted};

/// In a template the whole row, for columns whose names are no words.
const ROW: &str = "row";
/// The column of the examples' ids, if there is one.
pub(super) const ID: &str = "id";

const SOURCE: &str = "source";
const TARGET: &str = "target";

/// The two templates, and the columns that they name.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
    source: BTreeSet<String>,
    target: BTreeSet<String>,
    /// Whether they name the whole row.
    uses_row: bool,
}

impl Templates {
    /// Those of a declaration, or which of its keys is no template, and why.
    pub(super) fn new(source: &str, target: &str) -> Result<Self, (&'static str, String)> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let mut uses_row = false;
        let mut columns = |key: &'static str, text: &str| {
            let failed = |error: Error| (key, describe(&error));
            environment
                .add_template_owned(key, text.to_owned())
                .map_err(failed)?;
            let template = environment.get_template(key).map_err(failed)?;
            let mut names: BTreeSet<String> =
                template.undeclared_variables(false).into_iter().collect();
            uses_row |= names.remove(ROW);
            let globals: Vec<_> = environment.globals().map(|(name, _)| name).collect();
            names.retain(|name| !globals.contains(&name.as_str()));
            // Filters and tests are looked up when they are used.
            let blank: BTreeMap<&str, &str> =
                names.iter().map(|name| (name.as_str(), "")).collect();
            match template.render(blank) {
                Err(error) if is_unknown(&error) => Err(failed(error)),
                _ => Ok(names),
            }
        };
        let (source_columns, target_columns) = (columns(SOURCE, source)?, columns(TARGET, target)?);
        if source_columns.is_empty() && !uses_row {
            return Err((
                SOURCE,
                "names no column; a column is written {{ text }}".to_owned(),
            ));
        }
        Ok(Self {
            source: source_columns,
            target: target_columns,
            uses_row,
            environment,
        })
    }

    /// The columns of the source.
    pub(super) fn source_columns(&self) -> impl Iterator<Item = &str> {
        self.source.iter().map(String::as_str)
    }

    /// The columns of the target.
    pub(super) fn target_columns(&self) -> impl Iterator<Item = &str> {
        self.target.iter().map(String::as_str)
    }

    /// The columns to read.
    pub(super) fn wanted(&self) -> Wanted {
        let optional = self.target.iter().map(String::as_str).chain([ID]);
        Wanted {
            required: self.source.clone(),
            optional: optional.map(str::to_owned).collect(),
            all: self.uses_row,
        }
    }

    /// Source and target of a row, or why there is none. The target is trimmed; it is `None` where it is blank, or has nothing
    /// in one of its columns, and so is hidden.
    pub(super) fn texts(&self, record: &Record) -> Result<(String, Option<String>), String> {
        let context = self.context(record);
        let source = self.render(SOURCE, &context, record)?;
        let is_there = |column: &String| {
            let cell = record.cells.get(column);
            cell.is_some_and(|cell| !is_blank(cell))
        };
        if !self.target.iter().all(is_there) {
            return Ok((source, None));
        }
        let target = self.render(TARGET, &context, record)?;
        let target = target.trim();
        Ok((source, (!target.is_empty()).then(|| target.to_owned())))
    }

    /// What the names in a template stand for.
    fn context(&self, record: &Record) -> Value {
        // What is not there is nothing, not the word `none`.
        let cells = record.cells.iter().map(|(name, cell)| {
            let nothing = || Value::from("");
            let cell = if cell.is_none() {
                nothing()
            } else {
                cell.clone()
            };
            (name.as_str(), cell)
        });
        let mut context: BTreeMap<&str, Value> = cells.collect();
        if self.uses_row && !context.contains_key(ROW) {
            let row: Value = context
                .iter()
                .map(|(&name, cell)| (name, cell.clone()))
                .collect();
            context.insert(ROW, row);
        }
        Value::from_iter(context)
    }

    fn render(&self, key: &str, context: &Value, record: &Record) -> Result<String, String> {
        let template = self.environment.get_template(key);
        let rendered = template.and_then(|template| template.render(context));
        rendered.map_err(|error| {
            let columns: Vec<_> = record.cells.keys().map(String::as_str).collect();
            match error.kind() {
                ErrorKind::UndefinedError => format!(
                    "`{key}` names something that the row has not; it has {}",
                    columns.join(", ")
                ),
                _ => format!("`{key}`: {}", describe(&error)),
            }
        })
    }
}

/// Whether a template uses something that minijinja has not.
fn is_unknown(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownMethod
    )
}

/// Whether a cell has nothing in it.
pub(super) fn is_blank(cell: &Value) -> bool {
    cell.is_none() || cell.as_str().is_some_and(|text| text.trim().is_empty())
}

/// What minijinja says, without the name that the template has here.
fn describe(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}
