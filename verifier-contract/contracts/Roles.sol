// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Constants} from "./Constants.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title Who may do what, in all contracts
abstract contract Roles is AccessControl, IRegistry {
    /// @inheritdoc IRegistry
    bytes32 public constant OPERATOR_ROLE = Constants.OPERATOR;
    /// @inheritdoc IRegistry
    bytes32 public constant MDM_ROLE = keccak256("MDM_ROLE");
    /// @inheritdoc IRegistry
    bytes32 public constant TARIFF_ROLE = keccak256("TARIFF_ROLE");
    /// @inheritdoc IRegistry
    bytes32 public constant REGULATOR_ROLE = Constants.REGULATOR;
    /// @inheritdoc IRegistry
    bytes32 public constant UPGRADER_ROLE = Constants.UPGRADER;

    constructor(IGridveilRollup.Config memory config) {
        _grantRole(DEFAULT_ADMIN_ROLE, config.admin);
        _grantRole(OPERATOR_ROLE, config.operator);
        _grantRole(MDM_ROLE, config.mdm);
        _grantRole(TARIFF_ROLE, config.tariffAuthority);
        _grantRole(REGULATOR_ROLE, config.regulator);
        _grantRole(UPGRADER_ROLE, config.upgrader);
    }

    /// @inheritdoc IRegistry
    function checkRole(bytes32 role, address account) external view {
        _checkRole(role, account);
    }
}
