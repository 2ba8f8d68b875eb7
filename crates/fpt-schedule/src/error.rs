//! What is wrong with a schedule.

use thiserror::Error;

/// What is wrong with a schedule. Messages name the key, the value and the way out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// There is nothing to do.
    #[error("`{key}` is empty; {way_out}")]
    Empty {
        /// The key.
        key: String,
        /// What to do.
        way_out: &'static str,
    },
    /// There are no steps to divide.
    #[error("a run of 0 steps has no schedule; set the number of steps to at least 1")]
    NoSteps,
    /// A stage has no steps.
    #[error("`{key}` = 0: a stage needs at least 1 step; set more, or leave the stage out")]
    ZeroSteps {
        /// The key.
        key: String,
    },
    /// The stages leave no step for what comes after them.
    #[error(
        "`{key}` take {taken} of {steps} steps, which leaves none for {rest}; make them fewer, or \
         the run longer"
    )]
    NoStepsLeft {
        /// The key.
        key: String,
        /// Steps of the stages with a number of their own.
        taken: usize,
        /// All steps.
        steps: usize,
        /// What would have had the rest.
        rest: String,
    },
    /// The steps of the stages are not those of the run.
    #[error(
        "`schedule.stages` have {taken} steps, but the run has {steps}; leave `steps` out of one \
         stage, which then takes the rest"
    )]
    StepsMismatch {
        /// Steps of all stages.
        taken: usize,
        /// All steps.
        steps: usize,
    },
    /// More than one stage would take the rest of the steps.
    #[error(
        "`{first}` and `{second}` are both left out; only one stage can take the rest of the steps"
    )]
    TwoRests {
        /// The first missing key.
        first: String,
        /// The second.
        second: String,
    },
    /// Nothing would be left of a stack.
    #[error(
        "`{key}` = 0 leaves nothing of the {stack}; set at least 1, or leave it out to keep all"
    )]
    ZeroSize {
        /// The key.
        key: String,
        /// `encoder` or `decoder`.
        stack: &'static str,
    },
    /// A partial model can't have more than the full one.
    #[error(
        "`{key}` = {value} is more than the {full} of the full model's {stack}; set at most \
         {full}, or a share such as \"3/4\""
    )]
    TooLarge {
        /// The key.
        key: String,
        /// The value.
        value: usize,
        /// What the full model has.
        full: usize,
        /// `encoder` or `decoder`.
        stack: &'static str,
    },
    /// No source fits.
    #[error("`{key}` = 0 leaves no token; set at least 1, or leave it out for no limit")]
    ZeroSource {
        /// The key.
        key: String,
    },
    /// The last stage is not the full model.
    #[error(
        "`schedule.stages[{stage}]`, the last stage, is not the full model: `{dimension}` is \
         {value} of {full}; end with the full model, or allow it with `schedule.end = \"partial\"`"
    )]
    EndsPartial {
        /// The index of the stage.
        stage: usize,
        /// Such as `encoder.layers`.
        dimension: String,
        /// The value.
        value: usize,
        /// What the full model has.
        full: usize,
    },
    /// The sizes don't match the stages.
    #[error(
        "`{key}` has {values} values, but `schedule.partial_steps` has {stages}; each partial \
         stage needs one of both"
    )]
    Lengths {
        /// The key.
        key: String,
        /// How many values it has.
        values: usize,
        /// How many partial stages there are.
        stages: usize,
    },
    /// Two ways to say what the stages are.
    #[error(
        "`schedule.method` = \"{method}\" and `schedule.stages` exclude each other; remove one"
    )]
    MethodAndStages {
        /// The method.
        method: String,
    },
}
