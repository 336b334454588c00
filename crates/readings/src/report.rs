//! What was read, for a person and for a machine.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    Effect, Finding, Import, Rule, SourceError, csv,
    model::Quality,
    zone::{Zone, utc},
};

/// Most findings, gaps and overlaps that are printed for a person.
const SHOWN: usize = 12;

/// Numbers of what was read, beside the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Intervals.
    pub intervals: usize,
    /// Missing between the first and the last.
    pub missing: u64,
    /// Intervals with an estimate or a substitute.
    pub estimated: usize,
    /// Their import, Wh.
    pub estimated_import_wh: u64,
    /// Their export, Wh.
    pub estimated_export_wh: u64,
}

/// Counts an import.
#[must_use]
pub fn figures(import: &Import) -> Figures {
    let estimated: Vec<_> = import.series.entries().iter().filter(|e| e.quality.is_estimate()).collect();
    Figures {
        intervals: import.series.entries().len(),
        missing: import.series.gaps().iter().map(|g| g.intervals).sum(),
        estimated: estimated.len(),
        estimated_import_wh: estimated.iter().map(|e| e.import_wh).sum(),
        estimated_export_wh: estimated.iter().map(|e| e.export_wh).sum(),
    }
}

/// What was read as one object. Energies in Wh, instants in unix seconds and RFC 3339.
#[must_use]
pub fn json(import: &Import) -> Value {
    let series = &import.series;
    let length = i64::from(series.length());
    let (first, last) = ends(import);
    let [import_wh, export_wh] = series.total_wh();
    let of = figures(import);
    let spike = import.findings.iter().find(|f| matches!(f.rule, Rule::Spike | Rule::OverLimit)).and_then(|f| f.start);
    let findings: Vec<Value> = import.findings.iter().map(finding_json).collect();
    let gaps: Vec<Value> =
        series.gaps().iter().map(|g| json!({"from": utc(g.start), "intervals": g.intervals})).collect();
    let overlap =
        |o: &crate::Overlap| json!({"at": utc(o.start), "kept_line": o.kept_line, "dropped_line": o.dropped_line});
    let quality = |quality: Quality| series.entries().iter().filter(|e| e.quality == quality).count();
    json!({
        "meter": import.meter,
        "source": import.source,
        "zone": import.zone.as_ref().map(Zone::name),
        "stamp": import.stamp,
        "unit": import.unit,
        "interval_length": length,
        "intervals": of.intervals,
        "missing_intervals": of.missing,
        "from": utc(first),
        "until": utc(last + length),
        "first_interval": first.div_euclid(length.max(1)),
        "first_start": first,
        "import_wh": import_wh,
        "export_wh": export_wh,
        "total_tenth_wh": import.total_tenth_wh[0],
        "total_export_tenth_wh": import.total_tenth_wh[1],
        "community_wh": import.community_wh,
        "estimated_intervals": of.estimated,
        "estimated_import_wh": of.estimated_import_wh,
        "estimated_export_wh": of.estimated_export_wh,
        "qualities": {
            "measured": quality(Quality::Measured), "unstated": quality(Quality::Unstated),
            "unknown": quality(Quality::Unknown), "questionable": quality(Quality::Questionable),
            "drifted": quality(Quality::Drifted),
            "substituted": quality(Quality::Substituted), "estimated": quality(Quality::Estimated),
        },
        "spike_interval": spike.map(|start| start.div_euclid(length.max(1))),
        "readings_in_file": import.readings,
        "identical_duplicates": import.merged,
        "incomplete": import.incomplete,
        "gaps": gaps,
        "overlaps": series.overlaps().iter().map(overlap).collect::<Vec<_>>(),
        "findings": findings,
    })
}

fn ends(import: &Import) -> (i64, i64) {
    let entries = import.series.entries();
    (entries.first().map_or(0, |e| e.start), entries.last().map_or(0, |e| e.start))
}

const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Show => "show",
        Effect::Ask => "ask",
        Effect::Never => "never",
    }
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "rule": finding.rule.name(),
        "signing": effect(finding.rule.effect()),
        "from": finding.start.map(utc),
        "seconds": finding.seconds,
        "count": finding.count,
        "line": finding.at.map(|at| at.line),
        "detail": finding.detail,
    })
}

/// A finding on one line: rule, place, what it means for signing.
#[must_use]
pub fn line(finding: &Finding, zone: Option<&Zone>) -> String {
    let mut line = finding.rule.name().to_owned();
    let when = |start| zone.map_or_else(|| utc(start), |zone| zone.local(start));
    if let Some(start) = finding.start {
        let _ = write!(line, " from {}", when(start));
    }
    if finding.count > 1 {
        let _ = write!(line, ", {} times", finding.count);
    }
    if let Some(at) = finding.at {
        let _ = write!(line, ", {at}");
    }
    if !finding.detail.is_empty() {
        let _ = write!(line, ": {}", finding.detail);
    }
    line.push_str(match finding.rule.effect() {
        Effect::Show => "",
        Effect::Ask => " [not signed unless accepted]",
        Effect::Never => " [never signed as metered: a substitute, for the meter data manager]",
    });
    line
}

