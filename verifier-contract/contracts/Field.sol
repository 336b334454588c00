// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ISettle} from "./interfaces/ISettle.sol";

/// @title The scalar field of BN254
library Field {
    /// @dev The modulus.
    uint256 internal constant R = 0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    /// @dev Two encodings of one element would be two words with one meaning.
    function requireCanonical(bytes32 word) internal pure {
        if (uint256(word) >= R) revert ISettle.NotCanonical(uint256(word));
    }
}
