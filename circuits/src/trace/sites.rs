//! Constraints by the line that asks for them, so that a test can take one away.
//!
//! A line of a statement asks for ties between cells and for rows of arithmetic, several of each in most gadgets. A
//! [`Site`] is one of them. It covers every slot, interval and operation slot for which the line runs.

use std::panic::Location;

use super::Trace;
use crate::Fr;

/// What a constraint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constraint {
    /// Two cells that are computed apart are equal.
    Check,
    /// An operand is another cell's value.
    Copy,
    /// The result of a row of arithmetic.
    Row,
}

/// One constraint of a line, for every clause that the line serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// The line, as the compiler names it.
    pub at: &'static Location<'static>,
    /// What it is.
    pub constraint: Constraint,
    /// Which of its line's, in the order in which they are written.
    pub nth: usize,
}

/// A constraint that a thief's table breaks: everything that is computed later follows the other value.
#[derive(Clone, Copy, Debug)]
pub struct Broken {
    /// Which one.
    pub site: Site,
    /// The how manieth time that its line runs.
    pub time: usize,
    /// By how much the value is off.
    pub by: Fr,
}

/// Where each constraint comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    /// One a tie, in their order.
    ties: Vec<Site>,
    /// Rows of arithmetic.
    rows: Vec<(usize, Site)>,
    broken: Option<(Broken, usize)>,
    last: Option<&'static Location<'static>>,
    counts: [usize; 2],
}

impl Sites {
    fn next(&mut self, at: &'static Location<'static>, constraint: Constraint) -> Site {
        if self.last != Some(at) {
            (self.last, self.counts) = (Some(at), [0; 2]);
        }
        let nth = self.counts[usize::from(constraint == Constraint::Row)];
        Site { at, constraint, nth }
    }

    fn off(&mut self, site: &Site, value: Fr) -> Fr {
        let Some((broken, times)) = self.broken.as_mut().filter(|(broken, _)| broken.site == *site) else {
            return value;
        };
        *times += 1;
        if *times == broken.time + 1 { value + broken.by } else { value }
    }

    pub(super) fn row(&mut self, at: &'static Location<'static>, row: usize, value: Fr) -> Fr {
        let site = self.next(at, Constraint::Row);
        self.counts[1] += 1;
        self.rows.push((row, site));
        self.off(&site, value)
    }

    /// The value of a cell that is about to be tied.
    pub(super) fn copied(&mut self, at: &'static Location<'static>, value: Fr) -> Fr {
        let site = self.next(at, Constraint::Copy);
        self.off(&site, value)
    }

    /// The value that is about to be written, before the tie that says what it is; `between` other ties are first.
    pub(super) fn written(&mut self, at: &'static Location<'static>, between: usize, value: Fr) -> Fr {
        let site = self.next(at, Constraint::Check);
        self.off(&Site { nth: site.nth + between, ..site }, value)
    }

    pub(super) fn tied(&mut self, at: &'static Location<'static>, constraint: Constraint) {
        let site = self.next(at, constraint);
        self.counts[0] += 1;
        self.ties.push(site);
    }
}

impl Trace {
    /// Breaks one constraint of the table that is built next.
    pub fn break_constraint(&mut self, broken: Broken) {
        self.hooks.sites.broken = Some((broken, 0));
    }

    /// The site of each copy, in the order of [`Trace::copies`].
    #[must_use]
    pub fn sites_of_copies(&self) -> &[Site] {
        &self.hooks.sites.ties
    }

    /// Rows of arithmetic with their sites, in the order in which they were written.
    #[must_use]
    pub fn sites_of_rows(&self) -> &[(usize, Site)] {
        &self.hooks.sites.rows
    }
}
