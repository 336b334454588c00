// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev A Safe, as far as the registry asks it.
contract Safe {
    uint256 public getThreshold;
    uint256 internal immutable _owners;

    constructor(uint256 threshold, uint256 owners) {
        (getThreshold, _owners) = (threshold, owners);
    }

    function set(uint256 threshold) external {
        getThreshold = threshold;
    }

    function getOwners() external view returns (address[] memory) {
        return new address[](_owners);
    }
}
