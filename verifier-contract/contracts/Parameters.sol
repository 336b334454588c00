// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";

/// @title Roles, and what is fixed at deployment
abstract contract Parameters is AccessControl {
    /// @notice Brings batches, funds supplier accounts.
    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");
    /// @notice The meter data manager: registers communities.
    bytes32 public constant MDM_ROLE = keccak256("MDM_ROLE");
    /// @notice Publishes tariffs.
    bytes32 public constant TARIFF_ROLE = keccak256("TARIFF_ROLE");
    /// @notice May pause deposits.
    bytes32 public constant REGULATOR_ROLE = keccak256("REGULATOR_ROLE");
    /// @notice Registers and retires circuit versions.
    bytes32 public constant UPGRADER_ROLE = keccak256("UPGRADER_ROLE");

    /// @notice Public inputs of a settlement proof.
    uint256 internal constant INSTANCES = 10;
    /// @notice Public inputs of a certificate proof.
    uint256 internal constant CERTIFICATE_INSTANCES = 9;
    /// @notice The certificate circuit's first version; all versions from here on are of it, all below of the
    /// settlement circuit.
    uint32 public constant CERTIFICATE_VERSION = 1_000_001;
    /// @notice Most gas a verifier is given: a malformed proof must not cost the whole transaction.
    uint256 public constant VERIFIER_GAS = 1_500_000;
    /// @notice Communities in the state tree.
    uint32 internal constant MAX_COMMUNITIES = 4 ** 8;
    /// @notice Records of one batch.
    uint256 internal constant MAX_RECORDS = 256;
    /// @notice The chain on which development shortcuts are allowed.
    uint256 internal constant LOCAL_CHAIN_ID = 31337;
    /// @notice Seconds without a waiting request, in any community, that a later verifier's first batch needs: who is
    /// told of a place in a queue must have the time to take it.
    uint256 public constant QUIET_TIME = 1 days;

    /// @notice Seconds between a verifier's registration and its first use.
    uint64 public immutable verifierDelay;
    /// @notice True if tariffs must be registered before they start.
    bool public immutable enforceFutureTariffs;
    /// @notice Seconds between a tariff's registration and its first interval, if they are enforced: an hour, on the
    /// local chain none.
    uint64 public immutable tariffNotice;
    /// @notice What is settled in.
    IERC20 public immutable token;
    /// @notice Smallest parts of the token in a unit of 10,000,000 nano.
    uint64 public immutable tokenPerUnit;
    /// @notice Seconds within which a forced withdrawal must be served.
    uint64 public immutable forcedDeadline;
    /// @notice Seconds from a refund's request to its payment.
    uint64 public immutable refundDelay;
    /// @notice Bond of the first request in a forced queue, wei.
    uint128 public immutable forcedBond;
    /// @notice The account that gets what leaves supplier accounts and fee accounts.
    address public immutable treasury;

    constructor(IGridveilRollup.Config memory config) {
        bool local = block.chainid == LOCAL_CHAIN_ID;
        if (!config.enforceFutureTariffs && !local) revert IRegistry.LocalChainOnly();
        if (config.token.code.length == 0) revert IRegistry.NoCode(config.token);
        if (config.tokenPerUnit == 0) revert IVault.BadConfig("tokenPerUnit");
        if (config.treasury == address(0)) revert IVault.BadConfig("treasury");
        if (config.forcedDeadline == 0 || config.forcedDeadline > 60 days) revert IVault.BadConfig("forcedDeadline");
        if (config.refundDelay > 60 days) revert IVault.BadConfig("refundDelay");
        if (config.verifierDelay > 3650 days) revert IVault.BadConfig("verifierDelay");
        if (!local) {
            // Members must be able to leave before a verifier they do not trust is used.
            if (config.verifierDelay < config.forcedDeadline + 7 days) revert IVault.BadConfig("verifierDelay");
            // An operator must be able to serve.
            if (config.forcedDeadline < 2 days) revert IVault.BadConfig("forcedDeadline");
            // A refund that is paid while a batch with the deposit waits stops that batch for ever. An operator that is
            // away for so long is frozen out anyway, and the freeze refunds at once.
            if (config.refundDelay < config.forcedDeadline) revert IVault.BadConfig("refundDelay");
            if (config.forcedBond == 0) revert IVault.BadConfig("forcedBond");
        }
        _grantRole(DEFAULT_ADMIN_ROLE, config.admin);
        _grantRole(OPERATOR_ROLE, config.operator);
        _grantRole(MDM_ROLE, config.mdm);
        _grantRole(TARIFF_ROLE, config.tariffAuthority);
        _grantRole(REGULATOR_ROLE, config.regulator);
        _grantRole(UPGRADER_ROLE, config.upgrader);
        verifierDelay = config.verifierDelay;
        enforceFutureTariffs = config.enforceFutureTariffs;
        tariffNotice = local ? 0 : 1 hours;
        token = IERC20(config.token);
        tokenPerUnit = config.tokenPerUnit;
        forcedDeadline = config.forcedDeadline;
        refundDelay = config.refundDelay;
        forcedBond = config.forcedBond;
        treasury = config.treasury;
    }
}
