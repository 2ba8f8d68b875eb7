//! Lines over a common axis.

use std::ops::Range;

use super::chart::{Axes, Plot, drawable, range};
use super::marks::{Key, Look, Mark, legend};
use super::markup::figure;
use super::picture::picture;
use crate::ReportError;

/// Lines over a common axis, such as scores over training. The horizontal axis begins at 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curves {
    /// What the curves show.
    pub caption: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// The lines.
    pub series: Vec<Series>,
}

/// One line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series {
    /// Name in the legend.
    pub label: String,
    /// How it looks.
    pub look: Look,
    /// Points in the order in which the line connects them; those that are not finite are skipped.
    pub points: Vec<(f64, f64)>,
    /// Half lengths of vertical error bars, one for each point, or none at all. They are drawn where markers are.
    pub errors: Vec<f64>,
    /// Where on the horizontal axis a stage ends; marked on the line, or at the height of its end where that is nearer. The
    /// points must then be in ascending order.
    pub boundaries: Vec<f64>,
}

/// Markers on a line, so that it is known without its colour.
const MARKERS: usize = 7;

/// The ends of both axes.
pub(super) type Extent = (Range<f64>, Range<f64>);

impl Curves {
    pub(super) fn to_html(&self) -> Result<String, ReportError> {
        let lines = self.lines();
        let Some(extent) = extent([&lines[..]]) else {
            return Ok(figure(
                "plot",
                &self.caption,
                "<p class=\"empty\">no data</p>\n",
            ));
        };
        let axes = self.axes(&extent);
        let chart = axes.draw(&self.description(), |plot| draw(&lines, plot))?;
        let legend = legend(self.keys(&lines))?;
        Ok(figure("plot", &self.caption, &(legend + &chart)))
    }

    /// The picture as a file of its own, with its legend; `None` without data.
    pub(crate) fn to_svg(&self) -> Result<Option<String>, ReportError> {
        let lines = self.lines();
        let Some(extent) = extent([&lines[..]]) else {
            return Ok(None);
        };
        picture(&self.description(), self.keys(&lines), |top| {
            let axes = self.axes(&extent);
            axes.draw_wide(top, |plot| draw(&lines, plot))
        })
        .map(Some)
    }

    /// The chart alone, with the axes of those beside it.
    pub(super) fn panel(&self, extent: &Extent) -> Result<String, ReportError> {
        let lines = self.lines();
        self.axes(extent)
            .draw_panel(&self.description(), |plot| draw(&lines, plot))
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        self.series.iter().enumerate().map(Line::of).collect()
    }

    fn axes(&self, (x, y): &Extent) -> Axes<'_> {
        Axes {
            x_label: &self.x_label,
            y_label: &self.y_label,
            x: x.clone(),
            y: y.clone(),
        }
    }

    fn description(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|s| s.label.as_str()).collect();
        format!(
            "{} Line chart, {} over {}, of {}.",
            self.caption,
            self.y_label,
            self.x_label,
            names.join(", ")
        )
    }

    pub(super) fn keys(&self, lines: &[Line]) -> Vec<(Key, &str)> {
        let of_lines = lines.iter().map(|line| Key::Line(line.mark));
        let names = self.series.iter().map(|series| series.label.as_str());
        let stages = lines.iter().any(|line| !line.boundaries.is_empty());
        of_lines
            .zip(names)
            .chain(stages.then_some((Key::Boundary, "end of a stage")))
            .collect()
    }
}

/// What axes must show, so that all of these charts can have them; `None` without data.
pub(super) fn extent<'a>(charts: impl IntoIterator<Item = &'a [Line]>) -> Option<Extent> {
    let lines: Vec<&Line> = charts.into_iter().flatten().collect();
    let ends = || {
        lines.iter().flat_map(|line| {
            let bars = line.points.iter().zip(&line.errors);
            let bars = bars.flat_map(|(&(x, y), error)| [(x, y - error), (x, y + error)]);
            line.points.iter().copied().chain(bars)
        })
    };
    ends().next()?;
    let boundaries = lines.iter().flat_map(|line| &line.boundaries);
    let x = ends()
        .map(|end| end.0)
        .chain(boundaries.map(|boundary| boundary.0));
    Some((
        range(x.chain([0.0]), 0.02)?,
        range(ends().map(|end| end.1), 0.06)?,
    ))
}

