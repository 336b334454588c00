// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Claim, CommunityId} from "../Types.sol";

/// @title The ERC-20 vault
/// @notice Deposits come in under a hiding claim, money goes out by pull payments. What is in the vault is, at every
/// time, at least the open deposits, what accounts may withdraw, the pool that backs all balances of the state, and the
/// supplier accounts' funds.
/// @dev A *unit* is 10,000,000 nano, `tokenPerUnit` smallest parts of the token. Rules: docs/spec/l1.md, "Vault".
interface IVault {
    // ------------------------------------------------------------------ types

    /// @notice What became of a deposit. None: there was none under the claim. Open: no batch took it in yet.
    /// Consumed: a batch took it in. Refunded: it went back to its depositor.
    enum DepositState {
        None,
        Open,
        Consumed,
        Refunded
    }

    /// @notice A deposit, one storage slot.
    /// @param depositor who brought it, and who alone may have it back
    /// @param units of the token
    /// @param refundableAt unix seconds from which its depositor may have it back; 0 if it was not asked for
    /// @param state what became of it
    struct DepositEntry {
        address depositor;
        uint48 units;
        uint40 refundableAt;
        DepositState state;
    }

    /// @notice What became of a claim that an account of the state sent, for another to receive. None: it was not
    /// sent. Open: it was sent. Received: another account has it. Exited: it was paid from the frozen rollup.
    enum TransferState {
        None,
        Open,
        Received,
        Exited
    }

    // ----------------------------------------------------------------- events

    /// @notice A deposit came in. A batch may consume it from now on.
    /// @param claim it came under
    /// @param depositor who brought it
    /// @param units of the token
    event DepositMade(Claim indexed claim, address indexed depositor, uint48 units);
    /// @notice The depositor asked for a deposit back. A batch may still consume it.
    /// @param claim of the deposit
    /// @param refundableAt unix seconds from which `refund` pays
    event RefundRequested(Claim indexed claim, uint40 refundableAt);
    /// @notice A deposit was paid back.
    /// @param claim of the deposit
    /// @param depositor who was paid
    /// @param units of the token
    event Refunded(Claim indexed claim, address indexed depositor, uint48 units);
    /// @notice The operator brought funds for supplier accounts.
    /// @param units of the token
    event SupplierFunded(uint48 units);
    /// @notice Unused funds of supplier accounts were credited to the treasury.
    /// @param units of the token
    event SupplierUnfunded(uint48 units);
    /// @notice An account was paid what it could withdraw.
    /// @param account that was paid
    /// @param amount smallest parts of the token
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice An account was paid the bonds that were owed to it.
    /// @param account that was paid
    /// @param amount wei
    event EthWithdrawn(address indexed account, uint256 amount);
    /// @notice The regulator paused deposits, or let them go on.
    /// @param paused true if `deposit` is refused from now on
    event DepositsPaused(bool paused);

    /// @notice The frozen rollup, or a closed community, credited a slot's balance.
    /// @param community which
    /// @param slot that exited; it cannot exit again
    /// @param payout account that may withdraw the amount
    /// @param balance nano that left the pool
    /// @param amount smallest parts of the token, credited to `payout`
    event Exited(
        CommunityId indexed community, uint32 indexed slot, address indexed payout, uint64 balance, uint256 amount
    );
    /// @notice The frozen rollup credited a claim that was sent and not received.
    /// @param claim that exited; it cannot exit again
    /// @param payout account that may withdraw the amount
    /// @param balance nano that left the pool
    /// @param amount smallest parts of the token, credited to `payout`
    event ClaimExited(Claim indexed claim, address indexed payout, uint64 balance, uint256 amount);

    /// @notice What nobody had taken out of the frozen rollup's pool for so long was credited to the treasury.
    /// @param balance nano that left the pool
    /// @param amount smallest parts of the token, credited to the treasury
    event RestSwept(uint64 balance, uint256 amount);

    // Effects of a batch's records, in their order, after its BatchSettled.

