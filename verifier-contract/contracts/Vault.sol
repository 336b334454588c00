// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {SafeERC20, IERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Constants} from "./Constants.sol";
import {Field} from "./Field.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Books, Ledger} from "./Ledger.sol";
import {Parameters} from "./Parameters.sol";
import {Roots} from "./Roots.sol";
import {Claim, CommunityId} from "./Types.sol";

/// @title Money in and out
/// @dev Whoever the token calls back finds the books already written, and every door where money moves locked.
abstract contract Vault is Parameters, Roots, IVault, ReentrancyGuardTransient {
    using Books for Ledger;
    using SafeERC20 for IERC20;

    /// @notice From the freeze until the treasury gets what nobody took.
    uint256 public constant REST_DELAY = 3650 days;

    Ledger internal _ledger;
    /// @inheritdoc IVault
    mapping(address account => uint256 amount) public ethOwed;
    /// @inheritdoc IVault
    mapping(CommunityId community => mapping(uint32 slot => bool)) public hasExited;

    // --------------------------------------------------------------- deposits

    /// @inheritdoc IVault
    function deposit(Claim claim, uint48 units) external nonReentrant {
        _requireLive();
        if (_ledger.depositsPaused) revert DepositsArePaused();
        if (units == 0) revert ZeroUnits();
        Field.requireCanonical(Claim.unwrap(claim));
        if (Claim.unwrap(claim) == 0 || _ledger.deposits[claim].state != DepositState.None) revert ClaimUsed(claim);
        _ledger.requireRoom(units);
        _ledger.deposits[claim] =
            DepositEntry({depositor: msg.sender, units: units, refundableAt: 0, state: DepositState.Open});
        _ledger.openUnits += units;
        emit DepositMade(claim, msg.sender, units);
        _pull(units);
    }

    /// @inheritdoc IVault
    function requestRefund(Claim claim) external {
        DepositEntry storage entry = _ledger.deposits[claim];
        if (entry.state != DepositState.Open) revert NotOpen(claim);
        if (entry.depositor != msg.sender) revert NotDepositor(claim, entry.depositor);
        if (entry.refundableAt != 0) revert RefundAlreadyRequested(claim);
        uint40 refundableAt = uint40(block.timestamp + refundDelay);
        entry.refundableAt = refundableAt;
        emit RefundRequested(claim, refundableAt);
    }

    /// @inheritdoc IVault
    function refund(Claim claim) external nonReentrant {
        DepositEntry storage entry = _ledger.deposits[claim];
        if (entry.state != DepositState.Open) revert NotOpen(claim);
        uint40 refundableAt = entry.refundableAt;
        bool due = refundableAt != 0 && refundableAt <= block.timestamp;
        if (!due && !isFrozen()) revert NotRefundable(claim, refundableAt);
        (address depositor, uint48 units) = (entry.depositor, entry.units);
        entry.state = DepositState.Refunded;
        _ledger.openUnits -= units;
        emit Refunded(claim, depositor, units);
        token.safeTransfer(depositor, uint256(units) * tokenPerUnit);
    }

    /// @inheritdoc IVault
    function setDepositsPaused(bool paused) external {
        registry.checkRole(Constants.REGULATOR, msg.sender);
        _ledger.depositsPaused = paused;
        emit DepositsPaused(paused);
    }

    // ------------------------------------------------------- supplier account

    /// @inheritdoc IVault
    function addSupplierUnits(uint48 units) external nonReentrant {
        registry.checkRole(Constants.OPERATOR, msg.sender);
        _requireLive();
        if (units == 0) revert ZeroUnits();
        _ledger.requireRoom(units);
        _ledger.supplierUnits += units;
        emit SupplierFunded(units);
        _pull(units);
    }

    /// @inheritdoc IVault
    function removeSupplierUnits(uint48 units) external {
        // While it lives only the operator: anybody else could take the funds from under a batch.
        if (!isFrozen()) registry.checkRole(Constants.OPERATOR, msg.sender);
        uint64 available = _ledger.supplierUnits;
        if (units > available) revert SupplierFundsShort(available, units);
        _ledger.supplierUnits = available - units;
        _ledger.withdrawable[treasury] += uint256(units) * tokenPerUnit;
        emit SupplierUnfunded(units);
    }

    // ------------------------------------------------------------------ exits

    /// @inheritdoc IVault
    function releaseSlot(CommunityId community, uint32 slot, address payout, uint64 balance) external {
        // No batch changes a closed community's part of the state any more, so what the slot has there is paid once.
        if (!isFrozen() && !registry.isClosed(community)) revert NotFrozen();
        if (hasExited[community][slot]) revert AlreadyExited(community, slot);
        hasExited[community][slot] = true;
        emit Exited(community, slot, payout, balance, _release(payout, balance));
    }

    /// @inheritdoc IVault
    function releaseClaim(Claim claim, address payout, uint64 balance) external {
        _requireFrozen();
        if (_ledger.transfers[claim] != TransferState.Open) revert ClaimNotOpen(claim);
        _ledger.transfers[claim] = TransferState.Exited;
        emit ClaimExited(claim, payout, balance, _release(payout, balance));
    }

    /// @inheritdoc IVault
    function sweepRest() external {
        uint256 from = isFrozen() ? frozenAt() + REST_DELAY : 0;
        if (from == 0 || block.timestamp < from) revert RestNotDue(from);
        uint64 balance = _ledger.poolNano;
        emit RestSwept(balance, _credit(treasury, balance));
    }

    function _release(address payout, uint64 balance) private returns (uint256 amount) {
        if (msg.sender != address(exits)) revert NotExits(msg.sender);
        return _credit(payout, balance);
    }

    /// @dev nano from the pool to an account; less than the token's smallest part stays in the vault.
    function _credit(address payout, uint64 balance) private returns (uint256 amount) {
        uint64 pool = _ledger.poolNano;
        if (balance > pool) revert PoolShort(pool, balance);
        _ledger.poolNano = pool - balance;
        amount = uint256(balance) * tokenPerUnit / Books.UNIT;
        _ledger.withdrawable[payout] += amount;
    }

    // ------------------------------------------------------------ withdrawals

    /// @inheritdoc IVault
    function withdraw(address account) external nonReentrant {
        uint256 amount = _ledger.withdrawable[account];
        if (amount == 0) revert NothingToWithdraw(account);
        _ledger.withdrawable[account] = 0;
        emit Withdrawn(account, amount);
        token.safeTransfer(account, amount);
    }

    /// @inheritdoc IVault
    function withdrawEth(address account) external nonReentrant {
        uint256 amount = ethOwed[account];
        if (amount == 0) revert NothingToWithdraw(account);
        ethOwed[account] = 0;
        emit EthWithdrawn(account, amount);
        Address.sendValue(payable(account), amount);
    }

    /// @dev Exactly the units, in: a token that takes a fee would leave later ones unpaid.
    function _pull(uint48 units) private {
        uint256 amount = uint256(units) * tokenPerUnit;
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 arrived = token.balanceOf(address(this)) - before;
        if (arrived != amount) revert FeeOnTransfer(amount, arrived);
    }

    // ------------------------------------------------------------------ views

    /// @inheritdoc IVault
    function depositsPaused() external view returns (bool) {
        return _ledger.depositsPaused;
    }

    /// @inheritdoc IVault
    function depositOf(Claim claim) external view returns (DepositEntry memory) {
        return _ledger.deposits[claim];
    }

    /// @inheritdoc IVault
    function transferOf(Claim claim) external view returns (TransferState) {
        return _ledger.transfers[claim];
    }

    /// @inheritdoc IVault
    function withdrawable(address account) external view returns (uint256) {
        return _ledger.withdrawable[account];
    }

    /// @inheritdoc IVault
    function totals() external view returns (uint64 poolNano, uint64 openUnits, uint64 supplierUnits) {
        return (_ledger.poolNano, _ledger.openUnits, _ledger.supplierUnits);
    }
}
