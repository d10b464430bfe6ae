"""Standing policies of action hooks: the operator's file, and over it what was stored by configuration.

Source: docs/reference/actions.md#policy
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from liftlock.domain.actions.policy import DomainPolicy, Policy, check_domain
from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.errors import InputInvalidError
from liftlock.ports.configuration_store import ConfigurationStore
from liftlock.services.authorize import Caller
from liftlock.values.ids import project_name


class ActionPolicies:
    """Reads and changes policies."""

    def __init__(self, store: ConfigurationStore, from_file: Policy) -> None:
        self._store = store
        self._from_file = from_file

    async def current(self) -> Policy:
        """Return the policy in force: a stored trust domain replaces the file's of that name."""
        stored = await self._store.policies()
        return msgspec.structs.replace(self._from_file, trust_domain=self._from_file.trust_domain | stored)

    async def list(self, caller: Caller) -> dict[str, DomainPolicy]:
        """Return the stored policies by trust domain."""
        caller.require("pushes:list-action-policies")
        return await self._store.policies()

    async def put(self, caller: Caller, trust_domain: str, policy: DomainPolicy, now: datetime) -> None:
        """Store the policy; pushes that land from now on are treated by it.

        Raises:
            InputInvalidError: a permission, a level or a schema makes no sense.
        """
        caller.require(f"pushes:manage-action-policy:{project_name(trust_domain)}")
        check_domain(f"action policy of {trust_domain}", policy)
        for permission, schema in policy.input_schema.items():
            try:
                compile_trigger_schema(schema)
            except InputInvalidError as error:
                raise InputInvalidError(f"inputSchemas.{permission}: {error.message}") from error
        audit = caller.record(
            "pushes.putActionPolicy",
            f"action-policy/{trust_domain}",
            levels=list(policy.levels),
            permissions=list(policy.permissions),
            selfAdmitted=list(policy.self_admitted),
        )
        await self._store.put_policy(trust_domain, policy, caller.envelope(now, audit))

    async def remove(self, caller: Caller, trust_domain: str, now: datetime) -> None:
        """Forget the stored policy; what the operator's file or the defaults say holds again."""
        caller.require(f"pushes:manage-action-policy:{project_name(trust_domain)}")
        audit = caller.record("pushes.removeActionPolicy", f"action-policy/{trust_domain}")
        await self._store.put_policy(trust_domain, None, caller.envelope(now, audit))
