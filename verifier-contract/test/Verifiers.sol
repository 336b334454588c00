// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @dev Accepts everything and records its calldata's hash in the answer's place: returns 1.
contract AcceptAll {
    fallback() external {
        assembly {
            mstore(0, 1)
            return(0, 0x20)
        }
    }
}

/// @dev Returns 1 only for the calldata it was told.
contract AcceptOne {
    bytes32 public immutable expected;

    constructor(bytes32 hash) {
        expected = hash;
    }

    fallback() external {
        bool same = keccak256(msg.data) == expected;
        assembly {
            mstore(0, same)
            return(0, 0x20)
        }
    }
}

/// @dev Succeeds with no answer, as a call to an empty account does.
contract Silent {
    fallback() external {}
}

/// @dev Burns all the gas it is given.
contract Burner {
    fallback() external {
        assembly { invalid() }
    }
}
