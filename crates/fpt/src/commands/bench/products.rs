//! `fpt bench products`.

use std::str::FromStr;
use std::time::Duration;

use burn::tensor::{Device, Distribution, FloatDType, Tensor};
use clap::Args as ClapArgs;
use fpt::bytes::Bytes;
use fpt::{DeviceName, Devices, terminal};
use fpt_report::MarkdownTable;
use fpt_train::MOST_STEPS;
use serde::Serialize;

use super::{Times, timed};
use crate::commands::synthetic::PrecisionName;
use crate::commands::{numbers, print_json, print_table};

/// What is waited for should take so long, so that neither starting it nor waiting counts for much.
const AT_LEAST: Duration = Duration::from_millis(20);
/// Products that one wait is for, at most.
const MOST: usize = 1000;
/// Of rows and columns: no sum of products of two of them is too large for its integer.
const MOST_WIDE: usize = 1 << 28;
/// Bytes of a number.
const F32: u64 = 4;

/// Time matrix products, with weights laid out as those of a model are.
///
/// In f32, products of matrices may take the tensor cores (TF32) where the device has them and the program was built
/// with autotune: those of a T5 do not.
///
/// Example: fpt bench products --precision f32 --sizes 512x512x512
#[derive(ClapArgs)]
pub(crate) struct Args {
    #[arg(long, default_value = "cpu", help = DeviceName::HELP)]
    device: DeviceName,

    /// The numbers that are multiplied.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionName,

    /// Rows, common width and columns of each product, divided by commas.
    #[arg(
        long,
        value_name = "MxKxN",
        value_delimiter = ',',
        default_value = "17024x1024x2816,1024x1024x1024"
    )]
    sizes: Vec<Size>,

    /// How often each is timed.
    #[arg(long, default_value_t = 9, value_parser = numbers::count_or_none::<MOST_STEPS>)]
    repeats: usize,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `M` by `K` times `K` by `N`.
#[derive(Clone, Copy)]
struct Size {
    rows: usize,
    width: usize,
    columns: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Vec<Option<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
        match sizes[..] {
            [Some(rows), Some(width), Some(columns)]
                if [rows, width, columns]
                    .iter()
                    .all(|size| (1..=MOST_WIDE).contains(size)) =>
            {
                Ok(Self {
                    rows,
                    width,
                    columns,
                })
            }
            _ => Err(format!(
                "{text:?} is no size: write 17024x1024x2816, three numbers from 1 to {MOST_WIDE}"
            )),
        }
    }
}

impl Size {
    /// Whether the device has the memory for both factors and the product, each in f32 for a while.
    fn check(self, devices: &Devices) -> anyhow::Result<()> {
        let Self {
            rows,
            width,
            columns,
        } = self;
        let numbers = rows * width + width * columns + rows * columns;
        let bytes = F32 * numbers as u64;
        if let Some(memory) = devices.free_memory(0) {
            anyhow::ensure!(
                bytes <= memory,
                "--sizes {rows}x{width}x{columns} needs {} of memory, but {} are free: choose a smaller one",
                Bytes(bytes),
                Bytes(memory)
            );
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Report {
    device: String,
    precision: &'static str,
    products: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    size: String,
    ms: Times,
    gflops_per_second: f64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let devices = args.device.open_one()?;
    let device = devices.primary();
    let bar = terminal::bar(args.sizes.len() * args.repeats, "products");
    let mut products = Vec::new();
    for &size in &args.sizes {
        size.check(&devices)?;
        let ms = time(size, args, device, &mut || bar.inc(1))?;
        let flops = 2.0 * size.rows as f64 * size.width as f64 * size.columns as f64;
        products.push(Row {
            size: format!("{}x{}x{}", size.rows, size.width, size.columns),
            gflops_per_second: flops / ms.median / 1e6,
            ms,
        });
    }
    bar.finish_and_clear();
    let report = Report {
        device: devices.name(),
        precision: args.precision.name(),
        products,
    };
    if args.json {
        return print_json(&report);
    }
    print_table(table(&report))
}

fn time(
    size: Size,
    args: &Args,
    device: &Device,
    on_repeat: &mut dyn FnMut(),
) -> anyhow::Result<Times> {
    let random = |shape: [usize; 2]| {
        let numbers = Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device);
        match args.precision.dtype() {
            FloatDType::F32 => numbers,
            dtype => numbers.cast(dtype),
        }
    };
    let a = random([size.rows, size.width]);
    let b = random([size.columns, size.width]).transpose();
    let multiply = |times: usize| {
        for _ in 0..times {
            drop(a.clone().matmul(b.clone()));
        }
    };
    // The first product may choose its kernel.
    timed(device, || multiply(1))?;
    let (_, one) = timed(device, || multiply(1))?;
    let count = AT_LEAST.as_secs_f64() / one.as_secs_f64().max(1e-9);
    let count = (count.ceil() as usize).clamp(1, MOST);
    let mut times = Vec::new();
    for _ in 0..args.repeats.max(1) {
        let (_, time) = timed(device, || multiply(count))?;
        times.push(time.div_f64(count as f64));
        on_repeat();
    }
    Ok(Times::new(times))
}

fn table(report: &Report) -> MarkdownTable {
    let heading = format!("{} on {}", report.precision, report.device);
    let mut table = MarkdownTable::new([&*heading, "ms", "GFLOP/s"]);
    for row in &report.products {
        table.add_row([
            row.size.clone(),
            format!("{:.3}", row.ms.median),
            format!("{:.0}", row.gflops_per_second),
        ]);
    }
    table.with_numbers_in(1..3)
}
