//! The header slot (HEADER.1 to HEADER.6): money of the operator, and what the meter data manager decides.

use gridveil_protocol::{
    header_operation::{HeaderOperation, Place, Pool},
    params::{Shape, UNIT_NANO, UNITS_BITS},
    poseidon::DomainTag,
    record::RecordKind,
    schnorr::{Signature, empty_slot_key},
};
use halo2curves::ff::Field;

use super::{
    account::Common,
    members::native,
    records::{self, Records},
    signature,
    state::{HeaderCells, at, imported},
};
use crate::{
    Fr,
    chips::poseidon::Input,
    gadgets::{Builder, power},
    trace::Cell,
};

/// Rows of the header slot's block.
pub const ROWS: usize = 36;

/// What the header slot hands on.
#[derive(Clone, Copy, Debug)]
pub struct HeaderSlot {
    /// Added to the supplier account.
    pub supplier_account: Cell,
    /// Added to the fee account.
    pub fee_account: Cell,
    /// 1 if money leaves the supplier account: the reserve must stay.
    pub outflow: Cell,
    /// Mechanism after.
    pub mechanism: Cell,
    /// The meter data manager after.
    pub mdm: [Cell; 2],
    /// Reserve after.
    pub reserve: Cell,
    /// Nonce after.
    pub nonce: Cell,
    /// Skipped periods.
    pub skip: Cell,
}

/// Writes the header slot.
pub fn header_slot(
    b: &mut Builder,
    shape: &Shape,
    common: &Common,
    header: &HeaderCells,
    records: &mut Records,
    w: &HeaderOperation,
) -> HeaderSlot {
    let one = Fr::ONE;
    b.block(ROWS);
    b.set_clause("HEADER.1");
    let pool = |pool: Pool| w.transfer.is_some_and(|t| t.pool == pool);
    let supplier_in = b.bit(("HEADER.1", "supplier_in", 0), pool(Pool::SupplierIn));
    let supplier_out = b.bit(("HEADER.1", "supplier_out", 0), pool(Pool::SupplierOut));
    let fee_out = b.bit(("HEADER.2", "fee_out", 0), pool(Pool::FeeOut));
    let units = b.witness(("HEADER.1", "units", 0), Fr::from(w.transfer.map_or(0, |t| t.units)));
    b.assert_range(units, UNITS_BITS);
    let transfer = b.linear(&[(one, supplier_in), (one, supplier_out), (one, fee_out)], Fr::ZERO);
    b.assert_boolean(transfer);
    let direction = b.sub(supplier_in, supplier_out);
    let nano = Fr::from(UNIT_NANO);
    let zero = b.zero();
    let supplier_account = b.mul_add(nano, direction, units, Fr::ZERO, zero);
    b.set_clause("HEADER.2");
    let fee_account = b.mul_add(-nano, fee_out, units, Fr::ZERO, zero);
    b.set_clause("HEADER.1");
    let kinds =
        [(RecordKind::SupplierIn, supplier_in), (RecordKind::SupplierOut, supplier_out), (RecordKind::FeeOut, fee_out)];
    let code = b.linear(&kinds.map(|(kind, bit)| (Fr::from(kind.code()), bit)), Fr::ZERO);
    let w0 = records::first_word(b, code, units, zero);
    records.push(b, transfer, [w0, zero]);

    b.set_clause("HEADER.3");
    let managed = b.bit(("HEADER.3", "managed", 0), w.management.is_some());
    let set = w.management.as_ref().map(|m| m.management);
    let elements =
        set.map(|m| m.elements(gridveil_protocol::field::Fr::from(0u64), &Place::default()).map(|x| imported(&x)));
    let [_, _, mechanism, x, y, reserve, skip] = elements.unwrap_or([Fr::ZERO; 7]);
    let place = b.linear(
        &[(one, common.community), (power(32), header.0[at::NONCE]), (power(96), common.first_interval)],
        Fr::ZERO,
    );
    let free = |b: &mut Builder, name, value| Input::Free(b.trace.free(("HEADER.3", name, 0), value));
    let inputs = [
        Input::Copy(common.domain),
        Input::Copy(place),
        free(b, "mechanism", mechanism),
        free(b, "mdm_x", x),
        free(b, "mdm_y", y),
        free(b, "reserve", reserve),
        free(b, "skip", skip),
    ];
    let (digest, cells) = b.sponge(DomainTag::HeaderOperation, &inputs);
    let cell = |i: usize| cells.get(i).copied().unwrap_or(digest);
    let key = signature::key_or_nobody(b, managed, common.mdm);
    let own = w.management.as_ref().map_or_else(|| nobodys(native(b.value(digest))), |m| m.signature);
    signature::verify(
        b,
        shape.members + 2 * shape.operations,
        key,
        DomainTag::HeaderOperation,
        &own,
        vec![Input::Copy(digest)],
    );
    let mdm = std::array::from_fn(|i| b.select(managed, cell(3 + i), header.0[at::MDM[i]]));
    b.set_clause("HEADER.4");
    let mechanism = b.select(managed, cell(2), header.0[at::MECHANISM]);
    b.assert_boolean(mechanism);
    let reserve = b.select(managed, cell(5), header.0[at::RESERVE]);
    b.assert_range(reserve, 64);
    b.set_clause("HEADER.5");
    let skip = b.mul(managed, cell(6));
    b.assert_range(skip, 16);
    b.set_clause("HEADER.6");
    let nonce = b.linear(&[(one, header.0[at::NONCE]), (one, transfer), (one, managed)], Fr::ZERO);
    b.assert_range(nonce, 64);
    HeaderSlot { supplier_account, fee_account, outflow: supplier_out, mechanism, mdm, reserve, nonce, skip }
}

fn nobodys(message: gridveil_protocol::field::Fr) -> Signature {
    let signature = empty_slot_key().sign(DomainTag::HeaderOperation, &[message]);
    signature.unwrap_or(Signature { r_x: message, s: gridveil_protocol::field::Scalar::from(0u64) })
}
