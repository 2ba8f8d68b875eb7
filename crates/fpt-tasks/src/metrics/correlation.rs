//! Correlations of numbers, as scipy computes them.

/// Pearson's correlation coefficient of pairs; 0 where either side is constant, for which it is not defined.
pub fn pearson(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len().max(1) as f64;
    let mean = |side: fn(&(f64, f64)) -> f64| pairs.iter().map(side).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut both, mut x, mut y) = (0.0, 0.0, 0.0);
    for pair in pairs {
        let (from_x, from_y) = (pair.0 - mean_x, pair.1 - mean_y);
        both += from_x * from_y;
        x += from_x * from_x;
        y += from_y * from_y;
    }
    if x > 0.0 && y > 0.0 {
        (both / (x.sqrt() * y.sqrt())).clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

/// Spearman's rank correlation of pairs: [`pearson`] of their ranks, of which equal numbers share the mean.
pub fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let x = ranks(pairs.iter().map(|pair| pair.0));
    let y = ranks(pairs.iter().map(|pair| pair.1));
    pearson(&x.into_iter().zip(y).collect::<Vec<_>>())
}

fn ranks(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let numbers: Vec<f64> = numbers.collect();
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[a].total_cmp(&numbers[b]));
    let mut ranks = vec![0.0; numbers.len()];
    let mut before = 0;
    for equal in order.chunk_by(|&a, &b| numbers[a] == numbers[b]) {
        for &at in equal {
            ranks[at] = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
        }
        before += equal.len();
    }
    ranks
}
