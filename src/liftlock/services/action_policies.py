"""Standing policies of action hooks: the operator's file, and over it what was stored by configuration.

A change that makes a policy stricter takes consents back: what was admitted and would not be any more is withdrawn in
the same transaction. Hooks that are fired are checked against the present policy besides, for it may also change with
the file.

Source: docs/reference/actions.md#policy
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.domain.actions.naming import PULL
from liftlock.domain.actions.policy import DomainPolicy, Policy, check_domain
from liftlock.domain.hooks.trigger_schema import compile_trigger_schema
from liftlock.errors import InputInvalidError
from liftlock.ports.configuration_store import ConfigurationStore
from liftlock.ports.envelope import AuditRecord, Event
from liftlock.ports.push_store import Admission, PushStore, Withdrawal
from liftlock.services.authorize import Caller
from liftlock.values.ids import project_name

BY_POLICY: Final = "policy"
"""Who admitted content that needed nobody's consent."""


class ActionPolicies:
    """Reads and changes policies."""

    def __init__(self, store: ConfigurationStore, pushes: PushStore, from_file: Policy) -> None:
        self._store = store
        self._pushes = pushes
        self._from_file = from_file

    async def current(self) -> Policy:
        """Return the policy in force: a stored trust domain replaces the file's of that name."""
        stored = await self._store.policies()
        return msgspec.structs.replace(self._from_file, trust_domain=self._from_file.trust_domain | stored)

    async def list(self, caller: Caller) -> dict[str, DomainPolicy]:
        """Return the stored policies by trust domain."""
        caller.require("pushes:list-action-policies")
        return await self._store.policies()

    async def put(
        self, caller: Caller, trust_domain: str, policy: DomainPolicy, now: datetime
    ) -> tuple[Admission, ...]:
        """Store the policy, and return the consents that it takes back; pushes that land are treated by it.

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
        return await self._change(caller, trust_domain, policy, audit, now)

    async def remove(self, caller: Caller, trust_domain: str, now: datetime) -> tuple[Admission, ...]:
        """Forget the stored policy; what the operator's file or the defaults say holds again. Returns as `put`."""
        caller.require(f"pushes:manage-action-policy:{project_name(trust_domain)}")
        audit = caller.record("pushes.removeActionPolicy", f"action-policy/{trust_domain}")
        return await self._change(caller, trust_domain, None, audit, now)

    async def _change(
        self,
        caller: Caller,
        trust_domain: str,
        policy: DomainPolicy | None,
        audit: AuditRecord,
        now: datetime,
    ) -> tuple[Admission, ...]:
        domains = dict(self._from_file.trust_domain)
        if policy is not None:
            domains[trust_domain] = policy
        after = msgspec.structs.replace(self._from_file, trust_domain=domains)
        known = await self._pushes.admissions_of(trust_domain)
        gone = tuple(each for each in known if not _upheld(after, each))
        audits = [audit, *(_withdrawn(caller, each) for each in gone)]
        events = [Event("hooks-withdrawn", each.digest, _shown(each, caller.client_id)) for each in gone]
        records = [Withdrawal(admission=each, by=caller.client_id, at=now) for each in gone]
        envelope = caller.envelope(now, *audits, events=events, records=records)
        await self._store.put_policy(trust_domain, policy, envelope)
        return gone


def _upheld(policy: Policy, admission: Admission) -> bool:
    return policy.upholds(
        admission.trust_domain,
        admission.level,
        admission.permission.removeprefix(PULL),
        by_policy=admission.by == BY_POLICY,
    )


def _withdrawn(caller: Caller, admission: Admission) -> AuditRecord:
    return caller.record(
        "pushes.withdrawHooks",
        f"content/{admission.digest}",
        trustDomain=admission.trust_domain,
        level=admission.level,
        permission=admission.permission,
        admittedBy=admission.by,
    )


def _shown(admission: Admission, by: str) -> dict[str, Any]:
    return {
        "digest": admission.digest,
        "trustDomain": admission.trust_domain,
        "level": admission.level,
        "permission": admission.permission,
        "by": by,
    }
