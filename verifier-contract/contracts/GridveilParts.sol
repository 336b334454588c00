// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Exits} from "./Exits.sol";
import {GridveilCertificates} from "./GridveilCertificates.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IExits} from "./interfaces/IExits.sol";
import {IPartsFactory} from "./interfaces/IPartsFactory.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title Creates the parts for which a rollup's creation code has no room (EIP-3860)
/// @notice Deployed before the rollup. It keeps nothing, and any rollup may use it.
contract GridveilParts is IPartsFactory {
    /// @inheritdoc IPartsFactory
    function create(IRegistry registry, address treasury, uint64 deadline, uint128 forcedBond, address poseidon)
        external
        returns (ICertificates certificates, IExits exits)
    {
        IGridveilRollup rollup = IGridveilRollup(msg.sender);
        certificates = new GridveilCertificates(rollup, registry, treasury, deadline, forcedBond);
        exits = new Exits(rollup, registry, poseidon);
    }
}
