// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISettle} from "../interfaces/ISettle.sol";
import {IVault} from "../interfaces/IVault.sol";
import {Books, Ledger} from "../Ledger.sol";

/// @title Record 2: an account withdraws, or is closed
library Withdraw {
    using Books for Ledger;

    /// @dev Kind of the record.
    uint256 internal constant KIND = 2;

    /// @dev A pull payment: what the payout account does or is cannot stop the batch.
    function credit(Ledger storage ledger, uint256 index, bytes32 payout, uint256 units, uint256 tokenPerUnit)
        internal
    {
        if (uint256(payout) >> 160 != 0) revert ISettle.BadRecord(index);
        address account = address(uint160(uint256(payout)));
        ledger.credit(index, account, units, tokenPerUnit);
        emit IVault.WithdrawalCredited(account, uint48(units));
    }
}
