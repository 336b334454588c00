// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {Parameters} from "./Parameters.sol";
import {Roots} from "./Roots.sol";
import {Settle} from "./Settle.sol";

/// @title Gridveil rollup, circuit version 2
/// @notice State roots and money. See `IGridveilRollup` and docs/spec/l1.md. One part a file: Parameters
/// (configuration, the contracts that belong to it), Roots, Vault, ForcedQueue, Settle; what a record of a batch does
/// is in operations/. GridveilRegistry, GridveilCertificates and Exits are contracts of their own.
contract GridveilRollup is Settle, IGridveilRollup {
    constructor(Config memory config, IRegistry.VerifierInit[] memory verifiers)
        Parameters(config, verifiers)
        Roots(config)
    {}
}
