// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {CommunityId} from "../Types.sol";

/// @title A verifier that is proven unsound, and the council that may then shorten a delay
/// @dev Rules: docs/spec/l1.md, "Unsound verifiers". Instances are those of docs/spec/state.md.
interface ICouncil {
    // ------------------------------------------------------------------ types

    /// @notice What follows from a proof that a shape's verifier in use is unsound.
    /// @param provenAt unix seconds; 0 if none was proven, or a later verifier has settled since
    /// @param heldUntil unix seconds until which no community of the shape freezes the rollup; 0 if never
    struct Halt {
        uint40 provenAt;
        uint40 heldUntil;
    }

    // ----------------------------------------------------------------- events

    /// @notice The admin appointed a council. Until then the one before it, if there is one, is the council.
    /// @param council its account; zero for none
    /// @param from unix seconds from which it is the council
    event CouncilAppointed(address indexed council, uint40 from);
    /// @notice A verifier is refused from now on, for ever: it accepted two proofs that contradict each other.
    /// @param circuitVersion version of the circuit
    /// @param shape id of the shape
    /// @param verifier its address
    event VerifierUnsound(uint32 indexed circuitVersion, uint32 indexed shape, address verifier);
    /// @notice The council shortened the delay of a registered verifier. While the emergency lasts its first use needs no
    /// announcement; until it is active, the members of all communities may exit.
    /// @param circuitVersion version of the circuit
    /// @param shape id of the shape
    /// @param activeFrom unix seconds from which it may be used
    event VerifierHastened(uint32 indexed circuitVersion, uint32 indexed shape, uint40 activeFrom);

    // ----------------------------------------------------------------- errors

    /// @notice The account is no Safe of at least eight owners of whom three quarters sign.
    /// @param council as it was given
    /// @param threshold signatures it needs
    /// @param owners it has
    error NotCouncil(address council, uint256 threshold, uint256 owners);
    /// @notice Only the council may call.
    /// @param caller who called
    error OnlyCouncil(address caller);
    /// @notice The two statements do not contradict each other: both may be true.
    error NoContradiction();
    /// @notice The statements are for another deployment or version, or a word of them is not one that L1 would compose.
    error NotAStatement();
    /// @notice No verifier of that version and shape is in use: it had no batch yet, its version is retired, or it was
    /// proven unsound before.
    /// @param circuitVersion as it was given
    /// @param shape as it was given
    error NotInUse(uint32 circuitVersion, uint32 shape);
    /// @notice No verifier in use of that shape is proven unsound, or more than a forced deadline ago. Everything else
    /// waits for the ordinary delay.
    /// @param shape as it was given
    error NoEmergency(uint32 shape);
    /// @notice The verifier is in use, or was hastened before.
    /// @param circuitVersion as it was given
    /// @param shape as it was given
    error AlreadyHastened(uint32 circuitVersion, uint32 shape);
    /// @notice The verifier was proven unsound. Use another version.
    /// @param circuitVersion as it was given
    /// @param shape as it was given
    error VerifierIsUnsound(uint32 circuitVersion, uint32 shape);

    // ---------------------------------------------------------------- actions

    /// @notice Appoints a council, which is one when `verifierDelay` is over. The admin alone may call.
    /// @param council a Safe of at least eight owners of whom three quarters sign; zero for none
    function appointCouncil(address council) external;

    /// @notice Proves that a verifier in use is unsound, by two proofs that it accepts and that contradict each other.
    /// It is refused from then on. Anyone may call.
    /// @param circuitVersion version of a settlement circuit
    /// @param shape id of the shape
    /// @param a instances of the first statement
    /// @param proofA its proof
    /// @param b instances of the second statement
    /// @param proofB its proof
    function proveUnsound(
        uint32 circuitVersion,
        uint32 shape,
        uint256[10] calldata a,
        bytes calldata proofA,
        uint256[10] calldata b,
        bytes calldata proofB
    ) external;

    /// @notice Sets the delay of a registered verifier to a forced deadline from now, if a verifier in use of its shape was
    /// proven unsound at most a forced deadline ago. Once a verifier. The council alone may call.
    /// @param circuitVersion version of the settlement circuit that is to follow
    /// @param shape id of the shape
    function hasten(uint32 circuitVersion, uint32 shape) external;

    /// @notice Closes a community because one of its members exits in an emergency. The exits contract alone may call.
    /// @param community which
    function closeByExit(CommunityId community) external;

    // ------------------------------------------------------------------ views

    /// @notice The council.
    /// @return council zero if there is none
    function council() external view returns (address council);
    /// @notice True if a verifier was proven unsound.
    /// @param circuitVersion any version
    /// @param shape any shape
    /// @return unsound for ever
    function isUnsound(uint32 circuitVersion, uint32 shape) external view returns (bool unsound);
    /// @notice What follows for a shape from a proof that its verifier in use is unsound.
    /// @param shape its id
    /// @return halt all zero if none was proven
    function haltOf(uint32 shape) external view returns (Halt memory halt);
    /// @notice True while members of a living community may exit: because the verifier of its shape is proven unsound,
    /// until a later one of the shape has its first batch, at most two forced deadlines; or because the council hastened
    /// any verifier, until that one is active.
    /// @param community which
    /// @return open true if they may
    function inEmergency(CommunityId community) external view returns (bool open);
    /// @notice Until when a community does not freeze the rollup, whoever waits. Reverts if it is closed.
    /// @param community which
    /// @return time unix seconds; 0 if it may at any time
    function heldUntil(CommunityId community) external view returns (uint256 time);
}