    /// @notice Record 1: a batch took a deposit in.
    /// @param claim of the deposit
    /// @param units of the token, now in the pool
    event DepositConsumed(Claim indexed claim, uint48 units);
    /// @notice Record 2: a batch credited a withdrawal.
    /// @param account that may withdraw it
    /// @param units of the token, no longer in the pool
    event WithdrawalCredited(address indexed account, uint48 units);
    /// @notice Record 3: an account of the state sent money, which waits to be received.
    /// @param claim of the transfer
    event TransferOpened(Claim indexed claim);
    /// @notice Record 4: an account of the state received what another sent.
    /// @param claim of the transfer
    event TransferReceived(Claim indexed claim);
    /// @notice Records 16 to 18: money of a community's header moved.
    /// @param community which
    /// @param kind 16 into the supplier account; 17 out of the supplier account, 18 out of the fee account, both to the
    /// treasury
    /// @param units of the token
    event HeaderMoneyMoved(CommunityId indexed community, uint8 indexed kind, uint48 units);

    // ----------------------------------------------------------------- errors

    /// @notice The regulator has paused deposits. Wait until `depositsPaused` is false.
    error DepositsArePaused();
    /// @notice The claim is zero or was used by a deposit before. Take one with fresh salts.
    /// @param claim as it was given
    error ClaimUsed(Claim claim);
    /// @notice The amount is zero. Bring at least one unit.
    error ZeroUnits();
    /// @notice The money under the contract would exceed what the circuit counts. Bring less.
    /// @param totalNano what it would be: 2^62 or more
    error CapExceeded(uint256 totalNano);
    /// @notice The token took a fee. Tokens with fees are not supported.
    /// @param expected smallest parts that were sent
    /// @param actual smallest parts that arrived
    error FeeOnTransfer(uint256 expected, uint256 actual);
    /// @notice Only the depositor may ask for a deposit back.
    /// @param claim of the deposit
    /// @param depositor who brought it
    error NotDepositor(Claim claim, address depositor);
    /// @notice The deposit is not open: unknown, consumed or refunded. `depositOf` says which.
    /// @param claim as it was given
    error NotOpen(Claim claim);
    /// @notice The depositor has asked for this deposit before. Call `refund` when its delay is over.
    /// @param claim of the deposit
    error RefundAlreadyRequested(Claim claim);
    /// @notice No refund was requested, or its delay is not over.
    /// @param claim of the deposit
    /// @param refundableAt unix seconds from which it may be paid; 0 if none was requested
    error NotRefundable(Claim claim, uint256 refundableAt);
    /// @notice Nothing is owed to the account.
    /// @param account as it was given
    error NothingToWithdraw(address account);
    /// @notice More was asked back than is unused. Ask for less: `totals` says how much there is.
    /// @param available units
    /// @param units that were asked for
    error SupplierFundsShort(uint256 available, uint256 units);
    /// @notice A constructor argument is out of its bounds: `IGridveilRollup.Config` has them.
    /// @param what name of the argument
    error BadConfig(string what);
    /// @notice Only the exits contract releases money. Call `IExits`.
    /// @param caller who called instead
    error NotExits(address caller);
    /// @notice The slot's balance was credited before.
    /// @param community which
    /// @param slot as it was given
    error AlreadyExited(CommunityId community, uint32 slot);
    /// @notice The claim was not sent, or was received or exited. `transferOf` says which.
    /// @param claim that the opening leads to
    error ClaimNotOpen(Claim claim);
    /// @notice The rest is the treasury's only long after the freeze. Until then it is the members' to exit with.
    /// @param from unix seconds from which it may be swept; 0 if the rollup is not frozen
    error RestNotDue(uint256 from);
    /// @notice The pool does not cover an exit: no sound proof leads here.
    /// @param available nano
    /// @param balance nano
    error PoolShort(uint256 available, uint256 balance);

    // Errors of records; `index` is the record's in the batch. Each refuses the whole batch.

    /// @notice Record 1 names a claim without an open deposit: unknown, consumed or refunded. Leave it out.
    /// @param index of the record
    /// @param claim of the record
    error DepositNotOpen(uint256 index, Claim claim);
    /// @notice Record 1 names other units than the deposit has.
    /// @param index of the record
    /// @param expected units of the deposit
    /// @param actual units of the record
    error DepositUnits(uint256 index, uint256 expected, uint256 actual);
    /// @notice Record 3 names a claim that was sent before. Send with fresh salts.
    /// @param index of the record
    /// @param claim of the record
    error TransferNotNew(uint256 index, Claim claim);
    /// @notice Record 4 names a claim that was not sent, or was received or exited. Leave it out.
    /// @param index of the record
    /// @param claim of the record
    error TransferNotOpen(uint256 index, Claim claim);
    /// @notice Record 16 moves more than the operator brought. Bring the rest with `addSupplierUnits` first.
    /// @param index of the record
    /// @param available units
    /// @param units of the record
    error SupplierShort(uint256 index, uint256 available, uint256 units);
    /// @notice The pool does not cover a record: no sound proof leads here.
    /// @param index of the record
    error Insolvent(uint256 index);

