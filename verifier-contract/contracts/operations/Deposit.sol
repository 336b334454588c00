// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";
import {Books, Ledger} from "../Ledger.sol";
import {Claim} from "../Types.sol";

/// @title Record 1: a batch takes in a deposit
library Deposit {
    using Books for Ledger;

    /// @dev Kind of the record.
    uint256 internal constant KIND = 1;

    /// @dev The claim is of an open deposit of exactly these units. Also one whose refund was requested: see
    /// `IVault.requestRefund`.
    function consume(Ledger storage ledger, uint256 index, Claim claim, uint256 units) internal {
        IVault.DepositEntry storage entry = ledger.deposits[claim];
        if (entry.state != IVault.DepositState.Open) revert IVault.DepositNotOpen(index, claim);
        if (entry.units != units) revert IVault.DepositUnits(index, entry.units, units);
        entry.state = IVault.DepositState.Consumed;
        ledger.openUnits -= uint64(units);
        ledger.intoPool(units);
        emit IVault.DepositConsumed(claim, uint48(units));
    }
}
