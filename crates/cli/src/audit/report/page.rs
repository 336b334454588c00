//! The report for people: one page, without scripts, without anything from elsewhere, every value escaped.

use gridveil_auditor::{AuditReport, Verdict, deployment::Outcome};

use crate::common::{
    html::{STYLE, escaped, table},
    text,
};

fn pairs<const N: usize>(rows: [(&str, String); N]) -> impl Iterator<Item = Vec<String>> {
    rows.into_iter().map(|(name, value)| vec![name.to_owned(), value])
}

/// The page.
pub(super) fn page(report: &AuditReport) -> String {
    let subject = &report.subject;
    let class = match report.auditor {
        Verdict::Ok => "ok",
        Verdict::Incomplete => "incomplete",
        Verdict::Failed => "failed",
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Audit of {}</title><style>{STYLE}</style></head><body>\n\
         <h1>Audit of rollup {} on chain {}</h1>\n<p class=\"verdict {class}\">{}</p>\n",
        escaped(&subject.contract),
        escaped(&subject.contract),
        subject.chain_id,
        escaped(&report.verdict)
    );
    let continued = report.continued_from.map_or_else(
        || "everything from the deployment on was read".to_owned(),
        |block| format!("what came up to block {block} was verified by an earlier audit (checkpoint)"),
    );
    let rows = [
        ("block", format!("{} of {}", subject.block, subject.date)),
        ("block hash", subject.block_hash.clone()),
        ("node", subject.believed().to_owned()),
        ("setup of the proofs", subject.setup.clone()),
        ("settled", subject.span()),
        ("batches", format!("{}, {} proofs verified", report.batches, report.proofs_verified)),
        ("read", format!("{continued}; blake3 {}", report.read_blake3)),
        ("findings", report.failures.len().to_string()),
        ("not verifiable", report.unverified.len().to_string()),
    ];
    table(&mut out, "What was audited", &[], pairs(rows));
    findings(&mut out, report);
    if let Some(terms) = &subject.terms {
        let rows = [
            ("token", terms.token.to_string()),
            ("parts of the token in 0.01", terms.token_per_unit.to_string()),
            ("forced withdrawals are served within", format!("{} s", terms.forced_deadline_s)),
            ("refunds are paid after", format!("{} s", terms.refund_delay_s)),
            ("later verifiers wait", format!("{} s", terms.verifier_delay_s)),
            ("first forced bond", format!("{} wei", terms.forced_bond_wei)),
            (
                "tariffs are registered before they start",
                if terms.enforce_future_tariffs { "yes" } else { "no" }.to_owned(),
            ),
            ("treasury", terms.treasury.to_string()),
        ];
        table(&mut out, "What is fixed", &[], pairs(rows));
    }
    money(&mut out, report);
    let communities = subject.communities.iter().map(|community| {
        vec![
            community.community.to_string(),
            community.shape.clone(),
            format!("{} x {} s", community.intervals, community.interval_length_s),
            community.periods.to_string(),
            community.from.clone().unwrap_or_default(),
            community.until.clone().unwrap_or_default(),
        ]
    });
    table(&mut out, "Communities", &["community", "shape", "period", "settled periods", "from", "until"], communities);
    let retired = report.certificates.public.iter().map(|period| {
        let wh = [period.consumed_wh, period.expired_wh, period.exported_wh].map(text::kwh);
        [vec![period.community.to_string(), report.begins(period)], wh.to_vec()].concat()
    });
    let header = ["community", "period from (UTC)", "consumed kWh", "expired kWh", "exported kWh"];
    table(&mut out, "Public retirements", &header, retired);
    let versions = report.versions.iter().map(|used| {
        let (native, by_verifier, missing) = (&used.native, &used.by_verifier, &used.missing);
        vec![
            used.version.to_string(),
            used.shape.to_string(),
            native.to_string(),
            by_verifier.to_string(),
            missing.to_string(),
        ]
    });
    let header = ["circuit version", "shape", "batches verified here", "by the contract alone", "missing"];
    table(&mut out, "Circuit versions", &header, versions);
    deployment(&mut out, report);
    let decisions = report.timeline.iter().map(|decision| {
        let block = decision.block.to_string();
        vec![decision.date.clone(), block, decision.about.to_owned(), decision.what.clone(), decision.tx.clone()]
    });
    table(&mut out, "Decisions, in order", &["date", "block", "about", "what", "transaction"], decisions);
    out.push_str(
        "<p>What ok means, and what it does not: docs/what-ok-means.md. To check that this page is the one that was made: \
         <code>gridveil audit check-report</code> with this folder.</p>\n</body></html>\n",
    );
    out
}

fn findings(out: &mut String, report: &AuditReport) {
    let failures = report.failures.iter().map(|failure| {
        let batch = failure.batch.map_or_else(|| "-".to_owned(), |batch| batch.to_string());
        vec![batch, failure.clause.to_owned(), failure.what.clone()]
    });
    table(out, "Findings", &["batch", "clause", "what does not hold"], failures);
    let unverified = report.unverified.iter().map(|one| vec![one.block.to_string(), one.what.clone(), one.tx.clone()]);
    table(out, "Not verifiable", &["block", "what", "transaction"], unverified);
}

fn money(out: &mut String, report: &AuditReport) {
    let (money, books) = (&report.money, &report.books);
    let compared = if books.solvency_compared { "" } else { " (not compared with what it has)" };
    let rows = [
        ("pool", text::money(money.pool_nano)),
        ("deposits taken in, units", money.deposited_units.to_string()),
        ("deposits open, units", books.open_units.to_string()),
        ("refunded, units", books.refunded_units.to_string()),
        ("withdrawn, units", money.withdrawn_units.to_string()),
        ("forced withdrawals, units", money.forced_units.to_string()),
        ("supplier funds, units", books.supplier_funds_units.to_string()),
        ("to the treasury, units", money.treasury_units.to_string()),
        ("exited", text::money(money.exited_nano)),
        ("accounts may fetch, parts of the token", books.withdrawable.to_string()),
        ("the vault owes, parts of the token", format!("{}{compared}", books.owed)),
        ("the vault has, parts of the token", books.held.to_string()),
        ("bonds owed, wei", books.owed_wei.to_string()),
        ("the contract has, wei", books.held_wei.to_string()),
        ("frozen", if books.frozen { "yes" } else { "no" }.to_owned()),
        ("exits and claims verified", format!("{} of {}", books.exits_verified, books.exits + books.claim_exits)),
        (
            "certificate statements",
            format!("{} of {} verified", report.certificates.verified, report.certificates.spent),
        ),
    ];
    table(out, "Money and certificates", &[], pairs(rows));
}

fn deployment(out: &mut String, report: &AuditReport) {
    let checks = report.deployment.iter().flat_map(|deployment| &deployment.checks).map(|check| {
        let (mark, what) = match &check.outcome {
            Outcome::Ok(what) => ("ok", what),
            Outcome::NotChecked(what) => ("not checked", what),
            Outcome::Failed(what) => ("FAILED", what),
        };
        vec![check.subject.clone(), mark.to_owned(), what.clone()]
    });
    table(out, "Code and configuration", &["what", "outcome", "found"], checks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_markup() {
        assert_eq!(escaped("<script>\"&'\u{7}"), "&lt;script&gt;&quot;&amp;&#39;\u{fffd}");
        let mut out = String::new();
        table(&mut out, "a<b", &["c>d"], [vec!["<img src=x>".to_owned()]]);
        assert!(!out.contains("<img") && !out.contains("a<b") && !out.contains("c>d"), "{out}");
        assert!(!STYLE.contains("url(") && !STYLE.contains('@'));
    }
}
