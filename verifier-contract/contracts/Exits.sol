// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IExits} from "./interfaces/IExits.sol";
import {IForcedQueue} from "./interfaces/IForcedQueue.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IGridveilRollup} from "./IGridveilRollup.sol";
import {Books} from "./Ledger.sol";
import {Claim, CommunityId, Owner, Root} from "./Types.sol";

/// @title PoseidonT5's one function, called as a contract of its own
interface IPoseidon {
    /// @notice circomlib's Poseidon hash of four elements.
    /// @param input elements of the scalar field; other words count modulo it
    /// @return digest an element of the scalar field
    function hash(uint256[4] memory input) external pure returns (uint256 digest);
}

/// @title Exits from a frozen rollup and from closed communities
/// @notice Created with the rollup. Keeps nothing: it checks what somebody owns in the last state, and the
/// rollup's books pay it once.
contract Exits is IExits {
    /// @dev Levels of the state tree.
    uint256 internal constant STATE_LEVELS = 8;

    /// @inheritdoc IExits
    IGridveilRollup public immutable rollup;
    IRegistry private immutable _registry;
    IPoseidon private immutable _poseidon;

    /// @dev Of PoseidonT5's code (artifacts/PoseidonT5.json), as `_codeHash` takes it.
    bytes32 internal constant POSEIDON_CODE_HASH = 0x0207f2a87b91918db5fab811aa11bc1bf42ab38b89490d65f2276a8c94dead7b;

    constructor(IGridveilRollup rollup_, IRegistry registry, address poseidon_) {
        if (_codeHash(poseidon_) != POSEIDON_CODE_HASH) revert NotPoseidon(poseidon_);
        rollup = rollup_;
        _registry = registry;
        _poseidon = IPoseidon(poseidon_);
    }

    /// @inheritdoc IExits
    /// @dev Balance and payout are below the modulus by their types; other words may be given in more than one way,
    /// which opens nothing else: a slot exits once.
    function exit(ExitOpening calldata opening) external {
        CommunityId community = opening.community;
        IRegistry.End memory end = _registry.endOf(community);
        bool closed = end.stage == IRegistry.Stage.Closed;
        bool emergency = !closed && !rollup.isFrozen();
        if (emergency && (opening.balance < Books.UNIT || !_registry.inEmergency(community))) {
            revert IForcedQueue.NotFrozen();
        }
        Root root = _rootOf(opening);
        // Every root since it was closed has the community's last state. So nobody's batch comes before an exit.
        bool last =
            closed ? rollup.finalisedAt(root) > end.closedAfter : Root.unwrap(root) == Root.unwrap(rollup.stateRoot());
        if (!last) revert NotInState(root);
        // The slot keeps its balance in the state: no batch may ever move it.
        if (emergency) _registry.closeByExit(community);
        rollup.releaseSlot(community, opening.slot, opening.payout, opening.balance);
    }

    /// @dev The state root that an opening leads to.
    function _rootOf(ExitOpening calldata opening) private view returns (Root) {
        uint256 slots = _registry.slotsOf(opening.community);
        if (opening.slot >= slots) revert IForcedQueue.SlotOutOfRange(opening.slot);
        uint256 members = 3 * _levels(slots);
        uint256 count = members + 3 * STATE_LEVELS;
        if (opening.siblings.length != count) revert SiblingCount(count, opening.siblings.length);
        uint256 node =
            _hash(opening.balance, uint256(uint160(opening.payout)), uint256(opening.s1), uint256(opening.s2));
        node = _hash(node, uint256(opening.privateCommitment), 0, 0);
        node = _climb(node, opening.slot, opening.siblings[:members]);
        node = _hash(uint256(opening.headerLeaf), node, uint256(opening.certificatesRoot), 0);
        return Root.wrap(bytes32(_climb(node, opening.community.districtOf(), opening.siblings[members:])));
    }

    /// @inheritdoc IExits
    function exitClaim(Owner recipient, uint64 amount, address payout, bytes32 sa, bytes32 sb) external {
        uint256 packed = uint256(amount) | uint256(uint160(payout)) << 64;
        Claim claim = Claim.wrap(bytes32(_hash(uint256(Owner.unwrap(recipient)), packed, uint256(sa), uint256(sb))));
        rollup.releaseClaim(claim, payout, amount);
    }

    /// @inheritdoc IExits
    function poseidon() external view returns (address) {
        return address(_poseidon);
    }

    /// @dev Hash of a library's code, without its own address, which the compiler puts behind the first byte.
    function _codeHash(address library_) private view returns (bytes32) {
        bytes memory code = library_.code;
        assembly ("memory-safe") {
            let first := add(code, 0x20)
            mstore(first, and(mload(first), not(shl(88, sub(shl(160, 1), 1)))))
        }
        return keccak256(code);
    }

    /// @dev Levels of the dense tree of arity 4 over a power of two.
    function _levels(uint256 slots) private pure returns (uint256 levels) {
        while (slots > 1) {
            slots = (slots + 3) / 4;
            ++levels;
        }
    }

    /// @dev From the leaf at `index` up. Depths are fixed, so no inner node passes for a leaf.
    function _climb(uint256 node, uint256 index, bytes32[] calldata siblings) private view returns (uint256) {
        for (uint256 at = 0; at < siblings.length; at += 3) {
            (uint256 a, uint256 b, uint256 c) =
                (uint256(siblings[at]), uint256(siblings[at + 1]), uint256(siblings[at + 2]));
            uint256 place = index & 3;
            if (place == 0) node = _hash(node, a, b, c);
            else if (place == 1) node = _hash(a, node, b, c);
            else if (place == 2) node = _hash(a, b, node, c);
            else node = _hash(a, b, c, node);
            index >>= 2;
        }
        return node;
    }

    function _hash(uint256 a, uint256 b, uint256 c, uint256 d) private view returns (uint256) {
        return _poseidon.hash([a, b, c, d]);
    }
}
