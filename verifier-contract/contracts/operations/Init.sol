// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISettle} from "../interfaces/ISettle.sol";
import {CommunityId, GenesisTerms} from "../Types.sol";

/// @title Record 21: a community's first batch puts it into the state
library Init {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 21;

    /// @dev The first record of the first batch, with the terms that the meter data manager registered.
    function initialise(uint256 index, CommunityId community, bool started, GenesisTerms registered, GenesisTerms terms)
        internal
    {
        if (started || index != 0) revert ISettle.AlreadyInitialised(index);
        if (GenesisTerms.unwrap(terms) == 0 || GenesisTerms.unwrap(terms) != GenesisTerms.unwrap(registered)) {
            revert ISettle.NotGenesisTerms(index, terms);
        }
        emit ISettle.CommunityInitialised(community, terms);
    }
}
