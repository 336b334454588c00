//! The export as a page for people: nothing on it is from elsewhere, and no file is needed to read it.

use std::fmt::Write as _;

use gridveil_api::export::{ExportedAccount, GoneRecord};
use gridveil_meter_client::calendar;
use gridveil_protocol::{hex::hex0, units::Interval};
use gridveil_readings::zone::Zone;

use super::{
    ABOUT, ACCOUNT_CSV, GONE, Listed, MANIFEST, OPERATIONS, PACKETS, PERIODS, READINGS_CSV, RECEIPTS, STATES, TARIFFS,
    TRADES_CSV, folder::Told, notice::Notice,
};
use crate::common::{
    html::{STYLE, escaped, table},
    text,
};

/// What is in a file, in words.
const FILES: [(&str, &str); 12] = [
    (
        READINGS_CSV,
        "What your meter sent, or a substitute said in its place: energy taken from the network and fed in, for each interval, in Wh. Every packet is listed; the column \"counts\" says no where a period began anew",
    ),
    (
        TRADES_CSV,
        "What was settled: energy, what of it was traded with neighbours, and the local price for a kWh, for each interval",
    ),
    (ACCOUNT_CSV, "Balance, debt and energy registers after each period, and the count of your operations"),
    (STATES, "The account after each period, with the random numbers (salts) that open its commitment on the chain"),
    (PACKETS, "The packets as they were sent, with their signatures"),
    (OPERATIONS, "What you asked for and signed: payments in and out, transfers, new keys, with what became of each"),
    (PERIODS, "Which periods were settled, and where the proof of each is on the chain"),
    (TARIFFS, "Prices that applied. They are public"),
    (
        RECEIPTS,
        "For each period the statement with account before and after, and the path to the root on the chain, by which every figure can be checked",
    ),
    (GONE, "What is still there as bytes and that nobody can read any more, because its key was erased"),
    (ABOUT, "Which account this is, and when the export was made"),
    ("notice.toml", "What the operator says of purposes, legal bases, recipients and storage"),
];

fn paragraph(out: &mut String, text: &str) {
    let _ = writeln!(out, "<p>{}</p>", escaped(text));
}

/// The page.
pub(super) fn page(about: &ExportedAccount, zone: &Zone, told: &Told, notice: &Notice, others: &[Listed]) -> String {
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Your data</title><style>{STYLE}</style><h1>Your data</h1>\n"
    );
    let local = |seconds: u64| calendar::local(i64::try_from(seconds).unwrap_or(i64::MAX), zone);
    let state = match (about.lives, about.erased) {
        (true, _) => "open",
        (false, false) => "ended",
        (false, true) => "ended, and erased in part or whole",
    };
    paragraph(
        &mut out,
        "This is everything that the operator of your energy community holds of your account, as it was at the time below. \
         It is confidential: with it others see when you used how much energy. It holds nothing of other members, but for \
         what your own statements always had: the local price, and what you traded.",
    );
    table(
        &mut out,
        "The account",
        &[],
        [
            ["made".to_owned(), local(about.made_s)],
            ["community".to_owned(), about.community.to_string()],
            ["slot".to_owned(), about.slot.to_string()],
            ["account of the slot".to_owned(), about.account.to_string()],
            ["state".to_owned(), state.to_owned()],
            ["chain".to_owned(), about.chain_id.to_string()],
            ["contract".to_owned(), hex0(about.contract)],
            ["times are by the clock of".to_owned(), zone.name().to_owned()],
        ]
        .map(Vec::from),
    );
    controller(&mut out, notice);
    current(&mut out, told, about, &local);
    periods(&mut out, about, zone, told);
    table(
        &mut out,
        "What you signed",
        &["What", "What became of it"],
        told.operations.iter().map(|(kind, outcome)| vec![kind.effect().title.to_owned(), outcome.clone()]),
    );
    let gone = |what: &GoneRecord| match what {
        GoneRecord::State => "the account after a period",
        GoneRecord::Packet => "packets",
        GoneRecord::Operation => "operations",
        GoneRecord::Late => "late packets",
        GoneRecord::Forced => "forced withdrawals",
        GoneRecord::Receipt => "receipts",
    };
    table(
        &mut out,
        "What was erased",
        &["What", "How many"],
        told.gone.iter().map(|(what, count)| vec![gone(what).to_owned(), count.to_string()]),
    );
    rights(&mut out, notice, about, &local);
    let count = |name: &str| told.counts.get(name).map_or_else(|| "-".to_owned(), u64::to_string);
    let files = FILES.iter().map(|(name, says)| vec![(*name).to_owned(), count(name), (*says).to_owned()]);
    let others = others.iter().map(|file| vec![file.name.clone(), "-".to_owned(), "Added by the operator".to_owned()]);
    table(&mut out, "The files", &["File", "Entries", "What is in it"], files.chain(others));
    paragraph(
        &mut out,
        &format!(
            "Files that end in .jsonl hold one JSON object a line; those that end in .csv are tables. {MANIFEST} lists every \
             file with its BLAKE3 hash, and is signed by the operator. The command \"gridveil member export check FOLDER\" \
             checks hashes, signature, the signatures of packets and operations, every figure of the receipts and, if you \
             name a node of the chain, that their roots and tariffs are those on the chain."
        ),
    );
    out.push_str("</html>\n");
    out
}

