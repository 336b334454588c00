//! What no household does: the checks of a meter data manager, before anything is signed.

use crate::{Effect, Finding, Place, Rule, Series, series::Entry};

/// Mean power that a common connection (3 x 25 A at 230 V) carries, W.
const COMMON_W: u64 = 17_250;
/// So many times the median is a spike.
const SPIKE: u64 = 10;

/// Checks that need nothing but the series; with `limit_w` also that of the connection.
#[must_use]
pub fn check(series: &Series, limit_w: Option<u64>) -> Vec<Finding> {
    let mut findings = series.quality_findings();
    for side in [|e: &Entry| e.import_wh, |e: &Entry| e.export_wh] {
        let mut values: Vec<u64> = series.entries().iter().map(side).filter(|wh| *wh > 0).collect();
        values.sort_unstable();
        let median = values.get(values.len() / 2).copied().unwrap_or(0);
        for entry in series.entries() {
            let watts = side(entry).saturating_mul(3600) / u64::from(series.length().max(1));
            let rule = match limit_w {
                Some(limit) if watts > limit => Rule::OverLimit,
                None if watts > COMMON_W && side(entry) > median.saturating_mul(SPIKE) && values.len() > 3 => {
                    Rule::Spike
                }
                _ => continue,
            };
            let found = Finding::interval(rule, entry.start, series.length(), Place::default());
            findings.push(Finding { at: None, ..found });
        }
    }
    findings.extend(zero_runs(series));
    findings
}

/// Runs of a day or more without import in a series that is otherwise silent for less than a tenth of the time.
fn zero_runs(series: &Series) -> Vec<Finding> {
    let day = 86_400 / series.length().max(1) as usize;
    let silent = |e: &Entry| e.import_wh == 0 && e.export_wh == 0;
    let zeros = series.entries().iter().filter(|e| silent(e)).count();
    let runs = series.entries().chunk_by(|a, b| silent(a) == silent(b)).filter(|run| run.first().is_some_and(silent));
    let long: Vec<&[Entry]> = runs.filter(|run| run.len() >= day).collect();
    let in_runs: usize = long.iter().map(|run| run.len()).sum();
    let others = series.entries().len().saturating_sub(in_runs);
    if others == 0 || (zeros - in_runs) * 10 > others {
        return vec![];
    }
    let of = |run: &&[Entry]| {
        let first = run.first()?;
        let seconds = run.len() as u64 * u64::from(series.length());
        let (start, count) = (Some(first.start), run.len() as u64);
        Some(Finding { rule: Rule::ZeroRun, start, seconds, count, at: None, detail: String::new() })
    };
    long.iter().filter_map(of).collect()
}

/// Intervals that the finding keeps from being signed, unless its rule is accepted.
#[must_use]
pub fn hinders(finding: &Finding, accepted: &[Rule]) -> bool {
    match finding.rule.effect() {
        Effect::Show => false,
        Effect::Ask => !accepted.contains(&finding.rule),
        Effect::Never => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Quality;

    fn series(wh: &[u64]) -> Series {
        let entry = |(i, wh): (usize, &u64)| Entry {
            start: i as i64 * 3600,
            import_wh: *wh,
            export_wh: 0,
            quality: Quality::Measured,
        };
        Series::new(3600, wh.iter().enumerate().map(entry).collect(), vec![])
    }

    fn rules(findings: &[Finding]) -> Vec<(Rule, Option<i64>)> {
        findings.iter().map(|f| (f.rule, f.start)).collect()
    }

    #[test]
    fn a_spike_is_above_the_fuse_and_the_median() {
        let mut wh = vec![400; 24];
        wh[6] = 41_000;
        assert_eq!(rules(&check(&series(&wh), None)), [(Rule::Spike, Some(6 * 3600))]);
        // A heat pump and a car, or a school that always uses that much, are none.
        wh[6] = 17_000;
        assert_eq!(check(&series(&wh), None), []);
        assert_eq!(check(&series(&[41_000; 24]), None), []);
        assert_eq!(rules(&check(&series(&wh), Some(11_000))), [(Rule::OverLimit, Some(6 * 3600))]);
    }

    #[test]
    fn a_silent_day_is_said() {
        let mut wh = vec![300; 72];
        wh[24..48].fill(0);
        assert_eq!(rules(&check(&series(&wh), None)), [(Rule::ZeroRun, Some(24 * 3600))]);
        assert_eq!(check(&series(&[0; 72]), None), []);
    }

    #[test]
    fn estimates_hinder_whatever_is_accepted() {
        let mut s = series(&[300; 4]);
        s.entries[1].quality = Quality::Estimated;
        let found = check(&s, None);
        assert!(hinders(&found[0], Rule::ALL));
        let spike = Finding::file(Rule::Spike, "");
        assert!(hinders(&spike, &[]) && !hinders(&spike, &[Rule::Spike]));
    }
}
