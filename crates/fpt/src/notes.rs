//! What happens during a run and should be read.

use fpt_train::{Event, MetricRecord};

/// So many examples of a batch are named.
const NAMED: usize = 4;

/// What people should know of an event, a line each; most say nothing.
pub fn notes(event: &Event) -> Vec<String> {
    match event {
        Event::SetAside { path } => vec![format!(
            "what a run before this one left unfinished is in {} now",
            path.display()
        )],
        Event::Resumed { step, path } => vec![format!(
            "goes on after step {step} with what is in {}",
            path.display()
        )],
        Event::Waiting { message } => vec![message.clone()],
        Event::Warning { message } => vec![format!("warning: {message}")],
        Event::Loaded { warnings, .. } => {
            let warning = |warning| format!("warning: {warning}");
            warnings.iter().map(warning).collect()
        }
        Event::Metric(MetricRecord::Undone {
            step,
            what,
            value,
            examples,
            back_to,
        }) => {
            let mut named = examples[..examples.len().min(NAMED)].join(", ");
            if examples.len() > NAMED {
                named += &format!(" and {} more", examples.len() - NAMED);
            }
            vec![format!(
                "warning: the {what} is {value} at step {step}, on the examples {named}: goes on after step {back_to} \
                 with other batches"
            )]
        }
        Event::Metric(MetricRecord::OutOfPatience { step, of }) => vec![format!(
            "ends after {step} of {of} steps: the last evaluations brought no better score (train.patience)"
        )],
        _ => Vec::new(),
    }
}
