// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {NoteCommitment, Nullifier, RetirementCommitment} from "../contracts/Types.sol";
import {ICertificates} from "../contracts/interfaces/ICertificates.sol";
import {RollupTest} from "./RollupTest.sol";

/// @dev Certificates whose proofs are taken on trust.
abstract contract CertificateTest is RollupTest {
    uint256 internal constant PUBLIC = 1;
    uint256 internal constant SEALED = 2 | 1 << 8;
    uint256 internal constant FEE = BOND / 32;

    function certificate(uint256 seed, uint256 kind) internal pure returns (ICertificates.Certificate memory c) {
        bytes32[] memory w = words(6, seed);
        c = ICertificates.Certificate({
            circuitVersion: CERTIFICATE_VERSION,
            anchor: GENESIS,
            nullifier: Nullifier.wrap(w[0]),
            note1: NoteCommitment.wrap(w[1]),
            note2: NoteCommitment.wrap(w[2]),
            retirement: RetirementCommitment.wrap(kind == 0 ? bytes32(0) : w[3]),
            disclosed: kind & 0xff == PUBLIC ? w[4] : bytes32(0),
            beneficiary: kind & 0xff == PUBLIC ? w[5] : bytes32(0),
            kind: kind
        });
    }

    /// @dev With the fee that is due.
    function certify(ICertificates.Certificate memory c) internal {
        uint256 fee = certificates.fee();
        vm.deal(address(this), address(this).balance + fee);
        certificates.certify{value: fee}(c, new bytes(CERTIFICATE_PROOF_LENGTH));
    }

    function refused(ICertificates.Certificate memory c, bytes memory error) internal {
        uint256 fee = certificates.fee();
        vm.deal(address(this), address(this).balance + fee);
        vm.expectRevert(error);
        certificates.certify{value: fee}(c, new bytes(CERTIFICATE_PROOF_LENGTH));
    }

    /// @dev Takes both notes of a certificate in.
    function putPair(ICertificates.Certificate memory c) internal {
        put(20, 0, 0, c.note1);
        put(20, 0, 0, c.note2);
    }

    function retireVersion(uint32 version) internal {
        vm.prank(upgrader);
        registry.retireVersion(version);
    }
}
