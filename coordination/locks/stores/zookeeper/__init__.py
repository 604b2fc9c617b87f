"""Locks in ZooKeeper.

verbs ─▶ taking, giving, keeping, seeing ─▶ line (the claims of a name, in order)
                    │                        ├▶ claims, paths, calls: what stands where
                    └▶ journal (log, tokens) └▶ turn ─▶ the connection
chores: what is done behind a call, again until it is done · reconciling: what nobody told
"""

from coordination.locks.stores.zookeeper.verbs import ZooKeeperLocks

__all__ = ["ZooKeeperLocks"]
