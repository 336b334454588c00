// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Numbers that several contracts need
library Constants {
    /// @dev The certificate circuit's first version; all versions from here on are of it, all below of the settlement
    /// circuit.
    uint32 internal constant FIRST_CERTIFICATE_VERSION = 1_000_001;

    /// @dev The chain on which development shortcuts are allowed.
    uint256 internal constant LOCAL_CHAIN_ID = 31337;

    /// @dev Leaves of the state tree.
    uint32 internal constant DISTRICTS = 4 ** 8;

    /// @dev Brings batches, funds supplier accounts.
    bytes32 internal constant OPERATOR = keccak256("OPERATOR_ROLE");
    /// @dev Registers, announces and retires circuit versions.
    bytes32 internal constant UPGRADER = keccak256("UPGRADER_ROLE");
    /// @dev May pause deposits.
    bytes32 internal constant REGULATOR = keccak256("REGULATOR_ROLE");
}
