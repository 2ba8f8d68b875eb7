//! The page and its figures: well-formed, self-contained, and safe with hostile text.

#![allow(clippy::unwrap_used)]

use std::error::Error;

use roxmltree::{Document, ParsingOptions};

use super::*;

const HOSTILE: &str = "<script>alert('x')</script> & \"q\" \u{1} ]]> -->";

fn page(items: Vec<Item>) -> Page {
    Page {
        title: "A report".into(),
        lead: "First.\n\nSecond with `code`.".into(),
        sections: vec![Section {
            heading: "Part".into(),
            anchor: "part".into(),
            text: "Text.".into(),
            items,
        }],
        footer: "Made by `cargo`.".into(),
        ..Page::default()
    }
}

fn table() -> TableView {
    TableView {
        caption: "Scores".into(),
        header: vec!["model".into(), "MNLI".into(), "run".into()],
        rows: (0..4)
            .map(|row| {
                vec![
                    Cell::text(format!("model {row}")),
                    Cell::number(format!("8{row}.25"))
                        .note(format!("paper 7{row}.5"))
                        .title(format!("runs/s{row}"))
                        .emphasis(row == 0),
                    Cell::text(format!("log {row}")).href(format!("runs/{row}/result.json")),
                ]
            })
            .collect(),
    }
}

fn curves(points: Vec<(f64, f64)>) -> Curves {
    Curves {
        caption: "Learning".into(),
        x_label: "FLOPs".into(),
        y_label: "accuracy (%)".into(),
        series: (0..9)
            .map(|index| Series {
                label: format!("series {index}"),
                look: Look::nth(index),
                points: points.clone(),
                errors: vec![0.25; 3],
                boundaries: vec![1.5, 99.0, f64::NAN],
            })
            .collect(),
    }
}

fn scatter(points: &[(f64, f64)], error: Option<f64>) -> Scatter {
    let points = points.iter().map(|&(x, y)| Point {
        x,
        y,
        label: format!("at {x}"),
        x_error: error,
        y_error: error,
    });
    Scatter {
        caption: "Score and cost".into(),
        x_label: "FLOPs (%)".into(),
        y_label: "score (%)".into(),
        groups: vec![
            Group {
                label: "one".into(),
                look: Look::nth(3).hollow(),
                points: points.collect(),
            },
            Group {
                label: "none".into(),
                ..Group::default()
            },
        ],
    }
}

fn map() -> HeatMap {
    HeatMap {
        caption: "Cosine".into(),
        rows: vec!["PT".into(), "LD".into()],
        columns: vec!["PT".into(), "LD".into(), "FR".into()],
        values: vec![
            vec![Some(1.0), Some(0.125), None],
            vec![Some(-0.001), Some(f64::NAN), Some(0.75)],
        ],
        range: None,
        decimals: 2,
        quantity: "cosine".into(),
    }
}

fn everything() -> Page {
    page(vec![
        Item::Table(table()),
        Item::Curves(curves(vec![(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)])),
        Item::Scatter(scatter(&[(1.0, 2.0), (1.1, 2.0), (3.0, 4.0)], Some(0.5))),
        Item::HeatMap(map()),
        Item::HeatMaps(vec![map()]),
        Item::Panels(panels()),
        Item::Sentences(vec!["It is so.".into()]),
        Item::Facts(vec![(
            "Files".into(),
            vec![Cell::text("a.csv").href("a.csv")],
        )]),
        Item::Folded("more".into(), table()),
        Item::Code("a = 1\n[b]\n".into()),
    ])
}

/// Two charts, of which the second has more points and further ones.
fn panels() -> Panels {
    Panels {
        caption: "By task".into(),
        panels: vec![
            curves(vec![(1.0, 1.0), (2.0, 2.0)]),
            curves(vec![(1.0, 1.0), (2.0, 2.0), (9.0, 40.0)]),
        ],
        shared: true,
    }
}

/// Name and attributes of an element.
type Element = (String, Vec<(String, String)>);

