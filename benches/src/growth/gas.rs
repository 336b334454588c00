//! Gas by members.

use crate::report::Report;

/// Gas by members, from two measured shapes: a settlement pays for its proof and, member by member, for the leaves it
/// publishes. Intervals cost no gas of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GasModel {
    base: f64,
    per_member: f64,
}

impl GasModel {
    /// The line through (members, gas) of two shapes; `None` if it has no slope.
    #[must_use]
    pub fn through(a: (f64, f64), b: (f64, f64)) -> Option<Self> {
        let per_member = (b.1 - a.1) / (b.0 - a.0);
        per_member.is_finite().then_some(Self { base: a.1 - per_member * a.0, per_member })
    }

    /// From the smallest and largest settled shapes of the report.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let settled = report.shapes.iter().filter_map(|s| Some((s.members as f64, s.gas_settle? as f64)));
        let (mut least, mut most) = (None::<(f64, f64)>, None::<(f64, f64)>);
        for point in settled {
            least = Some(least.map_or(point, |p| if point.0 < p.0 { point } else { p }));
            most = Some(most.map_or(point, |p| if point.0 > p.0 { point } else { p }));
        }
        Self::through(least?, most?)
    }

    /// Gas of a settlement of so many members.
    #[must_use]
    pub fn gas(&self, members: usize) -> f64 {
        (self.base + self.per_member * members as f64).round()
    }
}
