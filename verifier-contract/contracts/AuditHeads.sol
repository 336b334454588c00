// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IAuditHeads} from "./interfaces/IAuditHeads.sol";

/// @title Heads of the audit log of a rollup's operator
/// @notice Beside the rollup, and no part of it: it moves nothing, and nothing asks it. Who may write is who has the
/// operator's role in the rollup's registry at that time.
contract AuditHeads is IAuditHeads {
    /// @inheritdoc IAuditHeads
    IGridveilRollup public immutable rollup;
    /// @inheritdoc IAuditHeads
    uint64 public count;

    /// @param rollup_ whose operator publishes
    constructor(IGridveilRollup rollup_) {
        rollup = rollup_;
    }

    /// @inheritdoc IAuditHeads
    function publish(uint64 entries, bytes32 head) external {
        rollup.registry().checkRole(Constants.OPERATOR, msg.sender);
        if (entries <= count) revert NotAhead(count);
        count = entries;
        emit AuditHead(entries, head);
    }
}