/// Parses the page as XML, which demands that it is well-formed, and returns its elements and its text.
fn parse(html: &str) -> (Vec<Element>, String) {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(html, options).unwrap();
    let elements = document.descendants().filter(|node| node.is_element());
    let elements = elements.map(|node| {
        let attributes = node.attributes();
        let attributes = attributes.map(|a| (a.name().to_owned(), a.value().to_owned()));
        (node.tag_name().name().to_owned(), attributes.collect())
    });
    let texts = document.descendants().filter(|node| node.is_text());
    let text = texts.filter_map(|node| node.text()).collect();
    (elements.collect(), text)
}

#[test]
fn the_page_is_well_formed_and_equal_input_gives_equal_bytes() {
    let html = everything().to_html().unwrap();
    let (elements, _) = parse(&html);
    for name in [
        "svg",
        "table",
        "figure",
        "figcaption",
        "nav",
        "main",
        "footer",
    ] {
        let expected = usize::from(name != "nav"); // one section needs no contents
        let found = elements.iter().filter(|(n, _)| n == name).count();
        assert!(found >= expected, "{name}");
    }
    assert!(
        elements
            .iter()
            .any(|(n, a)| n == "meta" && a.iter().any(|(_, v)| v == "viewport"))
    );
    assert_eq!(html, everything().to_html().unwrap());
}

#[test]
fn text_from_data_never_becomes_markup() {
    let h = || HOSTILE.to_owned();
    let mut hostile = page(vec![
        Item::Table(TableView {
            caption: h(),
            header: vec![h()],
            rows: vec![vec![
                Cell::number(h())
                    .note(h())
                    .title(h())
                    .href(h())
                    .emphasis(true),
            ]],
        }),
        Item::Curves(Curves {
            caption: h(),
            x_label: h(),
            y_label: h(),
            series: vec![Series {
                label: h(),
                points: vec![(0.0, 0.0), (1.0, 1.0)],
                ..Series::default()
            }],
        }),
        Item::Scatter(Scatter {
            caption: h(),
            x_label: h(),
            y_label: h(),
            groups: vec![Group {
                label: h(),
                look: Look::default(),
                points: vec![Point {
                    label: h(),
                    ..Point::default()
                }],
            }],
        }),
        Item::HeatMap(HeatMap {
            caption: h(),
            rows: vec![h()],
            columns: vec![h()],
            values: vec![vec![Some(1.0)]],
            quantity: h(),
            ..HeatMap::default()
        }),
        Item::Panels(Panels {
            caption: h(),
            panels: vec![Curves {
                caption: h(),
                x_label: h(),
                y_label: h(),
                series: vec![Series {
                    label: h(),
                    points: vec![(0.0, 0.0), (1.0, 1.0)],
                    ..Series::default()
                }],
            }],
            shared: false,
        }),
        Item::Sentences(vec![h()]),
        Item::Facts(vec![(h(), vec![Cell::text(h()).href(h())])]),
        Item::Folded(h(), table()),
        Item::Code(h()),
    ]);
    hostile.parent = Some((h(), h()));
    hostile.notes = Some(h());
    (hostile.title, hostile.lead, hostile.footer) = (h(), h(), h());
    (hostile.sections[0].heading, hostile.sections[0].text) = (h(), h());
    let html = hostile.to_html().unwrap();
    assert!(!html.contains("<script") && !html.contains('\u{1}'));
    let (elements, text) = parse(&html);
    assert!(elements.iter().all(|(name, attributes)| {
        name != "script" && attributes.iter().all(|(key, _)| !key.starts_with("on"))
    }));
    assert!(text.contains("<script>alert('x')</script> & \"q\""));
}

#[test]
fn links_lead_to_pages_and_files_but_run_nothing() {
    use super::markup::safe_link;
    for good in [
        "runs/a/result.json",
        "#part",
        "https://example.org/a:b",
        "../x?y=a:b",
    ] {
        assert_eq!(safe_link(good), Some(good));
    }
    for bad in [
        "javascript:alert(1)",
        "JavaScript:x",
        " javascript:x",
        "java\nscript:x",
        "data:text/html,x",
    ] {
        assert_eq!(safe_link(bad), None);
    }
}

