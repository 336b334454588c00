// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";
import {Books, Ledger} from "../Ledger.sol";

/// @title Records 16 to 18: money into a community's float, out of it, and out of its accrual
library Header {
    using Books for Ledger;

    uint256 internal constant FLOAT_IN = 16;
    uint256 internal constant FLOAT_OUT = 17;
    uint256 internal constant ACCRUAL_OUT = 18;

    function floatIn(Ledger storage ledger, uint256 index, uint32 community, uint256 units) internal {
        uint256 available = ledger.floatUnits;
        if (units > available) revert IVault.FloatShort(index, available, units);
        ledger.floatUnits = uint64(available - units);
        ledger.intoPool(units);
        emit IVault.FloatMoved(community, uint8(FLOAT_IN), uint48(units));
    }

    /// @dev `kind` is FLOAT_OUT or ACCRUAL_OUT.
    function out(
        Ledger storage ledger,
        uint256 index,
        uint32 community,
        uint256 kind,
        uint256 units,
        address treasury,
        uint256 tokenPerUnit
    ) internal {
        ledger.credit(index, treasury, units, tokenPerUnit);
        emit IVault.FloatMoved(community, uint8(kind), uint48(units));
    }
}
