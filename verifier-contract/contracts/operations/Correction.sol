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
        IRegistry registry,
        uint32 tariffSet,
        uint256 index,
        uint256 firstInterval,
        uint256 batchInterval,
        TariffCommitment commitment
    ) internal view {
        if (firstInterval >= batchInterval) {
            revert ISettle.CorrectionTariff(index, firstInterval);
        }
        (bool found, TariffCommitment inForce) = registry.tariffInForce(tariffSet, firstInterval);
        if (!found || TariffCommitment.unwrap(inForce) != TariffCommitment.unwrap(commitment)) {
            revert ISettle.CorrectionTariff(index, firstInterval);
        }
    }
}
