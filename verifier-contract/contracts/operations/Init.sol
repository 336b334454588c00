// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISettle} from "../interfaces/ISettle.sol";

/// @title Record 21: a community's first batch puts it into the state
library Init {
    /// @dev Kind of the record.
    uint256 internal constant KIND = 21;

    /// @dev The first record of the first batch, with the terms that the meter data manager registered.
    function initialise(uint256 index, uint32 community, bool started, bytes32 registered, bytes32 terms) internal {
        if (started || index != 0) revert ISettle.AlreadyInitialised(index);
        if (terms == 0 || terms != registered) revert ISettle.NotGenesisTerms(index, terms);
        emit ISettle.CommunityInitialised(community, terms);
    }
}
