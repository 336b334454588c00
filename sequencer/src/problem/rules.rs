//! What the rules refuse, as refusals of the API: each error of `protocol` has one code.

use gridveil_protocol::{
    correction::CorrectionError, header_operation::HeaderError, operation::slot::OperationError, packet::PacketError,
    settlement::SettlementError,
};

use super::*;

impl Problem {
    /// A packet that [`gridveil_protocol::packet::check_packet`] refuses.
    #[must_use]
    pub fn of_packet(error: &PacketError) -> Self {
        let code = match error {
            PacketError::Signature { .. } => PACKET_SIGNATURE,
            PacketError::Length { .. } => PACKET_LENGTH,
            PacketError::Scale { .. } => PACKET_SCALE,
            PacketError::PreviousInMetered { .. } => PACKET_PREVIOUS_SUBSTITUTE,
            PacketError::PreviousIsAnother { .. } => PACKET_STALE,
            PacketError::Inactive { .. } => PACKET_INACTIVE,
            PacketError::AboveCap { .. } => PACKET_CAP,
            PacketError::SubstitutedEmpty { .. } | PacketError::ActiveEmpty { .. } | PacketError::Terms { .. } => {
                ACCOUNT_UNKNOWN
            }
            PacketError::Slot { .. } | PacketError::Context { .. } => PACKET_CONTEXT,
        };
        Self::new(code, error.to_string())
    }

    /// A settlement that the rules refuse.
    #[must_use]
    pub fn of_settlement(error: &SettlementError) -> Self {
        let code = match error {
            SettlementError::SupplierTooSmall { .. } => SETTLEMENT_SUPPLIER,
            SettlementError::FeeAccount => SETTLEMENT_FEE_ACCOUNT,
            SettlementError::BalanceOverflow { .. } => SETTLEMENT_BALANCE,
            SettlementError::TooMuchEnergy { .. } => SETTLEMENT_ENERGY,
            SettlementError::RegisterOverflow { .. } => SETTLEMENT_REGISTER,
            SettlementError::PacketCount { .. }
            | SettlementError::Packet(_)
            | SettlementError::DebtTotal
            | SettlementError::PeriodOverflow
            | SettlementError::TariffLength { .. }
            | SettlementError::TotalOverflow
            | SettlementError::Certificates
            | SettlementError::Operations(_)
            | SettlementError::StatePath => SETTLEMENT_REFUSED,
        };
        Self::new(code, error.to_string()).with(|members| members.clause = Some(error.clause().to_owned()))
    }

    /// An operation that an operation slot refuses. The text names clause, what and whose fault; nothing of the account.
    #[must_use]
    pub fn of_operation(error: &OperationError) -> Self {
        let detail = if let OperationError::Nonce { .. } = error {
            "OP.1: not the slot's next nonce (owner)".to_owned()
        } else {
            error.to_string()
        };
        Self::new(of_operation(error), detail).with(|members| members.clause = Some(error.clause().to_owned()))
    }

    /// A correction that the rules refuse.
    #[must_use]
    pub fn of_correction(error: &CorrectionError) -> Self {
        if let CorrectionError::Packet(error) = error {
            return Self::of_packet(error);
        }
        Self::new(of_correction(error), error.to_string())
            .with(|members| members.clause = Some(error.clause().to_owned()))
    }

    /// A header operation that the rules refuse.
    #[must_use]
    pub fn of_header(error: &HeaderError) -> Self {
        Self::new(of_header(error), error.to_string()).with(|members| members.clause = Some(error.clause().to_owned()))
    }
}

/// Code of an operation slot's refusal.
#[must_use]
pub const fn of_operation(error: &OperationError) -> Code {
    match error {
        OperationError::Signature(_) => OPERATION_SIGNATURE,
        OperationError::NotOwner => OPERATION_OWNER,
        OperationError::Nonce { .. } | OperationError::NonceOverflow => OPERATION_NONCE,
        OperationError::Mdm => OPERATION_MDM,
        OperationError::Slot => OPERATION_SLOT,
        OperationError::Field(_) => OPERATION_FIELD,
        OperationError::Units => OPERATION_UNITS,
        OperationError::Insufficient => OPERATION_INSUFFICIENT,
        OperationError::InDebt => OPERATION_IN_DEBT,
        OperationError::Overflow => OPERATION_OVERFLOW,
        OperationError::NotAll => OPERATION_NOT_ALL,
        OperationError::Forced => OPERATION_FORCED,
        OperationError::NotEmpty => OPERATION_NOT_EMPTY,
        OperationError::Terms => OPERATION_TERMS,
    }
}

/// Code of a correction's refusal.
#[must_use]
pub const fn of_correction(error: &CorrectionError) -> Code {
    match error {
        CorrectionError::NotPending { .. } => CORRECTION_NOT_PENDING,
        CorrectionError::Packet(_) => CORRECTION_PACKET,
        CorrectionError::Tariff => CORRECTION_TARIFF,
        CorrectionError::Overflow => CORRECTION_OVERFLOW,
        CorrectionError::Registers => CORRECTION_REGISTERS,
    }
}

/// Code of a header operation's refusal.
#[must_use]
pub const fn of_header(error: &HeaderError) -> Code {
    match error {
        HeaderError::Units => HEADER_UNITS,
        HeaderError::Reserve => HEADER_RESERVE,
        HeaderError::FeeAccount => HEADER_FEE_ACCOUNT,
        HeaderError::Signature(_) => HEADER_SIGNATURE,
        HeaderError::Skip => HEADER_SKIP,
    }
}
