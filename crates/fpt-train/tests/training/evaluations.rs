//! Evaluations look at a training, and do not touch it.

use std::cell::Cell;
use std::fs;

use burn::tensor::Device;
use fpt_lab::Lab;
use fpt_tasks::{TaskName, Tasks};
use fpt_train::{
    Begun, Conduct, Event, Experiment, Host, MetricRecord, TrainError, model_directory, train,
};
use safetensors::SafeTensors;

const STEPS: usize = 9;

/// What trains the prompt, bit by bit.
#[derive(Debug, PartialEq)]
struct Training {
    /// Loss, gradient norm and FLOPs of each step.
    steps: Vec<[u64; 3]>,
    /// The prompt after the last one, as a checkpoint has it.
    prompt: Vec<u8>,
}

/// Train, and stop when only the last evaluation is left to do: the checkpoint of that has all that was trained. Returns
/// how many evaluations there were, too.
fn run(lab: &Lab, settings: &[&str]) -> (Training, usize) {
    thread_local! {
        static IS_DONE: Cell<bool> = const { Cell::new(false) };
    }
    let experiment = Experiment::from_file(lab.path("lab.toml")).unwrap();
    let mut overrides = vec![format!("train.steps={STEPS}")];
    overrides.extend(settings.iter().map(|s| (*s).to_string()));
    let config = experiment.run(&TaskName::MNLI, 0, &overrides).unwrap();
    let host = Host {
        revision: "none".into(),
        device: "cpu".into(),
        processor: || None,
        cpu_seconds: || None,
        peak_memory: || None,
        tasks: Tasks::paper(),
        find_model: model_directory,
        conduct: Conduct {
            begun: Begun::SetAside,
            every_steps: None,
            every: None,
            stop: || IS_DONE.get(),
        },
    };
    IS_DONE.set(false);
    let (mut steps, mut evaluations) = (Vec::new(), 0);
    let mut listener = |event: &Event| match event {
        Event::Metric(MetricRecord::Step {
            step,
            loss,
            gradient_norm,
            flops,
            ..
        }) => {
            steps.push([loss, gradient_norm, flops].map(|number| number.to_bits()));
            IS_DONE.set(*step == STEPS);
        }
        Event::Metric(MetricRecord::Eval { .. }) => evaluations += 1,
        _ => {}
    };
    let (out, cache) = (lab.path("run"), lab.path("cache"));
    let devices = [Device::flex()];
    let stopped = train(&config, &out, &cache, &host, &devices, &mut listener);
    assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");

    let name = format!("run.partial/checkpoints/step-{STEPS:010}.fpt");
    let bytes = fs::read(lab.path(&name)).unwrap();
    let content = fpt_files::unseal("fpt-checkpoint", &bytes).unwrap().content;
    let tensors = SafeTensors::deserialize(content).unwrap();
    let prompt = tensors.tensor("prompt").unwrap().data().to_vec();
    let training = Training { steps, prompt };
    (training, evaluations)
}

#[test]
fn an_evaluation_more_changes_no_bit_of_the_training() {
    let schedules: [&[&str]; 2] = [
        &[],
        &[
            "schedule.method=fpt-cr",
            "schedule.partial_steps=[3, 2, 1]",
            "train.accumulate=2",
        ],
    ];
    for schedule in schedules {
        let lab = Lab::new();
        let (rare, evaluations) = run(&lab, &[schedule, &["eval.every=1000"]].concat());
        assert_eq!((rare.steps.len(), evaluations), (STEPS, 0));
        for (settings, expected) in [
            (&["eval.every=1"][..], STEPS - 1),
            (&["eval.every=4", "eval.dev_examples=3"], 2),
            (
                &["eval.every=2", "eval.batch_size=1", "eval.reference=true"],
                4,
            ),
            (&["eval.every=3", "eval.model=stage"], 2),
        ] {
            let (training, evaluations) = run(&lab, &[schedule, settings].concat());
            assert_eq!(evaluations, expected, "{settings:?}");
            assert!(training == rare, "{settings:?} of {schedule:?}");
        }
        // It would show if it did.
        let (other, _) = run(
            &lab,
            &[schedule, &["train.learning_rate=0.0500001"]].concat(),
        );
        assert_ne!(other.prompt, rare.prompt);
    }
}
