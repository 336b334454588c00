// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";
import {Ledger} from "../Ledger.sol";
import {Claim} from "../Types.sol";

/// @title Record 3: an account sends money to another; the claim waits to be received
library Send {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 3;

    /// @dev A claim is sent once: it could be received only once.
    function open(Ledger storage ledger, uint256 index, Claim claim) internal {
        if (ledger.transfers[claim] != IVault.TransferState.None) revert IVault.TransferNotNew(index, claim);
        ledger.transfers[claim] = IVault.TransferState.Open;
        emit IVault.TransferOpened(claim);
    }
}
