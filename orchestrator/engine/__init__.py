"""The saga's loop: it polls a batch, decides it, commits it in one transaction, and promotes it.

`loop` runs the steps and recovers from failed transactions, `assignment` owns the partitions and their consumers,
`transactions` the producer. `routing` and `decider` turn records and timers into decisions; `staged_batch` holds
what they write and change until the commit, with `session_change` and `checkpoint` as its parts. `state` is what
lives in memory, `recovery` restores it from the log.
"""
