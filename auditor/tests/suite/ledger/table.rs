//! What each lie must be found as: batch, clause, the lie, a part of the finding.

pub const LIES: &str = "
# Records and effects.
1  L1.10         drop DepositConsumed                        record 1 has no effect on L1: DepositConsumed
3  L1.10         drop SupplierMoved 2                        record 6 has no effect
3  L1.10         cut 3 6                                     an effect that no record has: SupplierMoved
3  OP.11         cut 3 6                                     not that of the records
4  L1.10         add 4 SEND 5                                record 2 has no effect on L1: TransferOpened
1  L1.10         record 1 1 DEPOSIT 499 11                   no record has: DepositConsumed
3  L1.10         set WithdrawalCredited account bob          no record has: WithdrawalCredited
3  L1.10         set ForcedServed bond 10000000000000001     no record has: ForcedServed
-  L1.10         end TransferOpened claim=5                  belongs to no batch
3  L1.10         elsewhere Corrected                         belongs to no batch
3  OP.10         record 3 0 WITHDRAW 100 ones                the payout is no account
1  OP.10         record 1 2 SUPPLIER_IN 400 1                second word

# Batches and registries.
-  L1.SEQUENCE   drop BatchSettled 4                         4 events of batches, the contract counts 5
2  L1.SEQUENCE   again BatchSettled 1                        in the place of batch 3
5  L1.SEQUENCE   forget calldata                             no calldata
2  L1.CALLDATA   set BatchSettled 1 first_interval 101       differ
-  L1.SEQUENCE   swap 4 9                                    comes late
1  L1.6          begin VersionRetired circuit_version=2      was retired
1  COUNCIL.2     begin VerifierUnsound circuit_version=2 shape=1 verifier=bob  was proven unsound
-  COUNCIL.4     end VerifierHastened circuit_version=3 shape=1 active_from=1  none of the shape was proven unsound
-  STATE.INIT    begin Genesis root=1 circuit_version=2      genesis event
-  L1.COMMUNITY  drop CommunityRegistered                    no event registers community 3
-  L1.TARIFF     drop TariffRegistered                       no event publishes tariff 0 of set 1
1  STATE.INIT    terms 0 99                                  terms that were not registered
1  STATE.INIT    record 1 0 INIT 0 0                         terms that were not registered
3  STATE.INIT    record 3 0 INIT 0 3                         later than with its first record
3  STATE.INIT    record 3 0 INIT 0 3                         in the state tree already

# Vault.
1  VAULT.5       drop DepositMade                            no open deposit
-  VAULT.1       again DepositMade                           deposited again
-  VAULT.1       begin DepositMade claim=0 depositor=bob units=1  without a claim
2  VAULT.5       record 2 1 DEPOSIT 30 13                    no open deposit
2  OP.5          record 2 1 DEPOSIT 500 11                   taken in before
-  VAULT.4       drop RefundRequested                        otherwise than it was requested
-  VAULT.4       again RefundRequested                       no open deposit
-  VAULT.5       again Refunded                              was not open
-  VAULT.4       set Refunded depositor bob                  otherwise
-  L1.PAUSED     begin DepositsPaused paused=true            paused
1  VAULT.7       drop SupplierFunded                         which have less
-  VAULT.7       end SupplierUnfunded units=601              which have less
-  VAULT.7       say supplier_units 601                      the contract has 601
-  L1.POOL       say pool_nano 7820000000                    the contract's pool is
3  L1.POOL       record 3 0 WITHDRAW 5000 alice              more than was ever paid in
4  OP.5          record 4 0 RECEIVE 0 22                     not open
3  OP.5          record 3 2 SEND 0 21                        used before
-  VAULT.5       drop Refunded 1                             other open deposits

# Forced withdrawals.
3  FORCED.1      drop ForcedRequested                        not the head
3  FORCED.1      record 3 3 FORCED 20 bob                    not the head
-  FORCED.3      again ForcedRequested 1                     or twice
-  FORCED.5      set ForcedRequested 1 slot 4                slot 4 of 4
-  FORCED.5      begin ForcedRequested community=3 slot=0 requester=bob position=0 payer=bob bond=1  has not settled
-  FORCED.1      say forced_slot 3                           not the one of its events
-  FORCED.1      end BondReturned community=3 payer=alice bond=1  is not due
-  FORCED.1      end BondReturned community=3 payer=alice bond=20000000000000000  is not due

# Freeze and exits.
-  EXIT.5        drop Frozen                                 before any freeze
-  EXIT.5        drop CommunityClosed                        Exited before any freeze or end
-  L1.FREEZE     say frozen 0                                otherwise than its events say
-  L1.FREEZE     set Frozen root 1                           another root
-  FORCED.2      begin Frozen community=3 root=0             nobody waits
4  L1.9          freeze before batch 3                       after the freeze
-  L1.FREEZE     end DepositMade claim=5 depositor=bob units=1  DepositMade after the freeze
-  EXIT.4        again Exited                                slot 0 of community 9 exits again
-  EXIT.2        end Exited community=3 slot=4 payout=bob balance=1 amount=0  there is none
-  EXIT.4        again ClaimExited                           was not open
-  EXIT.4        end ClaimExited claim=21 payout=bob balance=1 amount=0  was not open
-  EXIT.6        end Exited community=3 slot=3 payout=bob balance=7830000000 amount=0  more than the pool has

