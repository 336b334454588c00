// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Constants} from "./Constants.sol";
import {Field} from "./Field.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {ISettle} from "./interfaces/ISettle.sol";
import {Roles} from "./Roles.sol";
import {TariffCommitment} from "./Types.sol";

/// @title Sets of tariffs, each with what is published in it
abstract contract Tariffs is Roles {
    /// @inheritdoc IRegistry
    bool public immutable enforceFutureTariffs;
    /// @inheritdoc IRegistry
    uint64 public immutable tariffNotice;

    mapping(uint32 tariffSet => TariffSet) internal _tariffSets;
    mapping(uint32 tariffSet => Tariff[]) private _tariffs;

    constructor(IGridveilRollup.Config memory config) {
        bool local = block.chainid == Constants.LOCAL_CHAIN_ID;
        if (!config.enforceFutureTariffs && !local) revert LocalChainOnly();
        enforceFutureTariffs = config.enforceFutureTariffs;
        tariffNotice = local ? 0 : 1 hours;
    }

    /// @inheritdoc IRegistry
    function openTariffSet(uint32 tariffSet, uint16 intervalLength, uint16 m) external onlyRole(TARIFF_ROLE) {
        _requireIntervalLength(intervalLength);
        if (m == 0) revert TariffSetMismatch(tariffSet);
        if (_tariffSets[tariffSet].m != 0) revert TariffSetAlreadyOpen(tariffSet);
        _tariffSets[tariffSet] = TariffSet({intervalLength: intervalLength, m: m});
        emit TariffSetOpened(tariffSet, intervalLength, m);
    }

    /// @inheritdoc IRegistry
    function registerTariff(uint32 tariffSet, uint32 firstInterval, TariffCommitment commitment)
        external
        onlyRole(TARIFF_ROLE)
        returns (uint32 index)
    {
        TariffSet memory set = _tariffSets[tariffSet];
        if (set.m == 0) revert UnknownTariffSet(tariffSet);
        Field.requireCanonical(TariffCommitment.unwrap(commitment));
        Tariff[] storage tariffs = _tariffs[tariffSet];
        index = uint32(tariffs.length);
        if (index > 0) {
            uint32 last = tariffs[index - 1].firstInterval;
            if (firstInterval <= last) revert TariffNotLater(firstInterval, last);
        }
        uint256 startsAt = uint256(firstInterval) * set.intervalLength;
        if (enforceFutureTariffs) {
            if (startsAt <= block.timestamp) revert TariffAlreadyStarted(startsAt, block.timestamp);
            if (startsAt < block.timestamp + tariffNotice) {
                revert TariffTooSoon(startsAt, block.timestamp + tariffNotice);
            }
        }
        tariffs.push(Tariff({firstInterval: firstInterval, commitment: commitment}));
        emit TariffRegistered(tariffSet, index, firstInterval, commitment);
    }

    function _requireIntervalLength(uint16 intervalLength) internal pure {
        if (intervalLength != 900 && intervalLength != 1800 && intervalLength != 3600) {
            revert BadIntervalLength(intervalLength);
        }
    }

    /// @dev The tariff of that index, if it is the one in force at `firstInterval`.
    function _tariffInForce(uint32 tariffSet, uint32 firstInterval, uint256 index)
        internal
        view
        returns (TariffCommitment)
    {
        Tariff[] storage tariffs = _tariffs[tariffSet];
        uint256 count = tariffs.length;
        if (index >= count) revert ISettle.TariffNotInForce(index);
        Tariff storage tariff = tariffs[index];
        if (tariff.firstInterval > firstInterval) revert ISettle.TariffNotInForce(index);
        if (index + 1 < count && tariffs[index + 1].firstInterval <= firstInterval) {
            revert ISettle.TariffNotInForce(index);
        }
        return tariff.commitment;
    }

    /// @inheritdoc IRegistry
    function tariffInForce(uint32 tariffSet, uint256 firstInterval)
        external
        view
        returns (bool found, TariffCommitment commitment)
    {
        Tariff[] storage tariffs = _tariffs[tariffSet];
        // The count of tariffs that start at `firstInterval` or before.
        uint256 low;
        uint256 high = tariffs.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (tariffs[middle].firstInterval <= firstInterval) low = middle + 1;
            else high = middle;
        }
        if (low != 0) (found, commitment) = (true, tariffs[low - 1].commitment);
    }

    /// @inheritdoc IRegistry
    function tariffSetOf(uint32 tariffSet) external view returns (TariffSet memory) {
        return _tariffSets[tariffSet];
    }

    /// @inheritdoc IRegistry
    function tariffCount(uint32 tariffSet) external view returns (uint256) {
        return _tariffs[tariffSet].length;
    }

    /// @inheritdoc IRegistry
    function tariffAt(uint32 tariffSet, uint256 index) external view returns (Tariff memory) {
        return _tariffs[tariffSet][index];
    }
}
