//! The words of a table of lies: each changes one thing in what a node tells.
//!
//! ```text
//! drop NAME [n]                 the nth effect of this name (from 0) is not told
//! again NAME [n]                it is told twice
//! set NAME [n] FIELD VALUE      one field of it is another
//! elsewhere NAME [n]            it is of another transaction
//! begin | end NAME FIELD=VALUE  an effect more, before or after all others
//! swap I J                      two effects in the other order
//! record BATCH I KIND UNITS W1  record I of the batch's calldata is another
//! add BATCH KIND W1             a record more
//! cut BATCH RECORDS             no more than so many records
//! call NAME [n] [inside] forget | FIELD VALUE    the calldata of its transaction: not there, or another; inside another call
//! say FIGURE VALUE              a figure of the present
//! terms I VALUE                 the terms that a community was registered with
//! freeze before batch N         the freeze is told before the nth batch
//! close C before NAME [n]       a community's whole end is told before an effect
//! exchange notes                the first certificate's two notes
//! forget calldata | note        of the last batch; the last in the queue
//! ```

use gridveil_protocol::{
    field::to_bytes,
    record::{Record, RecordKind},
};
use gridveil_verifier_contract::{RollupEffect as Effect, RollupEvent, Word, memory::Told};
use serde_json::{Map, Value, json};

use super::{ALICE, BOB, OWN_WORDS, info, padded, record};
use crate::common::{ZERO, word};

/// Changes `told` as the words of `lie` say.
pub fn tell(told: &mut Told, lie: &str) {
    let words: Vec<&str> = lie.split_whitespace().collect();
    match words[..] {
        ["drop", ref effect @ ..] => _ = told.events.remove(place(told, effect)),
        ["again", ref effect @ ..] => {
            let at = place(told, effect);
            told.events.insert(at, told.events[at]);
        }
        ["set", ref effect @ .., field, value] => {
            let at = place(told, effect);
            let mut json = serde_json::to_value(told.events[at].effect).unwrap();
            let fields = json.as_object_mut().unwrap().values_mut().next().unwrap();
            fields[field] = self::value(field, value);
            told.events[at].effect = serde_json::from_value(json).unwrap();
        }
        ["elsewhere", ref effect @ ..] => {
            let at = place(told, effect);
            told.events[at].tx = ZERO;
        }
        ["begin", name, ref fields @ ..] => {
            told.events.insert(0, RollupEvent { block: 0, tx: ZERO, effect: effect(name, fields) });
        }
        ["end", name, ref fields @ ..] => {
            told.events.push(RollupEvent { block: 1_000, tx: ZERO, effect: effect(name, fields) });
        }
        ["swap", a, b] => told.events.swap(number(a), number(b)),
        ["record", batch, index, kind, units, w1] => {
            let Record { w0, w1 } = record(kind_of(kind), units.parse().unwrap(), word_of(w1));
            let at = OWN_WORDS + 2 * number(index);
            told.batches[number(batch) - 1].call.data.splice(at..at + 2, [to_bytes(&w0), to_bytes(&w1)]);
        }
        ["add", batch, kind, w1] => {
            told.batches[number(batch) - 1].call.data.extend([word(kind_of(kind).code()), word_of(w1)]);
        }
        ["cut", batch, records] => {
            told.batches[number(batch) - 1].call.data.truncate(OWN_WORDS + 2 * number(records));
        }
        ["call", ref effect @ .., "forget"] => _ = told.calls.remove(&told.events[place(told, effect)].tx),
        ["call", ref effect @ .., "inside"] => call(told, effect, true, None),
        ["call", ref effect @ .., "inside", field, value] => call(told, effect, true, Some((field, value))),
        ["call", ref effect @ .., field, value] => call(told, effect, false, Some((field, value))),
        ["say", "token_balance", value] => told.vault.token_balance = value.parse().unwrap(),
        ["say", "coin_balance", value] => told.vault.coin_balance = value.parse().unwrap(),
        ["say", "open_units", value] => told.vault.open_units = value.parse().unwrap(),
        ["say", "supplier_units", value] => told.supplier_units = value.parse().unwrap(),
        ["say", "pool_nano", value] => told.vault.pool_nano = value.parse().unwrap(),
        ["say", "frozen", value] => told.frozen = value != "0",
        ["say", "forced_slot", value] => told.forced.get_mut(&3).unwrap()[0].slot = value.parse().unwrap(),
        ["terms", index, value] => told.communities[number(index)].genesis_terms = word_of(value),
        ["freeze", "before", "batch", nth] => {
            let mut freeze = told.events.remove(place(told, &["Frozen"]));
            let at = place(told, &["BatchSettled", nth]);
            freeze.block = told.events[at].block;
            told.events.insert(at, freeze);
        }
        ["close", community, "before", ref effect @ ..] => {
            let (at, community) = (place(told, effect), community.parse().unwrap());
            let batch = |event: &&RollupEvent| matches!(event.effect, Effect::BatchSettled { .. });
            let last_batch = told.events[..at].iter().filter(batch).count() as u64;
            let RollupEvent { block, tx, .. } = told.events[at];
            let end = [
                Effect::CommunityClosing { community, closes_at: 0 },
                Effect::CommunityEnding { community },
                Effect::CommunityClosed { community, last_batch },
            ];
            told.events.splice(at..at, end.map(|effect| RollupEvent { block, tx, effect }));
        }
        ["exchange", "notes"] => {
            let at = place(told, &["CertificateSpent"]);
            let Effect::CertificateSpent { note_1, note_2, .. } = &mut told.events[at].effect else { panic!("{lie}") };
            std::mem::swap(note_1, note_2);
        }
        ["forget", "calldata"] => _ = told.batches.pop(),
        ["forget", "note"] => _ = told.notes.pop(),
        _ => panic!("no such lie: {lie}"),
    }
}

