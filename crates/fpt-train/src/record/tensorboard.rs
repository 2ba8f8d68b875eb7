//! The metrics of a run as TensorBoard reads them.
//!
//! A file is a row of records, `length (u64), masked CRC-32C of it, data, masked CRC-32C of them`, all little-endian
//! (TensorFlow's `tensorflow/core/lib/io/record_writer.h`), whose data are `tensorflow.Event` messages
//! (`tensorflow/core/util/event.proto`).

use prost::Message;

use super::MetricRecord;

/// The name of the file in a run's directory; TensorBoard looks for `tfevents` in names.
pub(crate) const NAME: &str = "events.out.tfevents.fpt";

/// What a file begins with.
const VERSION: &str = "brain.Event:2";
/// Added to checksums, so that those of data with checksums in them are good ones.
const MASK: u32 = 0xa282_ead8;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Simple", tags = "2")]
    simple: Option<Simple>,
}

/// A member of a `oneof` is written even where it is 0.
#[derive(Clone, PartialEq, prost::Oneof)]
enum Simple {
    #[prost(float, tag = "2")]
    Value(f32),
}

/// What a file begins with, at `wall_time`, seconds since 1970.
pub(crate) fn header(wall_time: f64) -> Vec<u8> {
    record(&Event {
        wall_time,
        step: 0,
        what: Some(What::FileVersion(VERSION.to_owned())),
    })
}

/// A line of `metrics.jsonl` as a record; `None` of what has no numbers. The names of numbers are those of transformers'
/// Trainer, where it has them.
pub(crate) fn event(line: &MetricRecord, wall_time: f64) -> Option<Vec<u8>> {
    let (step, values) = match line {
        MetricRecord::Stage { stage, step, .. } => {
            (*step, vec![("train/stage".to_owned(), *stage as f64)])
        }
        MetricRecord::Step {
            step,
            loss,
            gradient_norm,
            flops,
            ..
        } => {
            let named = [
                ("train/loss", *loss),
                ("train/grad_norm", *gradient_norm),
                ("train/flops", *flops),
            ];
            (
                *step,
                named.map(|(tag, value)| (tag.to_owned(), value)).into(),
            )
        }
        MetricRecord::Eval {
            step,
            dev,
            reported,
            ..
        } => {
            let dev = dev
                .values
                .iter()
                .map(|(name, value)| (format!("eval/{name}"), *value));
            let reported = reported.iter().flat_map(|scores| &scores.values);
            let reported = reported.map(|(name, value)| (format!("test/{name}"), *value));
            (*step, dev.chain(reported).collect())
        }
        MetricRecord::StageEnd { step, dev, .. } => {
            let dev = dev.values.iter();
            let named = dev.map(|(name, value)| (format!("eval_partial/{name}"), *value));
            (*step, named.collect())
        }
        MetricRecord::Undone { .. } | MetricRecord::OutOfPatience { .. } => return None,
    };
    let value = values.into_iter().map(|(tag, value)| Value {
        tag,
        simple: Some(Simple::Value(value as f32)),
    });
    Some(record(&Event {
        wall_time,
        step: i64::try_from(step).unwrap_or(i64::MAX),
        what: Some(What::Summary(Summary {
            value: value.collect(),
        })),
    }))
}

fn record(event: &Event) -> Vec<u8> {
    let data = event.encode_to_vec();
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(&length).to_le_bytes());
    let checksum = masked(&data);
    record.extend(data);
    record.extend(checksum.to_le_bytes());
    record
}

fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(MASK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fpt_schedule::{PartialSize, StackSize};
    use fpt_tasks::Scores;

    use super::*;

    /// Against what TensorBoard's own writer makes of the same, by the fixture that `make_tensorboard.py` writes.
    #[test]
    fn records_are_those_of_tensorboard() {
        let scores = |value: f64| Scores::new("accuracy", &["accuracy"], [("accuracy", value)]);
        let stack = StackSize {
            layers: 1,
            d_ff: 1,
            heads: 1,
        };
        let lines = [
            (
                2.0,
                MetricRecord::Stage {
                    stage: 0,
                    step: 0,
                    size: PartialSize {
                        encoder: stack,
                        decoder: stack,
                    },
                },
            ),
            (
                2.5,
                MetricRecord::Step {
                    step: 1,
                    loss: 2.25,
                    gradient_norm: 0.5,
                    seconds: 1.0,
                    flops: 3e9,
                    tokens: 700,
                },
            ),
            (
                3.0,
                MetricRecord::Eval {
                    step: 1,
                    examples: 8,
                    dev: scores(50.0),
                    best: true,
                    flops: 3e9,
                    reported: Some(scores(40.0)),
                },
            ),
            (3.5, MetricRecord::OutOfPatience { step: 2, of: 3 }),
            (
                4.0,
                MetricRecord::StageEnd {
                    stage: 0,
                    step: 300,
                    dev: scores(0.0),
                },
            ),
        ];
        let mut file = header(1.5);
        file.extend(
            lines
                .iter()
                .filter_map(|(time, line)| event(line, *time))
                .flatten(),
        );
        assert_eq!(file, include_bytes!("tensorboard.tfevents"));
    }
}
