//! The tasks of an experiment.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use fpt_tasks::{Declaration, TaskName};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::merge::join;

/// The tasks of an experiment: a list of names, `tasks = ["mnli", "qqp"]`, or a table of declarations, `[tasks.reviews]`,
/// in which a task of the paper is an empty one, `[tasks.mnli]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskList {
    names: Vec<TaskName>,
    declared: BTreeMap<TaskName, Declaration>,
}

impl TaskList {
    /// Tasks that are programmed.
    pub fn new(names: impl IntoIterator<Item = TaskName>) -> Self {
        Self {
            names: names.into_iter().collect(),
            declared: BTreeMap::new(),
        }
    }

    /// The names, in the order of the file; of a table, in their own.
    pub fn names(&self) -> &[TaskName] {
        &self.names
    }

    /// The declarations that are there.
    pub fn declared(&self) -> &BTreeMap<TaskName, Declaration> {
        &self.declared
    }

    /// Let the paths of files be relative to `base`.
    pub(super) fn join(&mut self, base: &Path) {
        for declaration in self.declared.values_mut() {
            for path in declaration.files.iter_mut() {
                *path = join(base, path);
            }
        }
    }
}

impl Serialize for TaskList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.declared.is_empty() {
            return self.names.serialize(serializer);
        }
        let mut table = serializer.serialize_map(Some(self.names.len()))?;
        for name in &self.names {
            match self.declared.get(name) {
                Some(declaration) => table.serialize_entry(name.as_str(), declaration)?,
                None => table.serialize_entry(name.as_str(), &BTreeMap::<&str, &str>::new())?,
            }
        }
        table.end()
    }
}

impl<'de> Deserialize<'de> for TaskList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TaskListVisitor)
    }
}

struct TaskListVisitor;

/// What stands under the name of a task that is known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<'de> Visitor<'de> for TaskListVisitor {
    type Value = TaskList;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of tasks, [\"mnli\", …], or their declarations, [tasks.NAME]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<TaskList, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(TaskList::new)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TaskList, A::Error> {
        let mut tasks = TaskList::default();
        while let Some(name) = map.next_key::<TaskName>()? {
            if TaskName::PAPER.contains(&name) {
                let Nothing {} = map.next_value()?;
            } else {
                tasks.declared.insert(name.clone(), map.next_value()?);
            }
            tasks.names.push(name);
        }
        tasks.names.sort();
        Ok(tasks)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for TaskList {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TaskList".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names = generator.subschema_for::<Vec<TaskName>>();
        let declaration = generator.subschema_for::<Declaration>();
        let nothing = schemars::json_schema!({ "type": "object", "maxProperties": 0 });
        schemars::json_schema!({
            "description": "Names of the paper's tasks, or a table of declarations.",
            "oneOf": [names, {
                "type": "object",
                "additionalProperties": { "anyOf": [declaration, nothing] }
            }]
        })
    }
}
