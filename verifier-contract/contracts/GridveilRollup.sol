// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IGridveilRollup} from "./IGridveilRollup.sol";
import {Parameters} from "./Parameters.sol";
import {Registry} from "./Registry.sol";
import {Roots} from "./Roots.sol";
import {Settle} from "./Settle.sol";
import {Vault} from "./Vault.sol";

/// @title Gridveil rollup, circuit version 2
/// @notice See `IGridveilRollup` and docs/spec/l1.md. One part a file: Parameters (roles, configuration), Roots,
/// Registry, Vault, ForcedQueue, Certificates, Settle; what a record of a batch does is in operations/; Exits is a
/// contract of its own.
contract GridveilRollup is Settle, IGridveilRollup {
    constructor(Config memory config, VerifierInit[] memory verifiers)
        Parameters(config)
        Roots(config)
        Registry(config, verifiers)
        Vault(config.poseidon)
    {}
}
