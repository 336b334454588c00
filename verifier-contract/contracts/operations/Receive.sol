// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";
import {Ledger} from "../Ledger.sol";
import {Claim} from "../Types.sol";

/// @title Record 4: an account receives what another sent
library Receive {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 4;

    /// @dev Once, and only what was sent.
    function close(Ledger storage ledger, uint256 index, Claim claim) internal {
        if (ledger.transfers[claim] != IVault.TransferState.Open) revert IVault.TransferNotOpen(index, claim);
        ledger.transfers[claim] = IVault.TransferState.Received;
        emit IVault.TransferReceived(claim);
    }
}
