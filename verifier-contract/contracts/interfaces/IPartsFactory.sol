// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ICertificates} from "./ICertificates.sol";
import {IExits} from "./IExits.sol";
import {IRegistry} from "./IRegistry.sol";

/// @title What a rollup's constructor asks for its parts
/// @notice Whoever looks at a deployment compares the code of the parts, and the rollup that they name.
interface IPartsFactory {
    /// @notice Creates certificates and exits for the caller.
    /// @param registry of the rollup
    /// @param treasury gets the fees of notes that were taken in
    /// @param deadline seconds within which a batch takes a pair of notes in
    /// @param forcedBond first bond of a forced queue, wei: fees follow from it
    /// @param poseidon the hasher of exits
    /// @return certificates whose rollup is the caller
    /// @return exits whose rollup is the caller
    function create(IRegistry registry, address treasury, uint64 deadline, uint128 forcedBond, address poseidon)
        external
        returns (ICertificates certificates, IExits exits);
}