-  EXIT.5        begin RestSwept balance=0 amount=0          before any freeze
-  VAULT.8       end RestSwept balance=5 amount=0            are swept, the pool has

# The end of a community.
-  CLOSE.1       again CommunityClosing                      announced again
-  CLOSE.1       end CommunityClosing community=8 closes_at=1  or of none
-  CLOSE.2       drop CommunityClosing                       which was not announced
-  CLOSE.3       drop CommunityEnding                        before its requests ended
-  CLOSE.3       set CommunityClosed last_batch 3            after another batch than the last
-  CLOSE.4       close 3 before ForcedRequested 1            takes none any more
4  CLOSE.4       close 7 before BatchSettled 3               a batch of community 7, which is closed
-  L1.FREEZE     end CommunityEnding community=3             CommunityEnding after the freeze

# Certificates.
-  L1C.4         again CertificateSpent                      used again
-  L1C.2         set CertificateSpent 1 kind 258             kind 258
-  L1C.5         set CertificateSpent 1 note_2 0             or no note
-  L1C.5         set CertificateSpent 1 nullifier high       below the modulus
-  L1C.1         set CertificateSpent 1 circuit_version 2    is no certificate's
-  L1C.1         begin VersionRetired circuit_version=1000001  or was retired
-  L1C.3         set CertificateSpent 1 anchor 77             was never a state root
-  L1C.7  end CertificateSpent nullifier=1 circuit_version=1000001 anchor=0 note_1=2 note_2=3 retirement=0 disclosed=0 beneficiary=0 kind=0  after
-  L1C.8         end FrozenForNotes number=0 root=0           frozen for the pair of notes 0
-  L1.FREEZE     end FrozenForNotes number=1 root=0           FrozenForNotes after the freeze
-  L1C.10        begin NotesDropped nullifier=1 circuit_version=1000001 undone=true  not the head of the queue
-  L1C.10        end NotesDropped nullifier=2000 circuit_version=1000001 undone=true  a batch may take them in
2  L1C.10        begin VersionRetired circuit_version=1000001  which was retired
2  NOTES.1       exchange notes                              not the head
4  NOTES.1       record 4 1 NOTE 0 2002                      record 1: note 00000000 is not the head
-  NOTES.1       forget note                                 not the one of its events
-  CERT.5        set CertificateSpent 1 disclosed info:40,100,2,3,above  bits above
-  CERT.5        set CertificateSpent 1 disclosed info:1,100,2,8  community 8
-  CERT.5        set CertificateSpent 1 disclosed info:1,100,3,3  3 intervals
-  CERT.5        set CertificateSpent 1 disclosed info:1,104,2,3  not settled

# What calldata shows.
-  PROOF         call CertificateSpent 1 proof 8             its proof does not hold
-  L1.CALLDATA   call CertificateSpent 1 anchor 5            event and calldata differ
-  L1.CALLDATA   call CertificateSpent 0 anchor root:4       event and calldata differ
-  L1.CALLDATA   call CertificateSpent 1 circuit_version 2   event and calldata differ
-  L1.6          begin VersionRetired circuit_version=1000001  1000001 was retired
-  L1.CALLDATA   call CertificateSpent 1 nullifier 5         event and calldata differ
-  L1.CALLDATA   set CertificateSpent 1 disclosed info:41,100,2,3  event and calldata differ
-  CERT.4        set CertificateSpent 1 disclosed info:60000000,100,2,3  cannot have fed in more than 52428000 Wh
-  CERT.4        set CertificateSpent 1 disclosed info:200000000000000,100,2,3  200000000001002 Wh of one period
-  EXIT.1        call Exited siblings none                   0 siblings
-  EXIT.2        call Exited header_leaf 5                   does not lead to the last state root
-  EXIT.2        call Exited 1 s1 5                          does not lead to the last state root
-  L1.CALLDATA   call Exited balance 122                     event and calldata differ
-  EXIT.2        call ClaimExited sa 5                       another claim's
-  EXIT.6        set Exited 1 amount 1                       is paid 1 parts of the token
-  VAULT.10      set Withdrawn amount 1                      to an account that is owed 1200000

# What the vault has.
-  VAULT.11      say token_balance 0                         owes 14499999: 14499999 are missing
-  VAULT.11      say token_balance 14499998                  1 are missing
-  VAULT.11      say coin_balance 29999999999999999          owes bonds of 30000000000000000
-  VAULT.5       say open_units 1                            has 1 units of open deposits
";