#[test]
fn every_cell_and_every_value_appears() {
    let (elements, text) = parse(&everything().to_html().unwrap());
    for cell in table().rows.iter().flatten() {
        assert!(text.contains(&cell.text));
        assert!(cell.note.as_ref().is_none_or(|note| text.contains(note)));
        for (key, value) in [("title", &cell.title), ("href", &cell.href)] {
            let found = |value: &String| {
                let wanted = (key.to_owned(), value.clone());
                elements
                    .iter()
                    .any(|(_, attributes)| attributes.contains(&wanted))
            };
            assert!(value.as_ref().is_none_or(found), "{key} {value:?}");
        }
    }
    for value in [
        "1.00",
        "0.12",
        "0.00",
        "0.75",
        "series 8",
        "at 1.1",
        "end of a stage",
    ] {
        assert!(text.contains(value), "{value}");
    }
    assert!(!text.contains("NaN") && !text.contains("-0.00"));
}

#[test]
fn charts_describe_themselves() {
    let (elements, _) = parse(&everything().to_html().unwrap());
    let charts: Vec<_> = elements
        .iter()
        .filter(|(name, attributes)| {
            name == "svg" && attributes.contains(&("role".into(), "img".into()))
        })
        .collect();
    assert_eq!(charts.len(), 6, "two charts in two sizes, and two in one");
    for (_, attributes) in charts {
        assert!(attributes.iter().any(|(key, _)| key == "viewBox"));
        let label = attributes
            .iter()
            .find(|(key, _)| key == "aria-label")
            .unwrap();
        assert!(label.1.contains("over FLOPs"), "{label:?}");
    }
}

/// All numbers at the axes of the small charts, chart by chart.
fn ticks(html: &str) -> Vec<Vec<String>> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(html, options).unwrap();
    let charts = document.descendants().filter(|node| {
        let class = node.attribute("class").unwrap_or_default();
        class.split(' ').any(|it| it == "panel")
    });
    let texts = |chart: roxmltree::Node<'_, '_>| {
        let texts = chart.descendants().filter(|node| node.is_text());
        let texts = texts
            .filter_map(|node| node.text())
            .map(|it| it.trim().to_owned());
        texts.filter(|text| text.parse::<f64>().is_ok()).collect()
    };
    charts.map(texts).collect()
}

#[test]
fn small_multiples_have_one_legend_and_the_same_axes() {
    let html = page(vec![Item::Panels(panels())]).to_html().unwrap();
    let of_charts = ticks(&html);
    assert_eq!(of_charts.len(), 2);
    assert!(!of_charts[0].is_empty(), "{of_charts:?}");
    assert_eq!(of_charts[0], of_charts[1]);
    assert!(of_charts[0].contains(&"0".to_string()), "{of_charts:?}");
    assert_eq!(html.matches("class=\"legend\"").count(), 1);
    assert_eq!(html.matches("end of a stage").count(), 1);
    let own = Panels {
        shared: false,
        ..panels()
    };
    let of_charts = ticks(&page(vec![Item::Panels(own)]).to_html().unwrap());
    assert_ne!(of_charts[0], of_charts[1]);
}

#[test]
fn second_lines_are_shown_where_they_are_asked_for() {
    let mut noted = page(vec![Item::Table(table())]);
    assert!(!noted.to_html().unwrap().contains("<input"));
    noted.notes = Some("figures of the paper".into());
    let html = noted.to_html().unwrap();
    let (elements, text) = parse(&html);
    let is_box = |(name, attributes): &Element| {
        name == "input" && attributes.contains(&("id".into(), "notes".into()))
    };
    assert_eq!(elements.iter().filter(|it| is_box(it)).count(), 1);
    assert!(text.contains("figures of the paper"));
    assert!(html.contains("<small class=\"note\">paper 70.5</small>"));
    assert!(html.contains("#notes:not(:checked) ~ main .note { display: none; }"));
}

#[test]
fn a_picture_has_a_legend_and_stands_alone() {
    let mut hostile = curves(vec![(0.0, 1.0), (1.0, 3.0), (2.0, 2.0)]);
    hostile.series[3].label = HOSTILE.into();
    let picture = hostile.to_svg().unwrap().unwrap();
    let (elements, text) = parse(&picture);
    let (root, attributes) = &elements[0];
    assert_eq!(root, "svg");
    for key in ["width", "height", "viewBox", "aria-label"] {
        assert!(attributes.iter().any(|(name, _)| name == key), "{key}");
    }
    for label in [
        "series 0",
        "series 8",
        "<script>",
        "end of a stage",
        "FLOPs",
    ] {
        assert!(text.contains(label), "{label}");
    }
    let own = picture.replace("http://www.w3.org/2000/svg", "");
    for resource in ["http", "url(", "@import", "<script"] {
        assert!(!own.contains(resource), "{resource}");
    }
    assert_eq!(curves(vec![(f64::NAN, 1.0)]).to_svg().unwrap(), None);
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let html = everything().to_html().unwrap();
    let namespaces = ["http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"];
    let rest = namespaces
        .iter()
        .fold(html, |html, namespace| html.replace(namespace, ""));
    for resource in [
        "http://", "https://", "url(", "@import", "src=", "<link", "<script",
    ] {
        assert!(!rest.contains(resource), "{resource}");
    }
}

