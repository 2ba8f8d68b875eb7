//! Layers, evenly spread.

/// Which `keep` of `layers` layers stay when they are spread evenly (paper, section 3.1): the first, then gaps
/// of `(layers - keep) / (keep - 1) + 1`, the last `(layers - keep) % (keep - 1)` of them one larger, so that
/// the last layer stays, too. Of one layer, the first stays.
///
/// ```
/// assert_eq!(fpt_partial::even_layers(24, 6), [0, 4, 8, 13, 18, 23]);
/// ```
///
/// `keep` is taken to be between 1 and `layers`.
pub fn even_layers(layers: usize, keep: usize) -> Vec<usize> {
    let keep = keep.clamp(1, layers.max(1));
    let gaps = keep - 1;
    let mut kept = vec![0];
    let mut place = 0;
    for gap in 0..gaps {
        let larger = gap >= gaps - (layers - keep) % gaps;
        place += (layers - keep) / gaps + 1 + usize::from(larger);
        kept.push(place);
    }
    kept
}
