//! The names of methods.

#![allow(clippy::unwrap_used)]

use fpt_schedule::{Amount, Method, Reduction, Share};
use proptest::prelude::*;

fn method() -> impl Strategy<Value = Method> {
    let reduction = prop::sample::select(Reduction::ALL.to_vec());
    let share = (1..=u64::MAX)
        .prop_flat_map(|below| (1..=below, Just(below)))
        .prop_map(|(above, below)| Share::new(above, below).unwrap());
    prop_oneof![
        Just(Method::Pt),
        reduction.clone().prop_map(Method::Fpt),
        (reduction, share).prop_map(|(reduction, share)| Method::Partial(reduction, share)),
    ]
}

proptest! {
    #[test]
    fn names_round_trip(method in method()) {
        prop_assert_eq!(method.to_string().parse(), Ok(method));
        let json = serde_json::to_string(&method).unwrap();
        prop_assert_eq!(&json, &format!("\"{method}\""));
        prop_assert_eq!(serde_json::from_str::<Method>(&json).unwrap(), method);
    }

    #[test]
    fn slugs_are_file_names_and_distinct(a in method(), b in method()) {
        let slug = a.slug();
        let safe = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        prop_assert!(slug.bytes().all(safe));
        prop_assert_eq!(a == b, slug == b.slug());
    }

    #[test]
    fn amounts_round_trip(
        count in 0..=i64::MAX as usize,
        (above, below) in (1..1000_u64, 1000..2000_u64),
    ) {
        for amount in [Amount::Count(count), Share::new(above, below).unwrap().into()] {
            let json = serde_json::to_string(&amount).unwrap();
            prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
        }
    }

    #[test]
    fn a_share_is_the_nearest_integer(
        (above, more) in (1..=1000_u64, 0..1000_u64),
        full in 1..100_000_usize,
    ) {
        let share = Share::new(above, above + more).unwrap();
        let exact = full as f64 * above as f64 / (above + more) as f64;
        prop_assert_eq!(share.of(full), (exact.round() as usize).max(1));
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,20}") {
        let _ = text.parse::<Method>();
        let _ = text.parse::<Share>();
    }
}

#[test]
fn written_as_in_the_paper() {
    for (text, name, slug, label) in [
        ("pt", "pt", "pt", "PT"),
        ("ld-1/4", "ld-1/4", "ld-1of4", "LD 1/4"),
        ("fr-0.5", "fr-1/2", "fr-1of2", "FR 1/2"),
        ("cr-6/8", "cr-3/4", "cr-3of4", "CR 3/4"),
        ("hd-1.0", "hd-1/1", "hd-1of1", "HD 1/1"),
        ("fpt-cr", "fpt-cr", "fpt-cr", "FPT-CR"),
        ("fpt-hd", "fpt-hd", "fpt-hd", "FPT-HD"),
    ] {
        let method: Method = text.parse().unwrap();
        assert_eq!(
            (method.to_string(), method.slug(), method.label()),
            (name.into(), slug.into(), label.into())
        );
    }
}

#[test]
fn sorted_as_in_the_tables() {
    let mut methods = ["fpt-ld", "cr-1/4", "ld-3/4", "ld-1/4", "pt", "fr-1/2"]
        .map(|name| name.parse::<Method>().unwrap());
    methods.sort();
    assert_eq!(
        methods.map(|method| method.to_string()),
        ["pt", "ld-1/4", "ld-3/4", "fr-1/2", "cr-1/4", "fpt-ld"]
    );
}

#[test]
fn unknown_names_list_the_known() {
    for name in [
        "",
        "PT",
        "fpt",
        "fpt-",
        "fpt-xx",
        "ld",
        "ld-",
        "ld-6",
        "ld-1of4",
        "ld-5/4",
        "xx-1/4",
        "fpt-ld-1/4",
    ] {
        let error = name.parse::<Method>().unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "unknown method `{name}`; expected pt, fpt-ld, fpt-fr, fpt-cr or fpt-hd"
            )),
            "{error}"
        );
        assert!(error.contains("ld-S, fr-S, cr-S or hd-S"), "{error}");
    }
}