#[test]
fn the_style_sheet_knows_every_colour_of_the_drawings() {
    let html = everything().to_html().unwrap();
    let (elements, _) = parse(&html);
    let style = include_str!("drawing.css");
    let (mut drawn, mut missing) = (0, Vec::new());
    for (key, value) in elements.iter().flat_map(|(_, attributes)| attributes) {
        if (key == "fill" || key == "stroke") && value != "none" {
            drawn += 1;
            if !style.contains(&format!("[{key}=\"{value}\"]")) {
                missing.push(format!("{key} {value}"));
            }
        }
    }
    assert!(drawn > 0 && missing.is_empty(), "{missing:?}");
}

#[test]
fn no_number_breaks_a_figure() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let cases = [
        vec![],
        vec![(nan, 1.0), (1.0, inf), (-inf, nan)],
        vec![(1.0, 1.0)],
        vec![(2.0, 5.0), (2.0, 5.0)],
        vec![(0.0, 0.0), (nan, nan), (1.0, 1.0)],
        vec![(f64::MAX, f64::MIN), (f64::MIN_POSITIVE, 0.0)],
        vec![(-1e99, 1e99), (1e99, -1e99)],
        vec![(9.9e99, 0.0)],
        vec![(1.0, 1.0), (1.0 + 1e-15, 1.0 - 1e-15)],
        vec![(1e9, 1e9), (1e9 + 1e-3, 1e9)],
        vec![(0.0, 0.0), (1e-12, 1e-300)],
    ];
    for points in cases {
        for error in [
            None,
            Some(nan),
            Some(inf),
            Some(-1.0),
            Some(9.9e99),
            Some(1e300),
        ] {
            let items = vec![
                Item::Curves(curves(points.clone())),
                Item::Scatter(scatter(&points, error)),
            ];
            let html = page(items).to_html().unwrap();
            let (_, text) = parse(&html);
            assert!(!text.contains("NaN"), "{points:?} {error:?}");
            assert!(
                !html.contains("2147483"),
                "{points:?} {error:?}: beyond the drawing"
            );
        }
    }
}

#[test]
fn nothing_to_show_is_said() {
    let empty = page(vec![
        Item::Table(TableView::default()),
        Item::Curves(Curves::default()),
        Item::Scatter(Scatter::default()),
        Item::HeatMap(HeatMap::default()),
    ]);
    let (_, text) = parse(&empty.to_html().unwrap());
    assert_eq!(text.matches("no data").count(), 3);
    assert_eq!(text.matches("no rows").count(), 1);
    parse(&Page::default().to_html().unwrap());
}

#[test]
fn what_does_not_fit_together_is_an_error_that_names_it() {
    let error = |item: Item| {
        let error = page(vec![item]).to_html().unwrap_err();
        let source = error.source().unwrap().to_string();
        format!("{error}: {source}")
    };

    let mut ragged = table();
    ragged.rows[2].pop();
    let message = error(Item::Table(ragged));
    assert!(
        message.contains("\"Part\"") && message.contains("row 3 has 2 cells"),
        "{message}"
    );

    let mut short = map();
    short.values[1].pop();
    let message = error(Item::HeatMap(short));
    assert!(
        message.contains("row \"LD\" has 2 values for 3 columns"),
        "{message}"
    );

    let mut twice = page(vec![]);
    twice.sections.push(twice.sections[0].clone());
    let message = twice.to_html().unwrap_err().to_string();
    assert!(message.contains("used twice"), "{message}");

    twice.sections[1].anchor = "a b".into();
    assert!(twice.to_html().is_err());
}
