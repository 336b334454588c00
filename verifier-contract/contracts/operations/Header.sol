// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IVault} from "../interfaces/IVault.sol";
import {Books, Ledger} from "../Ledger.sol";
import {CommunityId} from "../Types.sol";

/// @title Records 16 to 18: money into a community's supplier account, out of it, and out of its fee account
library Header {
    using Books for Ledger;

    /// @dev Kind of the record: into the supplier account, from the units that the operator brought.
    uint256 internal constant SUPPLIER_IN = 16;
    /// @dev Kind of the record: out of the supplier account, to the treasury.
    uint256 internal constant SUPPLIER_OUT = 17;
    /// @dev Kind of the record: out of the fee account, to the treasury.
    uint256 internal constant FEE_OUT = 18;

    function supplierIn(Ledger storage ledger, uint256 index, CommunityId community, uint256 units) internal {
        uint256 available = ledger.supplierUnits;
        if (units > available) revert IVault.SupplierShort(index, available, units);
        ledger.supplierUnits = uint64(available - units);
        ledger.intoPool(units);
        emit IVault.HeaderMoneyMoved(community, uint8(SUPPLIER_IN), uint48(units));
    }

    /// @dev `kind` is SUPPLIER_OUT or FEE_OUT.
    function out(
        Ledger storage ledger,
        uint256 index,
        CommunityId community,
        uint256 kind,
        uint256 units,
        address treasury,
        uint256 tokenPerUnit
    ) internal {
        ledger.credit(index, treasury, units, tokenPerUnit);
        emit IVault.HeaderMoneyMoved(community, uint8(kind), uint48(units));
    }
}
