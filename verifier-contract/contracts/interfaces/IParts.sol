// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICertificates} from "./ICertificates.sol";
import {IExits} from "./IExits.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title The contracts that belong to a rollup, and what its proofs are bound to
interface IParts {
    /// @notice Roles, circuit versions, tariffs, communities. The rollup's constructor creates it.
    /// @return registry its address
    function registry() external view returns (IRegistry registry);
    /// @notice Certificates and the queue of their notes. The rollup's constructor has it created.
    /// @return certificates its address
    function certificates() external view returns (ICertificates certificates);
    /// @notice Through it members exit from a frozen rollup or a closed community. The rollup's constructor has it created.
    /// @return exits its address
    function exits() external view returns (IExits exits);
    /// @notice The block of the constructor: no event is older. On a chain where the EVM's block number is another
    /// chain's, it is that one's.
    /// @return blockNumber of the deployment
    function createdAt() external view returns (uint64 blockNumber);
    /// @notice The domain value of a circuit version: keccak256(chain id, the rollup, version) mod r.
    /// @param circuitVersion any version
    /// @return value public input 0 of its proofs
    function domain(uint32 circuitVersion) external view returns (uint256 value);
}
