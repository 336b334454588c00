// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {IParts} from "./interfaces/IParts.sol";
import {ISettle} from "./interfaces/ISettle.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Root} from "./Types.sol";

/// @title Gridveil settlement on L1
/// @notice Keeps the state roots of a validity rollup for private energy settlement, and the money behind them. A batch
/// is one community's settlement of one period; it is proven and final in the transaction that brings it, so no
/// unproven batch ever exists. What members consume, owe and own is not here: `data` are hiding commitments.
/// @dev Three contracts that its constructor creates belong to it: the registry (roles, circuit versions, tariffs,
/// communities), the certificates, the exits. Roles: operator (brings batches, funds supplier accounts), meter data
/// manager (registers communities), tariff authority, regulator (pauses deposits), upgrader (circuit versions, meant to
/// be a timelock; the registry adds its own delay). Specification: docs/spec/l1.md.
interface IGridveilRollup is IParts, ISettle, IForcedQueue, IVault {
    /// @notice Constructor arguments. Bounds that do not hold on the local chain, 31337, say so: `IVault.BadConfig`.
    /// @param admin grants and revokes the roles
    /// @param operator brings batches, funds supplier accounts
    /// @param mdm meter data manager: registers communities
    /// @param tariffAuthority publishes tariffs
    /// @param regulator pauses deposits
    /// @param upgrader registers and retires circuit versions; meant to be a timelock
    /// @param council may shorten a delay when a verifier in use is proven unsound (`ICouncil`); zero for none
    /// @param genesisRoot state root before the first batch
    /// @param circuitVersion of the settlement verifiers that the constructor is given
    /// @param verifierDelay seconds between a verifier's registration and its first use; forcedDeadline + 7 days to
    /// 3,650 days, on chain 31337 also less
    /// @param enforceFutureTariffs tariffs must be registered before they start; false only on the local chain 31337
    /// @param certificateVerifier verifier of certificate proofs; zero if it is registered later
    /// @param certificateProofLength exact length of a certificate proof, bytes, a multiple of 32
    /// @param token the ERC-20 that is settled in: without fees, without rebasing
    /// @param tokenPerUnit smallest parts of the token in a unit of 10,000,000 nano, not zero
    /// @param forcedDeadline seconds within which a forced withdrawal must be served: 2 to 60 days, on chain 31337 also
    /// less
    /// @param refundDelay seconds from a refund's request to its payment: forcedDeadline to 60 days, on chain 31337
    /// also less
    /// @param forcedBond wei of the first request in a community's queue; not zero but on chain 31337
    /// @param treasury gets what leaves supplier accounts and fee accounts; not zero
    /// @param parts GridveilParts, which creates certificates and exits
    /// @param poseidon PoseidonT5 of the npm package poseidon-solidity; exactly its code
    struct Config {
        address admin;
        address operator;
        address mdm;
        address tariffAuthority;
        address regulator;
        address upgrader;
        address council;
        Root genesisRoot;
        uint32 circuitVersion;
        uint64 verifierDelay;
        bool enforceFutureTariffs;
        address certificateVerifier;
        uint32 certificateProofLength;
        address token;
        uint64 tokenPerUnit;
        uint64 forcedDeadline;
        uint64 refundDelay;
        uint128 forcedBond;
        address treasury;
        address parts;
        address poseidon;
    }
}
