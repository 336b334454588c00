// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Constants} from "./Constants.sol";
import {GridveilRegistry} from "./GridveilRegistry.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {ICertificates} from "./interfaces/ICertificates.sol";
import {IExits} from "./interfaces/IExits.sol";
import {IParts} from "./interfaces/IParts.sol";
import {IPartsFactory} from "./interfaces/IPartsFactory.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Proofs} from "./Proofs.sol";

/// @title What is fixed at deployment, and the contracts that belong to the rollup
abstract contract Parameters is IParts {
    /// @inheritdoc IParts
    IRegistry public immutable registry;
    /// @inheritdoc IParts
    ICertificates public immutable certificates;
    /// @inheritdoc IParts
    IExits public immutable exits;

    /// @inheritdoc IParts
    uint64 public immutable createdAt = uint64(block.number);

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

    constructor(IGridveilRollup.Config memory config, IRegistry.VerifierInit[] memory verifiers) {
        registry = new GridveilRegistry(config, verifiers);
        if (config.token.code.length == 0) revert IRegistry.NoCode(config.token);
        if (config.tokenPerUnit == 0) revert IVault.BadConfig("tokenPerUnit");
        if (config.treasury == address(0)) revert IVault.BadConfig("treasury");
        if (config.forcedDeadline == 0 || config.forcedDeadline > 60 days) revert IVault.BadConfig("forcedDeadline");
        if (config.refundDelay > 60 days) revert IVault.BadConfig("refundDelay");
        if (block.chainid != Constants.LOCAL_CHAIN_ID) {
            // An operator must be able to serve.
            if (config.forcedDeadline < 2 days) revert IVault.BadConfig("forcedDeadline");
            // A refund that is paid while a batch with the deposit waits stops that batch for ever. An operator that is
            // away for so long is frozen out anyway, and the freeze refunds at once.
            if (config.refundDelay < config.forcedDeadline) revert IVault.BadConfig("refundDelay");
            if (config.forcedBond == 0) revert IVault.BadConfig("forcedBond");
        }
        token = IERC20(config.token);
        tokenPerUnit = config.tokenPerUnit;
        forcedDeadline = config.forcedDeadline;
        refundDelay = config.refundDelay;
        forcedBond = config.forcedBond;
        treasury = config.treasury;
        (certificates, exits) = IPartsFactory(config.parts)
            .create(registry, config.treasury, config.forcedDeadline, config.forcedBond, config.poseidon);
    }

    /// @inheritdoc IParts
    function domain(uint32 circuitVersion) public view returns (uint256) {
        return Proofs.domain(address(this), circuitVersion);
    }
}
