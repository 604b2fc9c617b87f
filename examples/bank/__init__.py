"""A bank whose accounts live in two databases: the demo of Concord and the load of its tests.

The schema is SmallBank's (savings and checking balance of each customer, in cents) folded into one
row an account, so that each step of a transaction is one statement. Odd accounts live in database
`bank_b`, even ones in `bank_a`, and every transaction spans both.

No operation creates or destroys money. What SmallBank takes from or hands to the outside world goes
to a drawer of cash held in the *other* database (drawers start at zero and may go below it: they
are the other side of the books), and a fee stays in the row of the account that paid it. Hence
savings + checking + fees + cash, summed over both databases, is always accounts x opening balance.

| SmallBank        | home of the account                    | other database                      |
| ---------------- | -------------------------------------- | ----------------------------------- |
| Balance          | reads the account                      | reads the peer (both vote read-only)|
| DepositChecking  | checking + cents                       | cash - cents                        |
| TransactSavings  | savings + cents, cents of either sign  | cash - cents                        |
| Amalgamate       | savings and checking to zero           | peer's checking + what was there    |
| WriteCheck       | checking - cents (- fee, fees + fee)   | cash + cents                        |
| SendPayment      | checking - cents                       | peer's checking + cents             |

A check larger than savings + checking costs a fee, as in SmallBank; beyond the overdraft limit it
is voted down, as is every other operation that would take more than there is.

Source: M. Alomari, M. Cahill, A. Fekete, U. Röhm, "The Cost of Serializability on Platforms That
Use Snapshot Isolation", ICDE 2008; H-Store's SmallBank (weights and operations).
"""
