// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "../IGridveilRollup.sol";

/// @title Heads of an audit log, each for more entries than the one before
/// @notice A head is a hash over sealed entries: it tells nothing of what is in them. Specification:
/// docs/spec/audit-log.md.
interface IAuditHeads {
    /// @notice The operator's audit log had this head after this many entries.
    /// @param count entries, from the first on
    /// @param head chain value after the last of them
    event AuditHead(uint64 count, bytes32 head);

    /// @notice The head is for no more entries than one before: what was published is not taken back.
    /// @param count entries of the last head
    error NotAhead(uint64 count);

    /// @notice The rollup whose operator publishes.
    /// @return rollup its address
    function rollup() external view returns (IGridveilRollup rollup);
    /// @notice Entries of the last head; 0 before the first.
    /// @return count of entries
    function count() external view returns (uint64 count);
    /// @notice Publishes a head (operator).
    /// @param entries how many the log has; more than any head before
    /// @param head chain value after the last of them
    function publish(uint64 entries, bytes32 head) external;
}