/// Another call in the calldata of an effect's transaction.
fn call(told: &mut Told, effect: &[&str], inside: bool, edit: Option<(&str, &str)>) {
    let roots = told.roots.clone();
    let calls = told.calls.get_mut(&told.events[place(told, effect)].tx).unwrap();
    calls.direct &= !inside;
    let mut json = serde_json::to_value(&calls.calls[0]).unwrap();
    if let Some((field, value)) = edit {
        json.as_object_mut().unwrap().values_mut().next().unwrap()[field] = match field {
            "proof" => json!([value.parse::<u8>().unwrap()]),
            "siblings" => json!([]),
            "anchor" if value.starts_with("root:") => json!(roots[number(&value[5..])]),
            "anchor" | "header_leaf" | "s1" | "sa" => json!(word_of(value)),
            _ => self::value(field, value),
        };
    }
    calls.calls[0] = serde_json::from_value(json).unwrap();
}

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

/// Place of the nth effect of a name, the first if no number is given.
fn place(told: &Told, effect: &[&str]) -> usize {
    let (name, nth) = match effect {
        [name] => (name, 0),
        [name, nth] => (name, number(nth)),
        _ => panic!("an effect is a name and a number: {effect:?}"),
    };
    let named = |event: &RollupEvent| format!("{:?}", event.effect).split([' ', '(']).next() == Some(name);
    told.events.iter().enumerate().filter(|(_, event)| named(event)).nth(nth).unwrap().0
}

fn effect(name: &str, fields: &[&str]) -> Effect {
    let fields: Map<String, Value> = fields
        .iter()
        .map(|field| field.split_once('=').unwrap())
        .map(|(field, text)| (field.to_owned(), value(field, text)))
        .collect();
    serde_json::from_value(json!({ name: fields })).unwrap()
}

/// A field's value, by the field's name: words, accounts, a flag, numbers.
fn value(field: &str, text: &str) -> Value {
    match field {
        "claim" | "root" | "anchor" | "nullifier" | "note_1" | "note_2" | "retirement" | "disclosed"
        | "beneficiary" => {
            json!(word_of(text))
        }
        "depositor" | "account" | "requester" | "payer" | "payout" | "verifier" => {
            json!(if text == "alice" { ALICE } else { BOB })
        }
        "paused" | "undone" => json!(text == "true"),
        _ => json!(text.parse::<u64>().unwrap()),
    }
}

fn word_of(text: &str) -> Word {
    match text {
        "ones" => [1; 32],
        "high" => [0xff; 32],
        "alice" => to_bytes(&padded(ALICE)),
        "bob" => to_bytes(&padded(BOB)),
        _ => text.strip_prefix("info:").map_or_else(|| word(text.parse().unwrap()), info_of),
    }
}

fn info_of(text: &str) -> Word {
    let parts: Vec<&str> = text.split(',').collect();
    let [amount, first, m, community, ref above @ ..] = parts[..] else { panic!("{text}") };
    let mut out = info(amount.parse().unwrap(), first.parse().unwrap(), m.parse().unwrap(), community.parse().unwrap());
    if above == ["above"] {
        out[14] = 1;
    }
    out
}

fn kind_of(name: &str) -> RecordKind {
    match name {
        "DEPOSIT" => RecordKind::Deposit,
        "WITHDRAW" => RecordKind::Withdraw,
        "SEND" => RecordKind::Send,
        "RECEIVE" => RecordKind::Receive,
        "FORCED" => RecordKind::Forced,
        "SUPPLIER_IN" => RecordKind::SupplierIn,
        "NOTE" => RecordKind::Note,
        "INIT" => RecordKind::Init,
        _ => panic!("no such kind: {name}"),
    }
}
