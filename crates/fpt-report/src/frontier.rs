//! What was tried of many schedules: score over cost, and which of them are beaten by none.

use crate::ReportError;
use crate::html::{Cell, Group, Item, Look, Page, Point, Scatter, Section, TableView};

/// A schedule that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontierPoint {
    /// Its name.
    pub name: String,
    /// Training FLOPs, as a share of prompt tuning's.
    pub flops: f64,
    /// Dev score, as a share of prompt tuning's.
    pub score: f64,
    /// Runs that these are means of.
    pub pairs: usize,
    /// Its settings.
    pub settings: String,
}

/// Schedules that were tried. Only those with the most runs are compared: of many that were tried little, some are lucky.
#[derive(Clone, Debug)]
pub struct Frontier {
    points: Vec<FrontierPoint>,
}

impl Frontier {
    /// Of these.
    pub fn new(points: Vec<FrontierPoint>) -> Self {
        Self { points }
    }

    fn most_pairs(&self) -> usize {
        let pairs = self.points.iter().map(|point| point.pairs);
        pairs.max().unwrap_or(0)
    }

    /// Those of the most runs that no other one of them is better than at no more FLOPs, by FLOPs.
    pub fn unbeaten(&self) -> Vec<&FrontierPoint> {
        let most = self.most_pairs();
        let far = || self.points.iter().filter(|point| point.pairs == most);
        let beats = |a: &FrontierPoint, b: &FrontierPoint| {
            a.flops <= b.flops && a.score >= b.score && (a.flops < b.flops || a.score > b.score)
        };
        let mut unbeaten: Vec<_> = far()
            .filter(|point| !far().any(|other| beats(other, point)))
            .collect();
        unbeaten.sort_by(|a, b| a.flops.total_cmp(&b.flops));
        unbeaten
    }

    /// The page, for a search that was to find schedules of at most this share of the FLOPs.
    ///
    /// # Errors
    /// If it can't be drawn.
    pub fn page(&self, flops_at_most: f64) -> Result<Page, ReportError> {
        let most = self.most_pairs();
        let unbeaten = self.unbeaten();
        let point = |point: &FrontierPoint, label: bool| Point {
            x: 100.0 * point.flops,
            y: 100.0 * point.score,
            label: if label {
                point.name.clone()
            } else {
                String::new()
            },
            ..Point::default()
        };
        let others = |far: bool| -> Vec<Point> {
            let others = self.points.iter().filter(|other| !unbeaten.contains(other));
            let others = others.filter(|other| (other.pairs == most) == far);
            others.map(|other| point(other, false)).collect()
        };
        let groups = vec![
            Group {
                label: "not beaten".into(),
                look: Look::nth(0),
                points: unbeaten.iter().map(|other| point(other, true)).collect(),
            },
            Group {
                label: format!("beaten, {most} runs"),
                look: Look::nth(1),
                points: others(true),
            },
            Group {
                label: "fewer runs".into(),
                look: Look::nth(2),
                points: others(false),
            },
        ];
        let scatter = Scatter {
            caption: "Dev score over training FLOPs, both as shares of prompt tuning's with the same tasks and seeds."
                .into(),
            x_label: "FLOPs, % of prompt tuning".into(),
            y_label: "score, % of prompt tuning".into(),
            groups: groups.into_iter().filter(|group| !group.points.is_empty()).collect(),
        };
        let mut rows: Vec<&FrontierPoint> = unbeaten.clone();
        rows.extend(self.points.iter().filter(|other| !unbeaten.contains(other)));
        let row = |point: &FrontierPoint| {
            vec![
                Cell::text(point.name.clone()).emphasis(unbeaten.contains(&point)),
                Cell::number(format!("{:.1}", 100.0 * point.score)),
                Cell::number(format!("{:.1}", 100.0 * point.flops)),
                Cell::number(point.pairs.to_string()),
                Cell::text(point.settings.clone()),
            ]
        };
        let table = TableView {
            caption: "What was tried: first what is not beaten.".into(),
            header: ["schedule", "score, %", "FLOPs, %", "runs", "settings"]
                .map(String::from)
                .into(),
            rows: rows.into_iter().map(row).collect(),
        };
        Ok(Page {
            title: "Schedules that were tried".into(),
            lead: format!(
                "{} schedules that the cost model said need at most {:.0} % of prompt tuning's FLOPs, tried by successive \
                 halving on the dev split. What looks best here was chosen for it: it is to be confirmed on other seeds \
                 and the test split.",
                self.points.len(),
                100.0 * flops_at_most
            ),
            sections: vec![Section {
                heading: "Score and cost".into(),
                anchor: "frontier".into(),
                text: "Emphasised are the schedules that none with as many runs beats in both."
                    .into(),
                items: vec![Item::Scatter(scatter), Item::Table(table)],
            }],
            footer: "Made by cargo xtask search.".into(),
            ..Page::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(name: &str, flops: f64, score: f64, pairs: usize) -> FrontierPoint {
        FrontierPoint {
            name: name.into(),
            flops,
            score,
            pairs,
            settings: format!("a.b=\"{name}\""),
        }
    }

    #[test]
    fn only_the_most_tried_are_compared() {
        let frontier = Frontier::new(vec![
            point("lucky", 0.3, 1.2, 2),
            point("dear", 0.5, 0.99, 10),
            point("cheap", 0.4, 0.97, 10),
            point("beaten", 0.45, 0.96, 10),
            point("equal", 0.4, 0.97, 10),
        ]);
        let names: Vec<&str> = frontier
            .unbeaten()
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(names, ["cheap", "equal", "dear"]);
        let html = frontier.page(0.5).expect("a page").to_html().expect("HTML");
        for part in ["lucky", "a.b=&quot;dear&quot;", "at most 50 %", "97.0"] {
            assert!(html.contains(part), "{part}");
        }
        assert!(Frontier::new(Vec::new()).unbeaten().is_empty());
    }
}
