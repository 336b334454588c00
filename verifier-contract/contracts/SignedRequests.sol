// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {CommunityId} from "./Types.sol";

/// @title Forced requests that one account signs and another sends
/// @dev EIP-712. The domain names chain and rollup: a request for one deployment is none for another.
library SignedRequests {
    /// @dev Of EIP-712.
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    /// @dev What is signed.
    bytes32 private constant REQUEST_TYPE =
        keccak256("ForcedWithdrawal(uint32 community,uint32 slot,address requester,uint256 nonce,uint256 deadline)");

    /// @dev Refuses a request that `requester` did not sign for this nonce, or whose time is over. A contract has no
    /// signature here: it calls itself.
    function check(
        CommunityId community,
        uint32 slot,
        address requester,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature
    ) internal view {
        if (block.timestamp > deadline) revert IForcedQueue.RequestExpired(deadline);
        bytes32 domain =
            keccak256(abi.encode(DOMAIN_TYPE, keccak256("Gridveil"), keccak256("1"), block.chainid, address(this)));
        bytes32 request = keccak256(abi.encode(REQUEST_TYPE, community, slot, requester, nonce, deadline));
        (address signer,,) = ECDSA.tryRecover(MessageHashUtils.toTypedDataHash(domain, request), signature);
        if (signer == address(0) || signer != requester) revert IForcedQueue.NotSigned(requester, nonce);
    }
}
