// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IVault} from "./interfaces/IVault.sol";
import {Claim} from "./Types.sol";

/// @dev The vault's books. The first slot has the totals.
struct Ledger {
    /// nano that back the balances, supplier accounts and fee accounts of the state, and the claims sent and not
    /// received
    uint64 poolNano;
    uint64 openUnits;
    uint64 supplierUnits;
    bool depositsPaused;
    /// Two name spaces: a deposit under the claim of somebody's transfer must not stop that transfer's batch.
    mapping(Claim claim => IVault.DepositEntry) deposits;
    mapping(Claim claim => IVault.TransferState) transfers;
    /// smallest parts of the token
    mapping(address account => uint256 amount) withdrawable;
}

/// @title Movements between the parts of the vault
library Books {
    /// @dev nano in a unit, docs/spec/operations.md.
    uint256 internal constant UNIT = 10_000_000;
    /// @dev What the circuit counts.
    uint256 internal constant CAP_NANO = 2 ** 62;

    /// @dev Refuses money beyond the cap. It holds for all later moves: they keep the sum or lower it.
    function requireRoom(Ledger storage ledger, uint256 units) internal view {
        uint256 total = ledger.poolNano + (uint256(ledger.openUnits) + ledger.supplierUnits + units) * UNIT;
        if (total >= CAP_NANO) revert IVault.CapExceeded(total);
    }

    /// @dev Units into the pool. The cap keeps it below 2^64.
    function intoPool(Ledger storage ledger, uint256 units) internal {
        ledger.poolNano += uint64(units * UNIT);
    }

    /// @dev Units out of the pool, to be withdrawn by `account`.
    function credit(Ledger storage ledger, uint256 index, address account, uint256 units, uint256 tokenPerUnit)
        internal
    {
        uint256 nano = units * UNIT;
        if (nano > ledger.poolNano) revert IVault.Insolvent(index);
        ledger.poolNano -= uint64(nano);
        ledger.withdrawable[account] += units * tokenPerUnit;
    }
}
