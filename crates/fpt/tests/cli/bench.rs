//! `fpt bench` on tiny shapes: what it says adds up. No time is asserted.

use serde_json::Value;

use crate::lab::{Lab, status, stderr, stdout};

fn bench(lab: &Lab, arguments: &[&str]) -> Value {
    let output = lab.fpt(&[&["bench"], arguments, &["--json"]].concat(), "");
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn number(value: &Value) -> f64 {
    let number = value.as_f64().unwrap_or(f64::NAN);
    assert!(number.is_finite() && number > 0.0, "{value}");
    number
}

const STEP: [&str; 11] = [
    "step",
    "--model-shape",
    "model",
    "--batch",
    "2",
    "--source",
    "8",
    "--target",
    "4",
    "--steps",
    "2",
];

#[test]
fn steps_and_stages_add_up() {
    let lab = Lab::new();
    let more = ["--warmup", "1", "--stages", "--peak-tflops", "1"];
    let report = bench(&lab, &[&STEP[..], &more].concat());
    // The scale model's parameters, and 2 FLOPs a multiply-accumulate.
    assert_eq!(number(&report["parameters"]), 1_009_792.0);
    let full = &report["full"];
    let (flops, ms) = (number(&full["flops"]), number(&full["ms"]["median"]));
    let speed = number(&full["flops_per_second"]);
    assert!((speed - flops / ms * 1e3).abs() < 1e-6 * speed);
    assert!((number(&full["of_peak"]) - speed / 1e12).abs() < 1e-9);
    assert!(number(&full["ms"]["least"]) <= ms && ms <= number(&full["ms"]["most"]));
    number(&full["loss"]);
    assert!(number(&report["predicted_bytes"]) > 4.0 * 1_009_792.0);
    if cfg!(target_os = "linux") {
        number(&report["memory"]["process_peak"]);
    }

    let partial = report["stages"]["partial"].as_array().unwrap();
    let names: Vec<&str> = partial
        .iter()
        .map(|row| row["method"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 9);
    assert_eq!((names[0], names[8]), ("ld-1/4", "cr-3/4"));
    for three in partial.chunks(3) {
        let shares: Vec<f64> = three
            .iter()
            .map(|row| number(&row["flops_percent"]))
            .collect();
        assert!(
            shares.is_sorted_by(|a, b| a < b) && shares[2] < 100.0,
            "{shares:?}"
        );
    }
    for row in partial {
        let share = 100.0 * number(&row["step"]["ms"]["median"]) / ms;
        assert!((number(&row["wall_percent"]) - share).abs() < 1e-6 * share);
        number(&row["expansion_ms"]);
        number(&row["step"]["loss"]);
    }
    // Three fifths of the steps are on partial models, and a share of the FLOPs is saved there.
    let methods = report["stages"]["methods"].as_array().unwrap();
    let of = |place: usize, size: usize| number(&partial[3 * place + size]["wall_percent"]);
    for (place, row) in methods.iter().enumerate() {
        let wall = 0.2 * (of(place, 0) + of(place, 1) + of(place, 2)) + 40.0;
        let told = number(&row["wall_percent"]);
        assert!((told - wall).abs() < 1e-6 * wall, "{told} is not {wall}");
        assert!(number(&row["flops_percent"]) < 100.0);
    }
    assert_eq!(methods[2]["method"], "fpt-cr");
}

#[test]
fn weights_in_bf16_are_nearly_those_in_f32() {
    let lab = Lab::new();
    let loss = |precision: &str| {
        let report = bench(&lab, &[&STEP[..], &["--precision", precision]].concat());
        assert_eq!(report["precision"], precision);
        number(&report["full"]["loss"])
    };
    let (f32, bf16) = (loss("f32"), loss("bf16"));
    assert!(
        f32 != bf16 && (f32 - bf16).abs() < 0.05 * f32,
        "{f32} and {bf16}"
    );
}

#[test]
fn products_are_timed() {
    let lab = Lab::new();
    for precision in ["f32", "bf16"] {
        let arguments = ["products", "--precision", precision, "--repeats", "2"];
        let report = bench(
            &lab,
            &[&arguments[..], &["--sizes", "64x64x64,3x5x7"]].concat(),
        );
        let products = report["products"].as_array().unwrap();
        assert_eq!(products[1]["size"], "3x5x7");
        for row in products {
            let flops: f64 = (row["size"].as_str().unwrap().split('x'))
                .map(|size| size.parse::<f64>().unwrap())
                .product();
            let speed = number(&row["gflops_per_second"]);
            let ms = number(&row["ms"]["median"]);
            assert!((speed - 2.0 * flops / ms / 1e6).abs() < 1e-6 * speed);
        }
    }
}

#[test]
fn what_cannot_be_timed() {
    let lab = Lab::new();
    let cases: [(&[&str], &[&str]); 3] = [
        (
            &["products", "--sizes", "8x8"],
            &["--sizes", "17024x1024x2816"],
        ),
        (
            &["step", "--model-shape", "t5-huge"],
            &["--model-shape t5-huge", "t5-xl"],
        ),
        (
            &["step", "--model-shape", "mini", "--batch", "0"],
            &["--batch"],
        ),
    ];
    for (arguments, parts) in cases {
        let output = lab.fpt(&[&["bench"], arguments].concat(), "");
        let message = stderr(&output);
        assert_eq!(output.status.code(), status(&message), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }
}
