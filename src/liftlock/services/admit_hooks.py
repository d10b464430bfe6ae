"""Make the hooks that a push's `.taskcluster.yml` brings, and admit their content where policy or a person says so.

A hook exists as soon as its push has landed, and does not fire before its content is admitted for its permission at
its level. A content whose short name belongs to another one brings no hooks at all.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec

from liftlock.domain.actions.hook_definition import action_hook
from liftlock.domain.actions.naming import PULL, PULL_LEVEL, ActionHookName, short_of
from liftlock.domain.actions.policy import Policy, bare_name
from liftlock.domain.hooks.definition import HookDefinition, define_hook
from liftlock.domain.pushes.config_file import ConfigFile
from liftlock.domain.pushes.push import Push
from liftlock.errors import LiftlockError, NotFoundError, RefusedError, RequestArgumentsError, StorageError
from liftlock.ports.envelope import AuditRecord, Envelope, Event
from liftlock.ports.hook_store import PutHook
from liftlock.ports.push_store import Admission, Content, PushStore
from liftlock.services.action_policies import BY_POLICY, ActionPolicies
from liftlock.services.authorize import Caller
from liftlock.services.hooks import Hooks
from liftlock.values.instants import format_instant
from liftlock.values.json import digest

ACTOR: Final = "liftlock/hooks"
MAX_REMEMBERED: Final = 1_000
"""Versions of hooks that are remembered."""


class AdmitHooks:
    """Brings hooks for actions, and admits them."""

    def __init__(
        self, store: PushStore, hooks: Hooks, policies: ActionPolicies, pulls: frozenset[str] = frozenset()
    ) -> None:
        """Make the service; `pulls` are the projects whose pull requests start decision tasks."""
        self._store = store
        self._pulls = pulls
        self._hooks = hooks
        self._policies = policies
        self._versions: dict[tuple[ActionHookName, str, str], str] = {}

    async def bring(self, push: Push, file: ConfigFile, now: datetime) -> tuple[str, ...]:
        """Make every hook that policy wants for this content; return what an operator should look at."""
        policy = await self._policies.current()
        if not policy.permissions(push.trust_domain, push.level):
            return (f"policy makes no hooks for {push.trust_domain} at level {push.level}",)
        if file.action_template is None:
            return (".taskcluster.yml: tasks is not written as a list: there are no hooks for its actions",)
        alerts = await self._bring_all(push, file, policy, now, push.level, pull=False)
        if push.project in self._pulls and policy.permissions(push.trust_domain, PULL_LEVEL):
            alerts += await self._bring_all(push, file, policy, now, PULL_LEVEL, pull=True)
        return tuple(alerts)

    async def _bring_all(
        self, push: Push, file: ConfigFile, policy: Policy, now: datetime, level: int, *, pull: bool
    ) -> list[str]:
        """Make the hooks of that level, one for each permission; return what an operator should look at."""
        owner = await self._own_short_name(push, file, now, level)
        if owner.digest != file.digest:
            return [await self._collision(push, file, owner, now)]
        alerts: list[str] = []
        for permission in policy.permissions(push.trust_domain, level):
            name = ActionHookName(push.trust_domain, level, permission, owner.short, pull)
            try:
                admission = await self._make(name, push, file, policy, now)
            except StorageError:
                raise
            except LiftlockError as error:
                alerts.append(f"{name.group_id}/{name.hook_id}: no hook: {error.message}"[:1000])
                continue
            if admission.state != "admitted":
                alerts.append(
                    f"{name.admitted_as}: the content {file.digest} waits until somebody other than the pusher admits it"
                )
        return alerts

    async def admit(
        self, caller: Caller, trust_domain: str, level: int, permission: str, digest: str, now: datetime
    ) -> Admission:
        """Admit the content for the permission at the level, and return that; idempotent.

        Raises:
            RefusedError: the caller lacks `pushes:admit-hooks:<level>:<permission>`, or pushed the content himself.
            NotFoundError: no push brought that content for that permission.
        """
        caller.require(f"pushes:admit-hooks:{level}:{permission}")
        if len(digest) != 64 or digest.strip("0123456789abcdef"):
            raise RequestArgumentsError("digest: expected the full sha256, 64 hexadecimal digits")
        found = await self._store.admission(trust_domain, level, permission, digest)
        if found is None:
            raise NotFoundError(
                f"no push of {trust_domain} at level {level} brought the content {digest} for {permission}"
            )
        if found.state == "admitted":
            return found
        policy = await self._policies.current()
        if permission.removeprefix(PULL) not in policy.permissions(trust_domain, level):
            raise RefusedError(
                f"the policy of {trust_domain} has no hooks for {permission} at level {level}: change the policy first",
                rule="policy",
            )
        await self._expect_another_person(caller, found, now)
        admitted = msgspec.structs.replace(found, state="admitted", by=caller.client_id, at=now)
        details: dict[str, Any] = {
            "digest": digest,
            "trustDomain": trust_domain,
            "level": level,
            "permission": permission,
        }
        audit = caller.record("pushes.admitHooks", f"content/{digest}", **details)
        event = Event("hooks-admitted", digest, details | {"by": caller.client_id})
        return await self._store.put_admission(admitted, caller.envelope(now, audit, events=(event,)))

    async def _own_short_name(self, push: Push, file: ConfigFile, now: datetime, level: int) -> Content:
        content = Content(
            trust_domain=push.trust_domain,
            level=level,
            short=short_of(file.digest),
            digest=file.digest,
            project=push.project,
            push_id=push.id,
            at=now,
        )
        known = await self._store.content(content.trust_domain, content.level, content.short)
        return known or await self._store.own_short_name(content, Envelope(now))

    async def _collision(self, push: Push, file: ConfigFile, owner: Content, now: datetime) -> str:
        """Record that the content is not what its short name stands for, and return the alert."""
        details = {
            "digest": file.digest,
            "ownerDigest": owner.digest,
            "ownerPush": f"{owner.project}/{owner.push_id}",
            "push": f"{push.project}/{push.id}",
            "trustDomain": push.trust_domain,
            "level": owner.level,
        }
        audit = AuditRecord(ACTOR, "pushes.bringHooks", f"content/{file.digest}", "refused", details)
        alert = Event("alert-content-collision", file.digest, details | {"at": format_instant(now)})
        await self._store.own_short_name(owner, Envelope(now, audit=(audit,), events=(alert,)))
        return (
            f"ALERT: the content {file.digest} has the short name {owner.short} of another one, {owner.digest}, which "
            f"push {owner.push_id} of {owner.project} brought: it brings no hooks, and its actions cannot run"
        )

    async def _make(
        self, name: ActionHookName, push: Push, file: ConfigFile, policy: Policy, now: datetime
    ) -> Admission:
        """Store the hook together with what is known of its admission, unless both are there as they should be."""
        by_policy = policy.self_admits(name.trust_domain, name.level, name.permission)
        known = await self._store.admission(name.trust_domain, name.level, name.admitted_as, file.digest)
        settled = known is not None and (known.state == "admitted" or not by_policy)
        schema = policy.input_schema(name.trust_domain, name.permission)
        key = (name, file.digest, digest(schema))
        if settled and known is not None and known.hook_digest == self._versions.get(key):
            return known
        definition = self._define(name, file, schema)
        if settled and known is not None and known.hook_digest == definition.version:
            return known
        return await self._put(name, push, file, definition, now, by_policy=by_policy)

    def _define(
        self, name: ActionHookName, file: ConfigFile, schema: dict[str, Any] | None
    ) -> HookDefinition:
        """Return the hook's definition; its version is remembered, since most pushes bring the same content again."""
        wire = action_hook(name, file.action_template, file.digest, input_schema=schema)
        definition = define_hook(name.group_id, name.hook_id, wire)
        self._versions[name, file.digest, digest(schema)] = definition.version
        while len(self._versions) > MAX_REMEMBERED:
            del self._versions[next(iter(self._versions))]
        return definition

    async def _put(
        self,
        name: ActionHookName,
        push: Push,
        file: ConfigFile,
        definition: HookDefinition,
        now: datetime,
        *,
        by_policy: bool,
    ) -> Admission:
        details = {"digest": file.digest, "push": f"{push.project}/{push.id}", "selfAdmitted": by_policy}
        audit = AuditRecord(ACTOR, "pushes.bringHook", f"hook/{definition.name}", "changed", details)
        admission = Admission(
            trust_domain=name.trust_domain,
            level=name.level,
            permission=name.admitted_as,
            digest=file.digest,
            state="admitted" if by_policy else "waiting",
            by=BY_POLICY if by_policy else "",
            at=now,
            hook_digest=definition.version,
        )
        put = PutHook(self._hooks.record_of(definition, now, managed=True))
        return await self._store.put_admission(admission, Envelope(now, audit=(audit,), records=(put,)))

    async def _expect_another_person(self, caller: Caller, admission: Admission, now: datetime) -> None:
        """Raise if the caller may be one of those who pushed the content, under any name that is known of him."""
        policy = await self._policies.current()
        mine = policy.names_of(caller.client_id)
        levels = (1, 2, 3) if admission.permission.startswith(PULL) else (admission.level,)
        pushes = [
            push
            for level in levels
            for push in await self._store.bringers(admission.trust_domain, level, admission.digest)
        ]
        own = [push for push in pushes if mine & _names(push)]
        if not own:
            return await self._expect_proof(caller, admission, pushes, policy, now)
        where = f"push {own[0].id} of {own[0].project}"
        audit = caller.record("pushes.admitHooks", f"content/{admission.digest}", "refused", ownPush=where)
        await self._store.put_admission(admission, caller.envelope(now, audit))
        raise RefusedError(
            f"Client {caller.client_id} pushed this content ({where}, by {own[0].owner}): somebody else has to admit it",
            rule="own-content",
        )

    async def _expect_proof(
        self, caller: Caller, admission: Admission, pushes: list[Push], policy: Policy, now: datetime
    ) -> None:
        """Raise if policy wants to know who pushed, and it is only claimed: the caller may be that person."""
        unproven = [push for push in pushes if push.owner_standing != "authenticated"]
        if not policy.proven_pushers_only or not unproven:
            return
        where = f"push {unproven[0].id} of {unproven[0].project}"
        audit = caller.record(
            "pushes.admitHooks", f"content/{admission.digest}", "refused", unprovenPush=where
        )
        await self._store.put_admission(admission, caller.envelope(now, audit))
        raise RefusedError(
            f"who pushed this content ({where}) is only claimed ({unproven[0].owner}), and the policy says"
            " proven-pushers-only: push it through a host that authenticates pushers and vouches for them",
            rule="proven-pusher",
        )


def _names(push: Push) -> frozenset[str]:
    """Return the names of who may have pushed: the owner, and the commit's author by e-mail and by name."""
    name, _, email = push.author.rpartition(" <")
    return frozenset(bare_name(each) for each in (push.owner, email.rstrip(">"), name) if each)