fn draw(lines: &[Line], plot: &Plot<'_, '_>) -> Result<(), ReportError> {
    // All lines first, and the rings last: no line may hide the marks of another, and no marker a ring.
    lines.iter().try_for_each(|line| line.draw(plot))?;
    lines.iter().try_for_each(|line| line.draw_marks(plot))?;
    let rings = |line: &Line| {
        let mut boundaries = line.boundaries.iter();
        boundaries.try_for_each(|at| line.mark.boundary(plot.drawing, plot.pixel(*at)))
    };
    lines.iter().try_for_each(rings)
}

/// A series as it is drawn.
pub(super) struct Line {
    mark: Mark,
    index: usize,
    points: Vec<(f64, f64)>,
    errors: Vec<f64>,
    boundaries: Vec<(f64, f64)>,
}

impl Line {
    fn of((index, series): (usize, &Series)) -> Self {
        let errors = series.errors.iter().copied().chain(std::iter::repeat(0.0));
        let points = series.points.iter().copied().zip(errors);
        let points = points.filter(|((x, y), _)| drawable(*x) && drawable(*y));
        let usable = |((x, y), error): ((f64, f64), f64)| {
            let fits = error > 0.0 && drawable(y - error) && drawable(y + error);
            ((x, y), if fits { error } else { 0.0 })
        };
        let (points, errors): (Vec<(f64, f64)>, Vec<f64>) = points.map(usable).unzip();
        let boundaries = series.boundaries.iter().filter(|x| drawable(**x));
        let boundaries = boundaries.filter_map(|x| Some((*x, height(&points, *x)?)));
        Self {
            mark: series.look.into(),
            index,
            boundaries: boundaries.collect(),
            points,
            errors,
        }
    }

    fn draw(&self, plot: &Plot<'_, '_>) -> Result<(), ReportError> {
        if self.points.is_empty() {
            return Ok(());
        }
        let pixels = self.points.iter().map(|p| plot.pixel(*p)).collect();
        self.mark.line(plot.drawing, pixels)
    }

    fn draw_marks(&self, plot: &Plot<'_, '_>) -> Result<(), ReportError> {
        let step = self.points.len().div_ceil(MARKERS).max(1);
        // Staggered, so that markers of lines that run together do not pile up.
        let first = self.index * step / 3 % step;
        let marked = self.points.iter().zip(&self.errors);
        for (point, error) in marked.skip(first).step_by(step) {
            self.mark.error_bars(plot, *point, (0.0, *error))?;
            self.mark.draw(plot.drawing, plot.pixel(*point))?;
        }
        Ok(())
    }
}

/// The height of a line at `x`, beyond its ends that of the nearer one; `None` without points.
fn height(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let between = points.windows(2).find_map(|pair| {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        (x0 <= x && x <= x1).then(|| match x1 - x0 {
            0.0 => y0,
            width => y0 + (y1 - y0) * (x - x0) / width,
        })
    });
    let (first, last) = (points.first()?, points.last()?);
    let end = if x < first.0 { first.1 } else { last.1 };
    Some(between.unwrap_or(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_stage_is_on_the_chart() {
        let series = Series {
            points: vec![(4.0, 10.0), (8.0, 30.0)],
            boundaries: vec![1.0, 6.0, 9.0, f64::NAN],
            ..Series::default()
        };
        let line = Line::of((0, &series));
        // The first stage ends before anything was evaluated.
        assert_eq!(line.boundaries, [(1.0, 10.0), (6.0, 20.0), (9.0, 30.0)]);
        let (x, y) = extent([&[line][..]]).expect("data");
        assert!(x.contains(&0.0) && x.contains(&9.0), "{x:?}");
        assert!(y.contains(&10.0) && !y.contains(&0.0), "{y:?}");
    }

    #[test]
    fn error_bars_are_within_the_axes() {
        let series = Series {
            points: vec![(1.0, 10.0), (f64::NAN, 0.0), (2.0, 20.0)],
            errors: vec![5.0, 99.0, f64::INFINITY],
            ..Series::default()
        };
        let line = Line::of((0, &series));
        assert_eq!(line.errors, [5.0, 0.0]);
        let (_, y) = extent([&[line][..]]).expect("data");
        assert!(y.contains(&5.0) && y.end < 30.0, "{y:?}");
    }
}