fn controller(out: &mut String, notice: &Notice) {
    let mut rows = vec![
        vec!["controller".to_owned(), notice.controller.clone()],
        vec!["contact".to_owned(), notice.contact.clone()],
    ];
    rows.extend(
        notice.data_protection_officer.iter().map(|who| vec!["data protection officer".to_owned(), who.clone()]),
    );
    rows.push(vec!["complaints go to".to_owned(), notice.authority.clone()]);
    rows.push(vec!["where data comes from".to_owned(), notice.source.clone()]);
    table(out, "Who is responsible", &[], rows);
    let purpose = |one: &super::notice::Purpose| vec![one.purpose.clone(), one.basis.clone(), one.data.clone()];
    table(out, "What it is processed for", &["Purpose", "Legal basis", "Data"], notice.purposes.iter().map(purpose));
    let recipient = |one: &super::notice::Recipient| vec![one.who.clone(), one.data.clone()];
    table(out, "Who gets it", &["Recipient", "Data"], notice.recipients.iter().map(recipient));
}

fn current(out: &mut String, told: &Told, about: &ExportedAccount, local: &impl Fn(u64) -> String) {
    let Some(account) = &told.last else { return };
    let terms = &account.terms;
    let start = |interval: Interval| {
        if interval == Interval::MAX { "no end".to_owned() } else { local(interval.start(about.interval_length)) }
    };
    let mut rows = vec![
        vec!["balance".to_owned(), text::money(account.balance.into())],
        vec!["debt".to_owned(), text::money(account.debt.into())],
        vec!["paid out to".to_owned(), hex0(account.payout)],
        vec!["energy from the network so far".to_owned(), format!("{} kWh", text::kwh(account.registers.import))],
        vec!["energy fed in so far".to_owned(), format!("{} kWh", text::kwh(account.registers.export))],
        vec!["active from".to_owned(), start(terms.active_from)],
        vec!["active until".to_owned(), start(terms.active_until)],
        vec!["technology (number of the meter data manager's list)".to_owned(), terms.technology.to_string()],
        vec!["tariff class".to_owned(), terms.class.to_string()],
        vec!["most that a substitute may say, Wh an interval".to_owned(), caps(account)],
    ];
    for (from, _) in told.owners.iter().skip(1) {
        let from = from.map_or_else(|| "-".to_owned(), |from| local(from.start(about.interval_length)));
        rows.push(vec!["another owner's key with the period from".to_owned(), from]);
    }
    table(out, "The account when it was last settled", &[], rows);
}

fn caps(account: &gridveil_protocol::account::Account) -> String {
    let [import, export] =
        [account.terms.cap_import, account.terms.cap_export].map(|cap| u32::from(cap) * u32::from(account.terms.scale));
    format!("{import} from the network, {export} fed in")
}

fn periods(out: &mut String, about: &ExportedAccount, zone: &Zone, told: &Told) {
    let from = |first: Interval| calendar::local(i64::from(first.0) * i64::from(about.interval_length), zone);
    let row = |period: &super::folder::PeriodRow| {
        let energy = &period.energy;
        vec![
            from(period.first),
            text::kwh(energy.import),
            text::kwh(energy.export),
            text::kwh(energy.bought),
            text::kwh(energy.sold),
            text::money(period.value[0]),
            text::money(period.value[1]),
            if period.substituted { "a substitute" } else { "your meter" }.to_owned(),
        ]
    };
    let head =
        ["From", "Used, kWh", "Fed in, kWh", "From neighbours", "To neighbours", "Account before", "After", "By"];
    table(out, "Periods, newest first", &head, told.periods.iter().map(row));
    if told.not_final > 0 {
        paragraph(out, &format!("{} more are settled and not final on the chain yet.", told.not_final));
    }
}

fn rights(out: &mut String, notice: &Notice, about: &ExportedAccount, local: &impl Fn(u64) -> String) {
    let kept = |one: &super::notice::Retention| vec![one.data.clone(), one.kept.clone()];
    let mut rows: Vec<Vec<String>> = notice.retention.iter().map(kept).collect();
    rows.extend(
        about.erased_from_s.map(|from| vec!["this account".to_owned(), format!("erased from {} on", local(from))]),
    );
    table(out, "How long it is kept", &["Data", "Until"], rows);
    table(
        out,
        "Your rights",
        &["Right", "How"],
        [
            ["to have figures corrected", "A late packet of your meter replaces a substitute while that is pending; other data: write to the contact above"],
            ["to be erased", "Once you have left (gridveil member close) and your last period is final, the operator erases the account for ever"],
            ["to have data restricted, or to object", "Write to the contact above"],
            ["to take your data with you", "These files are it: JSON and CSV, for any other program"],
            ["to complain", "To the authority above"],
        ]
        .map(|row| row.map(str::to_owned).to_vec()),
    );
    table(
        out,
        "Also to be known",
        &[],
        [
            vec!["decisions by a program alone".to_owned(), notice.automated_decisions.clone()],
            vec!["outside the Union".to_owned(), notice.transfers.clone()],
            vec![
                "on the public chain".to_owned(),
                "Hiding commitments, which without the random numbers in these files say nothing; and, of payments in and \
                 out that you made on the chain, the address and the amount"
                    .to_owned(),
            ],
        ],
    );
}
