// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IRegistry} from "../interfaces/IRegistry.sol";
import {ISettle} from "../interfaces/ISettle.sol";
import {TariffCommitment} from "../Types.sol";

/// @title Record 11: a batch books the difference of an earlier period, at that period's tariff
library Correction {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 11;

    /// @dev The commitment is of the tariff in force at `firstInterval`, which is before the batch's period.
    function check(
        IRegistry.Tariff[] storage tariffs,
        uint256 index,
        uint256 firstInterval,
        uint256 batchInterval,
        TariffCommitment commitment
    ) internal view {
        if (firstInterval >= batchInterval) {
            revert ISettle.CorrectionTariff(index, firstInterval);
        }
        // The count of tariffs that start at `firstInterval` or before.
        uint256 low;
        uint256 high = tariffs.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (tariffs[middle].firstInterval <= firstInterval) low = middle + 1;
            else high = middle;
        }
        if (low == 0 || TariffCommitment.unwrap(tariffs[low - 1].commitment) != TariffCommitment.unwrap(commitment)) {
            revert ISettle.CorrectionTariff(index, firstInterval);
        }
    }
}
