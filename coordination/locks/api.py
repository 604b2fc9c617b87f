"""`lock`: what users call to take, keep and give back a lock."""

from typing import Any

from coordination import registry
from coordination.identity import identity
from coordination.kernel import durations
from coordination.locks.leased import Leased
from coordination.locks.options import options_of, resource_of, words
from coordination.locks.store import LockStore
from coordination.locks.stores import lock_store
from coordination.locks.types import Kind, Resource


class Lock(Leased):
    """A lock by name."""


class LockFunction:
    """`lock(name, …)`, with the operators' verbs beside it."""

    def __call__(self, name: str, **options: Any) -> Lock:
        r"""A lock by name; nothing is sent before `acquire`.

        Args:
            name: 1 to 200 bytes, without spaces and `{}*?[]\`.
            ttl: seconds of its lease, LOCKS["TTL"] by default.
            wait: seconds to wait for it, LOCKS["WAIT"] by default; None for ever, 0 not at all.
            shared: together with others who ask for it so.
            renew: whether this process renews the lease while it is held.
            max_hold: seconds after which it is renewed no more, LOCKS["MAX_HOLD"] by default;
                None renews it for ever.
            using: alias of its store; ROUTES by default.
            owner: a name for who asks; one of its own for each grant by default.
            metadata: JSON to be shown beside the owner.

        Raises InvalidName, InvalidArgument, NotSupportedByStore.
        """
        resource = resource_of(Kind.LOCK, name)
        return Lock(resource, options_of(resource, options))

    def force_release(
        self,
        name: str,
        *,
        reason: str,
        actor: str,
        using: str | None = None,
        kind: str = Kind.LOCK,
    ) -> list[int]:
        """Take the lock away from whoever holds it, by an operator's word, which is recorded.

        Returns the tokens it was held by. What it guards must compare tokens: whoever had it does
        not know yet. `kind` is "lock", "semaphore", "election" or "barrier".
        """
        said = {"actor": words(actor, what="actor"), "reason": words(reason, what="reason")}
        resource = resource_of(Kind(kind), name)
        return _locks(resource, using).force_release(resource, **said)

    def request_revoke(
        self,
        name: str,
        *,
        using: str | None = None,
        grace: Any = 10,
        reason: str = "",
        actor: str = "",
        kind: str = Kind.LOCK,
    ) -> int:
        """Ask holders to give it back; after `grace` seconds it is renewed no more.

        Returns how many were asked; they see it in `Grant.revoked_at` with their next renewal.
        """
        said = {"actor": actor or identity(), "reason": reason}
        grace_ms = durations.to_ms(grace, what="grace", zero=True)
        resource = resource_of(Kind(kind), name)
        return _locks(resource, using).request_revoke(resource, grace_ms=grace_ms, **said)


lock = LockFunction()


def _locks(resource: Resource, using: str | None) -> LockStore:
    return lock_store(registry.route(resource.kind, resource.name, using=using))
