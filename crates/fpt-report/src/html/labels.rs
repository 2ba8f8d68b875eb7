//! Places labels beside points so that they cover neither each other nor the points.

/// A rectangle of the drawing: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub left: i32,
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
}

impl Area {
    /// The square around a point.
    pub(crate) fn around((x, y): (i32, i32), half: i32) -> Self {
        Self {
            left: x - half,
            top: y - half,
            right: x + half,
            bottom: y + half,
        }
    }

    fn size(&self) -> i64 {
        i64::from(self.right - self.left).max(0) * i64::from(self.bottom - self.top).max(0)
    }

    fn overlap(&self, other: &Self) -> i64 {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
        .size()
    }
}

/// Where each label goes, in order: of the eight sides of its point, near or a little further, the first free one, or
/// else the one that covers least.
///
/// `sizes` are the widths and heights of the labels; `taken` is covered already, at least by the points themselves.
pub(crate) fn place(
    points: &[(i32, i32)],
    sizes: &[(i32, i32)],
    gap: i32,
    bounds: Area,
    mut taken: Vec<Area>,
) -> Vec<Area> {
    points
        .iter()
        .zip(sizes)
        .map(|(&point, &size)| {
            let best = sides(point, size, gap)
                .into_iter()
                .chain(sides(point, size, gap * 2))
                .min_by_key(|side| cost(side, &bounds, &taken)) // of equal ones, the first
                .unwrap_or_else(|| Area::around(point, gap));
            taken.push(best);
            best
        })
        .collect()
}

fn cost(label: &Area, bounds: &Area, taken: &[Area]) -> i64 {
    // A label cut off at the edge is worse than one that touches another.
    let outside = label.size() - label.overlap(bounds);
    10 * outside + taken.iter().map(|area| label.overlap(area)).sum::<i64>()
}

fn sides((x, y): (i32, i32), (width, height): (i32, i32), gap: i32) -> [Area; 8] {
    let (right, left) = (x + gap, x - gap - width);
    let (above, below) = (y - gap - height, y + gap);
    let (centre, middle) = (x - width / 2, y - height / 2);
    [
        (right, middle),
        (left, middle),
        (centre, above),
        (centre, below),
        (right, above),
        (right, below),
        (left, above),
        (left, below),
    ]
    .map(|(left, top)| Area {
        left,
        top,
        right: left + width,
        bottom: top + height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_points_get_labels_apart() {
        let points = [(100, 100), (110, 102), (104, 108), (118, 96)];
        let taken: Vec<Area> = points.iter().map(|p| Area::around(*p, 4)).collect();
        let bounds = Area::around((100, 100), 100);
        let placed = place(&points, &[(50, 12); 4], 8, bounds, taken.clone());
        for (index, label) in placed.iter().enumerate() {
            assert_eq!(label.overlap(&bounds), label.size());
            let others = placed.iter().take(index).chain(&taken);
            assert!(others.into_iter().all(|other| label.overlap(other) == 0));
        }
    }

    #[test]
    fn a_label_that_fits_nowhere_is_placed_all_the_same() {
        let placed = place(&[(5, 5)], &[(500, 500)], 8, Area::around((5, 5), 5), vec![]);
        assert_eq!(placed.len(), 1);
    }
}