/// What was read, for a person: instants in local time, totals, every finding.
#[must_use]
pub fn table(import: &Import) -> String {
    let (series, zone) = (&import.series, import.zone.as_ref());
    let (first, last) = ends(import);
    let length = i64::from(series.length());
    let when = |start| zone.map_or_else(|| utc(start), |zone| zone.local(start));
    let [import_wh, export_wh] = series.total_wh();
    let (of, gaps) = (figures(import), series.gaps());
    let mut out = String::new();
    let mut row = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12}{text}");
    };
    row("meter", if import.meter.is_empty() { "-".to_owned() } else { import.meter.clone() });
    let zone_name = zone.map_or("times with offset", Zone::name);
    let unit = if import.unit.is_empty() { "-" } else { &import.unit };
    row("read as", format!("{}: {unit}, time of the {} of an interval, {zone_name}", import.source, import.stamp));
    let span = format!("{} to {}", when(first), when(last + length));
    row("intervals", format!("{} of {length} s, {span}", of.intervals));
    row("import", format!("{import_wh:>12} Wh"));
    row("export", format!("{export_wh:>12} Wh"));
    if let Some(community) = import.community_wh {
        row("community", format!("{community:>12} Wh allotted by the operator; settlement computes it anew"));
    }
    row(
        "in file",
        format!(
            "{} readings, {} identical duplicates merged, {} incomplete",
            import.readings, import.merged, import.incomplete
        ),
    );
    row(
        "estimated",
        format!(
            "{} intervals, {} Wh import, {} Wh export",
            of.estimated, of.estimated_import_wh, of.estimated_export_wh
        ),
    );
    row("missing", format!("{} intervals in {} gaps", of.missing, gaps.len()));
    for gap in gaps.iter().take(SHOWN) {
        row("", format!("{} from {}", gap.intervals, when(gap.start)));
    }
    for o in series.overlaps().iter().take(SHOWN) {
        row(
            "overlap",
            format!("{}: two readings, line {} used, line {} left out", when(o.start), o.kept_line, o.dropped_line),
        );
    }
    for finding in import.findings.iter().take(4 * SHOWN) {
        row("note", line(finding, zone));
    }
    if import.findings.len() > 4 * SHOWN {
        row("", format!("and {} more notes", import.findings.len() - 4 * SHOWN));
    }
    out
}

/// Profiles for `meter profiles`: name and title.
///
/// # Errors
/// [`SourceError::Mapping`]: not of a program that passed its tests.
pub fn profiles() -> Result<Vec<(String, String)>, SourceError> {
    Ok(csv::profiles()?.into_iter().map(|p| (p.name, p.title)).collect())
}

/// What a corrected file changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Interval, unix seconds.
    pub start: i64,
    /// Corrected less first, Wh; import and export.
    pub wh: [i64; 2],
}

/// Intervals of both files that differ, in order.
///
/// # Errors
/// [`SourceError::Resample`] if the two have other lengths.
pub fn changes(first: &Import, corrected: &Import) -> Result<Vec<Change>, SourceError> {
    let (from, to) = (corrected.series.length(), first.series.length());
    if from != to {
        return Err(SourceError::Resample { from, to });
    }
    let difference = |a: u64, b: u64| i64::try_from(b).unwrap_or(i64::MAX) - i64::try_from(a).unwrap_or(i64::MAX);
    let of = |new: &crate::Entry| {
        let old = first.series.at(new.start)?;
        let wh = [difference(old.import_wh, new.import_wh), difference(old.export_wh, new.export_wh)];
        (wh != [0, 0]).then_some(Change { start: new.start, wh })
    };
    Ok(corrected.series.entries().iter().filter_map(of).collect())
}

/// What a corrected file changes, as one object.
///
/// # Errors
/// [`SourceError::Resample`].
pub fn changes_json(first: &Import, corrected: &Import) -> Result<Value, SourceError> {
    let changes = changes(first, corrected)?;
    let sum = |side: usize| changes.iter().filter_map(|c| c.wh.get(side)).sum::<i64>();
    let length = i64::from(first.series.length()).max(1);
    let of = |c: &Change| json!({"interval": c.start.div_euclid(length), "import_wh": c.wh[0], "export_wh": c.wh[1]});
    Ok(json!({
        "change_import_wh": sum(0),
        "change_export_wh": sum(1),
        "changes": changes.iter().map(of).collect::<Vec<_>>(),
    }))
}
