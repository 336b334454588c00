// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Field} from "./Field.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";

/// @title A proof, and the verifier that is asked about it
library Proofs {
    /// @dev Most gas a verifier is given: a malformed proof must not cost the whole transaction.
    uint256 internal constant VERIFIER_GAS = 1_500_000;

    /// @dev Public input 0 of every proof for a rollup.
    function domain(address rollup, uint32 circuitVersion) internal view returns (uint256) {
        return uint256(keccak256(abi.encode(block.chainid, rollup, uint256(circuitVersion)))) % Field.R;
    }

    /// @dev Calls the verifier with `count` instances, which lie in memory at `instances`, and the proof.
    function requireAccepted(
        address verifier,
        uint256 proofLength,
        uint256 instances,
        uint256 count,
        bytes calldata proof
    ) internal view {
        if (proof.length != proofLength) revert IRegistry.ProofLength(proofLength, proof.length);
        bool accepted;
        assembly ("memory-safe") {
            let free := mload(0x40)
            let size := shl(5, count)
            mcopy(free, instances, size)
            calldatacopy(add(free, size), proof.offset, proof.length)
            // A contract without code would return nothing: the word 1 is required.
            accepted := staticcall(VERIFIER_GAS, verifier, free, add(proof.length, size), 0x00, 0x20)
            accepted := and(accepted, and(eq(returndatasize(), 0x20), eq(mload(0x00), 1)))
        }
        if (!accepted) revert IRegistry.ProofRejected();
    }
}
