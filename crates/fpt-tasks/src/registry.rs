//! The tasks that a program knows, as a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::{Mnli, Qqp, Record, Squad2, Task, TaskName, UnknownName, Xsum};

/// Tasks by their names, in the order of [`TaskName`].
#[derive(Debug, Clone, Default)]
pub struct Tasks(BTreeMap<TaskName, Arc<dyn Task>>);

/// Two tasks of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is a task `{name}` already; give yours another name")]
pub struct TakenName {
    /// The name.
    pub name: TaskName,
}

impl Tasks {
    /// The paper's five.
    pub fn paper() -> Self {
        let tasks: [Arc<dyn Task>; 5] = [
            Arc::new(Mnli),
            Arc::new(Qqp),
            Arc::new(Squad2),
            Arc::new(Record),
            Arc::new(Xsum),
        ];
        Self(tasks.map(|task| (task.name(), task)).into())
    }

    /// Adds a task.
    ///
    /// # Errors
    /// When another one has its name; nothing is changed then.
    pub fn add(&mut self, task: Arc<dyn Task>) -> Result<(), TakenName> {
        let name = task.name();
        if self.0.contains_key(&name) {
            return Err(TakenName { name });
        }
        self.0.insert(name, task);
        Ok(())
    }

    /// The task of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those that there are.
    pub fn get(&self, name: &TaskName) -> Result<Arc<dyn Task>, UnknownName> {
        let found = self.0.get(name).map(Arc::clone);
        found.ok_or_else(|| {
            let names = self.names().map(TaskName::as_str);
            UnknownName::new("task", name.as_str(), names)
        })
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &TaskName> {
        self.0.keys()
    }

    /// The tasks.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Task> {
        self.0.values().map(|task| &**task)
    }
}
