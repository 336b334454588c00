//! What members, operator and auditor send to each other.

use gridveil_protocol::{
    certificate::{ShownHolding, ShownRetirement},
    codec::{decode_packet, encode_operation, encode_packet, operation_id, packet_id},
    field::{Fr, from_bytes, hex_fr, to_bytes},
    header_operation::HeaderOperation,
    hex,
    opening::{BalanceOpening, BillOpening, PeriodOpening, ReadingOpening},
    operation::{SignedOperation, slot::OperationSlot},
    packet::SignedPacket,
    receipt::{Receipt, ReceiptRequest},
    schnorr::{PublicKey, SecretKey, Signature},
    tariff::Tariff,
    units::Ticks,
};
use gridveil_prover::job::JobId;
use serde::{Deserialize, Serialize};

use crate::json;

/// A packet's canonical bytes: no other bytes mean the same packet.
pub fn packet(data: &[u8]) {
    if let Ok(signed) = decode_packet(data) {
        assert_eq!(encode_packet(&signed), data, "two encodings of one packet");
        let text = serde_json::to_vec(&signed).expect("a packet can be written as JSON");
        assert_eq!(serde_json::from_slice::<SignedPacket>(&text).ok(), Some(signed), "bytes and JSON disagree");
    }
}

/// A packet in JSON. Its identity can be computed; its canonical bytes are read back if its readings are as many as it
/// says.
pub fn packet_json(data: &[u8]) {
    let Some(signed) = json::<SignedPacket>(data) else { return };
    let _ = packet_id(&signed);
    if signed.packet.readings.len() == usize::from(signed.packet.context.intervals)
        && let Ok(again) = decode_packet(&encode_packet(&signed))
    {
        assert_eq!(again, signed, "JSON and bytes disagree");
    }
}

/// An operation in JSON: what a member sends.
pub fn operation(data: &[u8]) {
    let Some(signed) = json::<SignedOperation>(data) else { return };
    let expected = 459 + if signed.mdm.is_some() { 64 } else { 0 };
    assert_eq!(encode_operation(&signed).len(), expected, "a field is missing in the canonical bytes");
    let _ = (operation_id(&signed), signed.operation.message(Fr::from(1u64)), signed.operation.claim(Fr::from(2u64)));
}

/// A header operation in JSON: what the operator and the meter data manager send.
pub fn header_operation(data: &[u8]) {
    let _ = json::<HeaderOperation>(data);
}

/// A request for a receipt in JSON.
pub fn receipt_request(data: &[u8]) {
    if let Some(request) = json::<ReceiptRequest>(data) {
        let _ = request.owner.commitment();
    }
}

/// What the operator answers a member, whose client must not stumble over it.
#[derive(Serialize, Deserialize, PartialEq)]
pub struct Served {
    /// Receipt.
    pub receipt: Receipt,
    /// Tariff of the period.
    pub tariff: Tariff,
}

/// A receipt and a tariff, as an operator who lies would make them. Each step of the check is also taken alone: a
/// forger gets past the steps before it with figures that agree, which mutations seldom find.
pub fn receipt(data: &[u8]) {
    let Some(Served { receipt, tariff }) = json::<Served>(data) else { return };
    let _ = receipt.verify(Some(&receipt.readings), &tariff, receipt.root);
    let _ = receipt.verify(None, &tariff, receipt.root);
    let (_, _) = (receipt.note().commitment(), receipt.after.leaf());
    for signed in &receipt.operations {
        let _ = OperationSlot::compute(&receipt.settled, signed);
    }
    if let Some(correction) = &receipt.correction {
        let _ = (correction.opens(&receipt.settled), correction.compute(&receipt.settled));
    }
}

/// Totals of a period, a balance, a reading or a bill, opened to an auditor.
pub fn opening(data: &[u8]) {
    if let Some(balance) = json::<BalanceOpening>(data) {
        let _ = balance.leaf();
    }
    if let Some(reading) = json::<ReadingOpening>(data) {
        let _ = (reading.before.leaf(), reading.after.leaf());
    }
    if let Some(bill) = json::<BillOpening>(data) {
        let _ = (bill.before.leaf(), bill.after.leaf());
        for signed in &bill.operations {
            let _ = OperationSlot::compute(&bill.settled, signed);
        }
    }
    let Some(opening) = json::<PeriodOpening>(data) else { return };
    let leaf = opening.after.leaf();
    if let Some(place) = &opening.genesis {
        let _ = place.root(leaf, opening.community);
    }
}

/// A holding of certificates, shown to an auditor.
pub fn holding(data: &[u8]) {
    let _ = json::<ShownHolding>(data);
}

/// A certificate that was retired, shown to anybody.
pub fn retirement(data: &[u8]) {
    let Some(shown) = json::<ShownRetirement>(data) else { return };
    let opens = shown.statement.verify(shown.commitment).is_ok();
    assert!(!opens || shown.statement.commitment() == shown.commitment, "a statement opens another's commitment");
    let _ = shown.statement.info();
}

/// A public key or a signature of 64 bytes, a secret key or a field element of 32: each has one spelling.
pub fn curve_points(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<64>() {
        assert!(PublicKey::from_bytes(bytes).map_or(true, |key| key.to_bytes() == *bytes), "two spellings of a key");
        assert!(Signature::from_bytes(bytes).map_or(true, |s| s.to_bytes() == *bytes), "two spellings of a signature");
    }
    if let Some(bytes) = data.first_chunk::<32>() {
        assert!(SecretKey::from_bytes(bytes).map_or(true, |key| key.to_bytes() == *bytes), "two spellings of a secret");
        assert!(from_bytes::<Fr>(bytes).map_or(true, |x| to_bytes(&x) == *bytes), "two spellings of an element");
    }
}

/// Hex digits and numbers in addresses, options and JSON.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let same = |written: String| assert_eq!(written, text.to_ascii_lowercase(), "read as something else");
    if let Some(x) = hex_fr::parse(text) {
        same(hex::hex0(to_bytes(&x)));
    }
    if let Some(bytes) = hex::parse0::<20>(text) {
        same(hex::hex0(bytes));
    }
    if let Some(id) = JobId::parse(text) {
        assert_eq!(id.to_string(), text, "two spellings of an id");
    }
    if let Ok(ticks) = text.parse::<Ticks>() {
        assert_eq!(ticks.0.to_string().parse::<Ticks>(), Ok(ticks));
    }
}