    // ---------------------------------------------------------------- actions

    /// @notice Brings units of the token for the account whose owner can open `claim`. Anyone may call, after an
    /// approval of the token; refused when frozen or paused.
    /// @param claim P(owner, amount + payout 2^64, sa, sb), docs/spec/operations.md; not zero, used once
    /// @param units at least one
    function deposit(Claim claim, uint48 units) external;

    /// @notice The depositor announces a refund. Until it is paid a batch may still consume the deposit.
    /// @param claim of an open deposit of the caller
    function requestRefund(Claim claim) external;

    /// @notice Pays a requested refund after its delay, or, when frozen, any open deposit, to its depositor. Anyone may
    /// call.
    /// @param claim of an open deposit
    function refund(Claim claim) external;

    /// @notice The operator puts units beside the pool, for records that move them into a community's supplier account.
    /// The operator alone may call, after an approval of the token; refused when frozen.
    /// @param units at least one
    function addSupplierUnits(uint48 units) external;

    /// @notice Credits unused supplier funds to the treasury: the operator, or anyone when frozen.
    /// @param units at most what is unused
    function removeSupplierUnits(uint48 units) external;

    /// @notice Ten years after the freeze: credits what is left in the pool to the treasury, once. Until then members exit;
    /// what was credited to anybody, and open deposits, it does not touch. Anyone may call.
    function sweepRest() external;

    /// @notice Pays all that `account` may withdraw, to it. Anyone may call.
    /// @param account that is paid
    function withdraw(address account) external;

    /// @notice Pays all bonds owed to `account`, to it. Anyone may call.
    /// @param account that is paid
    function withdrawEth(address account) external;

    /// @notice Only by the exits contract, when frozen or the community is closed: credits a slot's balance, once.
    /// @param community which
    /// @param slot of the member
    /// @param payout account that may withdraw it
    /// @param balance nano
    function releaseSlot(CommunityId community, uint32 slot, address payout, uint64 balance) external;

    /// @notice Only by the exits contract, when frozen: credits a sent claim, once.
    /// @param claim that was sent and not received
    /// @param payout account that may withdraw it
    /// @param balance nano
    function releaseClaim(Claim claim, address payout, uint64 balance) external;

    /// @notice The regulator's pause of `deposit`, and of nothing else. The regulator alone may call.
    /// @param paused true to pause, false to let deposits go on
    function setDepositsPaused(bool paused) external;

    // ------------------------------------------------------------------ views

    /// @notice True while the regulator's pause refuses deposits.
    /// @return paused as the regulator set it
    function depositsPaused() external view returns (bool paused);
    /// @notice A deposit.
    /// @param claim it came under
    /// @return entry all zero if there was none
    function depositOf(Claim claim) external view returns (DepositEntry memory entry);
    /// @notice What became of a claim that was sent.
    /// @param claim of the transfer
    /// @return state `None` if it was not sent
    function transferOf(Claim claim) external view returns (TransferState state);
    /// @notice What `withdraw` pays.
    /// @param account that is paid
    /// @return amount smallest parts of the token
    function withdrawable(address account) external view returns (uint256 amount);
    /// @notice What `withdrawEth` pays.
    /// @param account that is paid
    /// @return amount wei
    function ethOwed(address account) external view returns (uint256 amount);
    /// @notice True if a slot's balance was credited by an exit.
    /// @param community which
    /// @param slot of the member
    /// @return exited true from the exit on
    function hasExited(CommunityId community, uint32 slot) external view returns (bool exited);
    /// @notice The money in the vault that is not yet an account's to withdraw.
    /// @return poolNano what backs the balances of the state, nano
    /// @return openUnits open deposits, units
    /// @return supplierUnits unused supplier funds, units
    function totals() external view returns (uint64 poolNano, uint64 openUnits, uint64 supplierUnits);
}
