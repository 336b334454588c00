// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title The ERC-20 vault
/// @notice Deposits come in under a hiding claim, money goes out by pull payments. What is in the vault is, at every
/// time, at least the open deposits, what accounts may withdraw, the pool that backs all balances of the state, and the
/// supplier accounts' funds.
/// @dev A *unit* is 10,000,000 nano, `tokenPerUnit` smallest parts of the token. Rules: docs/spec/l1.md, "Vault".
interface IVault {
    // ------------------------------------------------------------------ types

    enum DepositState {
        None,
        Open,
        Consumed,
        Refunded
    }

    /// @notice A deposit, one storage slot.
    /// @param refundableAt unix seconds from which its depositor may have it back; 0 if it was not asked for
    struct DepositEntry {
        address depositor;
        uint48 units;
        uint40 refundableAt;
        DepositState state;
    }

    /// @notice A claim that an account of the state sent, for another to receive.
    enum TransferState {
        None,
        Open,
        Received,
        Exited
    }

    // ----------------------------------------------------------------- events

    event DepositMade(bytes32 indexed claim, address indexed depositor, uint48 units);
    event RefundRequested(bytes32 indexed claim, uint40 refundableAt);
    event Refunded(bytes32 indexed claim, address indexed depositor, uint48 units);
    event SupplierFunded(uint48 units);
    event SupplierUnfunded(uint48 units);
    /// @notice `amount` of the token, smallest parts, was paid to `account`.
    event Withdrawn(address indexed account, uint256 amount);
    /// @notice `amount` wei, of bonds, were paid to `account`.
    event EthWithdrawn(address indexed account, uint256 amount);
    event DepositsPaused(bool paused);

    /// @param balance nano that left the pool
    /// @param amount smallest parts of the token, credited to `payout`
    event Exited(uint32 indexed community, uint32 indexed slot, address indexed payout, uint64 balance, uint256 amount);
    event ClaimExited(bytes32 indexed claim, address indexed payout, uint64 balance, uint256 amount);

    // Effects of a batch's records, in their order, after its BatchSettled.
    event DepositConsumed(bytes32 indexed claim, uint48 units);
    event WithdrawalCredited(address indexed account, uint48 units);
    event TransferOpened(bytes32 indexed claim);
    event TransferReceived(bytes32 indexed claim);
    /// @param kind 16 into a community's supplier account; 17 out of the supplier account, 18 out of the fee account,
    /// both to the treasury
    event HeaderMoneyMoved(uint32 indexed community, uint8 indexed kind, uint48 units);

    // ----------------------------------------------------------------- errors

    error DepositsArePaused();
    /// @notice The claim is zero or was used by a deposit before.
    error ClaimUsed(bytes32 claim);
    error ZeroUnits();
    /// @notice The money under the contract would exceed 2^62 nano, what the circuit counts.
    error CapExceeded(uint256 totalNano);
    /// @notice The token took a fee: fewer arrived than were sent.
    error FeeOnTransfer(uint256 expected, uint256 actual);
    error NotDepositor(bytes32 claim, address depositor);
    /// @notice The deposit is not open: unknown, consumed or refunded.
    error NotOpen(bytes32 claim);
    error RefundAlreadyRequested(bytes32 claim);
    /// @notice No refund was requested, or its delay is not over (`refundableAt` is 0 or later).
    error NotRefundable(bytes32 claim, uint256 refundableAt);
    error NothingToWithdraw(address account);
    error SupplierFundsShort(uint256 available, uint256 units);
    error BadConfig(string what);
    error NotExits(address caller);
    error AlreadyExited(uint32 community, uint32 slot);
    /// @notice The claim was not sent, or was received or exited.
    error ClaimNotOpen(bytes32 claim);
    /// @notice The pool does not cover it: no sound proof leads here.
    error PoolShort(uint256 available, uint256 balance);

    // Errors of records; `index` is the record's in the batch.
    error DepositNotOpen(uint256 index, bytes32 claim);
    error DepositUnits(uint256 index, uint256 expected, uint256 actual);
    error TransferNotNew(uint256 index, bytes32 claim);
    error TransferNotOpen(uint256 index, bytes32 claim);
    error SupplierShort(uint256 index, uint256 available, uint256 units);
    /// @notice The pool does not cover it: no sound proof leads here.
    error Insolvent(uint256 index);

    // ---------------------------------------------------------------- actions

    /// @notice Brings units of the token for the account whose owner can open `claim`.
    /// @param claim P(owner, amount + payout 2^64, sa, sb), docs/spec/operations.md
    function deposit(bytes32 claim, uint48 units) external;

    /// @notice The depositor announces a refund. Until it is paid a batch may still consume the deposit.
    function requestRefund(bytes32 claim) external;

    /// @notice Pays a requested refund after its delay, or, when frozen, any open deposit, to its depositor. Anyone may
    /// call.
    function refund(bytes32 claim) external;

    /// @notice The operator puts units beside the pool, for records that move them into a community's supplier account.
    function addSupplierUnits(uint48 units) external;

    /// @notice Credits unused supplier funds to the treasury: the operator, or anyone when frozen.
    function removeSupplierUnits(uint48 units) external;

    /// @notice Pays all that `account` may withdraw, to it. Anyone may call.
    function withdraw(address account) external;

    /// @notice Pays all bonds owed to `account`, to it. Anyone may call.
    function withdrawEth(address account) external;

    /// @notice Only by the exits contract, when frozen: credits a slot's balance, once.
    function releaseSlot(uint32 community, uint32 slot, address payout, uint64 balance) external;

    /// @notice Only by the exits contract, when frozen: credits a sent claim, once.
    function releaseClaim(bytes32 claim, address payout, uint64 balance) external;

    /// @notice The regulator's pause of `deposit`, and of nothing else.
    function setDepositsPaused(bool paused) external;

    // ------------------------------------------------------------------ views

    function depositsPaused() external view returns (bool);
    function depositOf(bytes32 claim) external view returns (DepositEntry memory);
    function transferOf(bytes32 claim) external view returns (TransferState);
    /// @notice Smallest parts of the token.
    function withdrawable(address account) external view returns (uint256);
    /// @notice Wei.
    function ethOwed(address account) external view returns (uint256);
    function hasExited(uint32 community, uint32 slot) external view returns (bool);
    /// @notice The contract through which everybody exits from a frozen rollup: `IExits`.
    function exits() external view returns (address);
    /// @notice What backs the balances of the state, nano; open deposits and supplier funds, units.
    function totals() external view returns (uint64 poolNano, uint64 openUnits, uint64 supplierUnits);
}
