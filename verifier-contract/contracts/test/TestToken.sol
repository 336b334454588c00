// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token for local chains: everybody mints, six decimals
contract TestToken is ERC20 {
    constructor() ERC20("Gridveil test token", "GVT") {}

    /// @notice Makes tokens. Anyone may call.
    /// @param account that has them then
    /// @param amount smallest parts
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
