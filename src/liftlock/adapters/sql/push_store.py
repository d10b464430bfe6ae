"""Projects, the push log and the contents of hooks in SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liftlock.adapters.sql.engine import Engine
from liftlock.adapters.sql.envelope_script import audit_rows
from liftlock.adapters.sql.push_rows import (
    ADMISSION_COLUMNS,
    CONTENT_COLUMNS,
    PUSH_COLUMNS,
    admission_of,
    admission_values,
    content_of,
    content_values,
    project_of,
    project_text,
    push_of,
    push_values,
)
from liftlock.adapters.sql.records import record_script
from liftlock.adapters.sql.script import Script, Sql
from liftlock.domain.pushes.movements import zeros_like
from liftlock.domain.pushes.project import Project
from liftlock.domain.pushes.push import Push
from liftlock.errors import ConflictError, StaleSnapshotError
from liftlock.ports.envelope import Envelope
from liftlock.ports.push_store import (
    MAX_PAGE,
    Admission,
    AdmissionState,
    Audited,
    Content,
    DecisionOutcome,
    DecisionRun,
    NewPush,
    PushQuery,
    Withdrawal,
)
from liftlock.values.instants import to_ms
from liftlock.values.json import decode_as, encode

_SELECT_PUSH = f"SELECT {PUSH_COLUMNS} FROM push"  # noqa: S608 -- constant columns
_SELECT_CONTENT = (
    f"SELECT {CONTENT_COLUMNS} FROM action_content WHERE trust_domain = $1 AND level = $2 AND short = $3"  # noqa: S608 -- constant
)
_SELECT_ADMISSION = f"SELECT {ADMISSION_COLUMNS} FROM action_admission"  # noqa: S608 -- constant columns


class SqlPushStore:
    """Implements `ports.push_store.PushStore`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put_project(
        self, project: Project, heads: Mapping[str, str], envelope: Envelope, *, create: bool
    ) -> None:
        def script() -> Script[None]:
            rows = yield Sql("SELECT identity FROM project WHERE name = $1 {for_update}", (project.name,))
            exists = bool(rows) and rows[0][0] is not None
            if exists and create:
                raise ConflictError(f"project {project.name} exists already")
            if not exists and not create:
                raise ConflictError(f"project {project.name} does not exist")
            taken = yield Sql(
                "SELECT name FROM project WHERE identity = $1 AND name <> $2",
                (project.identity, project.name),
            )
            if taken:
                raise ConflictError(f"{project.identity} is registered already, as project {taken[0][0]}")
            yield Sql(
                "INSERT INTO project(name, identity, record, next_push) VALUES ($1, $2, $3, 1)"
                " ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, record = excluded.record",
                (project.name, project.identity, project_text(project)),
            )
            if create:
                for branch, revision in sorted(heads.items()):
                    yield _set_head(project.name, branch, revision)

        await self._engine.write(script, envelope)

    async def remove_project(self, name: str, envelope: Envelope) -> None:
        def script() -> Script[None]:
            yield Sql("UPDATE project SET identity = NULL WHERE name = $1", (name,))
            yield Sql("DELETE FROM project_head WHERE project = $1", (name,))

        await self._engine.write(script, envelope)

    async def project(self, name: str) -> Project | None:
        def script() -> Script[Project | None]:
            rows = yield Sql("SELECT record FROM project WHERE name = $1 AND identity IS NOT NULL", (name,))
            return project_of(rows[0][0]) if rows else None

        return await self._engine.read(script)

    async def projects(self) -> list[Project]:
        def script() -> Script[list[Project]]:
            rows = yield Sql("SELECT record FROM project WHERE identity IS NOT NULL ORDER BY name")
            return [project_of(row[0]) for row in rows]

        return await self._engine.read(script)

    async def heads(self, name: str) -> dict[str, str]:
        def script() -> Script[dict[str, str]]:
            rows = yield Sql("SELECT branch, revision FROM project_head WHERE project = $1", (name,))
            return {row[0]: row[1] for row in rows}

        return await self._engine.read(script)

    async def record(self, project: Project, new: NewPush, envelope: Envelope) -> Push | None:
        def script() -> Script[Push | None]:
            move = new.movement
            rows = yield Sql(
                "SELECT next_push FROM project WHERE name = $1 AND identity = $2 {for_update}",
                (project.name, project.identity),
            )
            found = yield Sql(
                "SELECT revision FROM project_head WHERE project = $1 AND branch = $2",
                (project.name, move.branch),
            )
            if not rows or (found[0][0] if found else None) != move.old:
                return None
            push = _numbered(project, new, int(rows[0][0]))
            yield Sql("UPDATE project SET next_push = $2 WHERE name = $1", (project.name, push.id + 1))
            if move.new is None:
                yield Sql(
                    "DELETE FROM project_head WHERE project = $1 AND branch = $2", (project.name, move.branch)
                )
            else:
                yield _set_head(project.name, move.branch, move.new)
            yield Sql(
                "INSERT INTO push(project, id, branch, revision, task_id, trust_domain, level, at, record, decision,"
                " decision_text, config_digest, alerts)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                push_values(push),
            )
            return push

        return await self._engine.write(script, envelope)

    async def push(self, project: str, push_id: int) -> Push | None:
        return await self._one_push(Sql(f"{_SELECT_PUSH} WHERE project = $1 AND id = $2", (project, push_id)))

    async def push_of_task(self, task_id: str) -> Push | None:
        return await self._one_push(Sql(f"{_SELECT_PUSH} WHERE task_id = $1", (task_id,)))

    async def run_of_task(self, task_id: str) -> DecisionRun | None:
        def script() -> Script[DecisionRun | None]:
            rows = yield Sql("SELECT record FROM decision_run WHERE task_id = $1", (task_id,))
            return decode_as(rows[0][0], DecisionRun, what="decision run") if rows else None

        return await self._engine.read(script)

    async def pushes(self, project: str, query: PushQuery) -> list[Push]:
        conditions, arguments = ["project = $1"], [project]
        for column, operator, value in (
            ("branch", "=", query.branch),
            ("revision", "=", query.revision),
            ("id", ">", query.after_id),
            ("id", "<", query.before_id),
        ):
            if value is not None:
                arguments.append(value)  # type: ignore[arg-type] # numbers, too
                conditions.append(f"{column} {operator} ${len(arguments)}")
        order = "DESC" if query.newest_first else "ASC"
        arguments.append(min(query.limit, MAX_PAGE))  # type: ignore[arg-type] # a number
        text = f"{_SELECT_PUSH} WHERE {' AND '.join(conditions)} ORDER BY id {order} LIMIT ${len(arguments)}"
        return await self._many_pushes(Sql(text, tuple(arguments)))

    async def pending(self, limit: int) -> list[Push]:
        return await self._many_pushes(
            Sql(f"{_SELECT_PUSH} WHERE decision = 'pending' ORDER BY at, project, id LIMIT $1", (limit,))
        )

    async def bringers(self, trust_domain: str, level: int, digest: str) -> list[Push]:
        return await self._many_pushes(
            Sql(
                f"{_SELECT_PUSH} WHERE config_digest = $1 AND trust_domain = $2 AND level = $3"
                " ORDER BY at, project, id LIMIT $4",
                (digest, trust_domain, level, MAX_PAGE),
            )
        )

    async def is_at_a_head(self, trust_domain: str, level: int, digest: str) -> bool:
        def script() -> Script[bool]:
            rows = yield Sql(
                "SELECT 1 FROM push p JOIN project_head h ON h.project = p.project AND h.branch = p.branch"
                " AND h.revision = p.revision"
                " WHERE p.config_digest = $3 AND p.trust_domain = $1 AND p.level = $2 LIMIT 1",
                (trust_domain, level, digest),
            )
            return bool(rows)

        return await self._engine.read(script)

    async def note_content(
        self, project: str, push_id: int, digest: str, alerts: tuple[str, ...], envelope: Envelope
    ) -> None:
        def script() -> Script[None]:
            yield Sql(
                "UPDATE push SET config_digest = $3, alerts = $4 WHERE project = $1 AND id = $2",
                (project, push_id, digest, encode(alerts).decode()),
            )

        await self._engine.write(script, envelope)

    async def finish(self, outcome: DecisionOutcome, envelope: Envelope) -> None:
        await self._engine.write(lambda: _finish(outcome), envelope)

    async def reopen(self, project: str, push_id: int, envelope: Envelope) -> bool:
        def script() -> Script[bool]:
            rows = yield Sql(
                "UPDATE push SET decision = 'pending', decision_text = '' WHERE project = $1 AND id = $2"
                " AND decision = 'failed' RETURNING 1",
                (project, push_id),
            )
            return bool(rows)

        return await self._engine.write(script, envelope)

    async def own_short_name(self, content: Content, envelope: Envelope) -> Content:
        def script() -> Script[Content]:
            yield Sql(
                f"INSERT INTO action_content({CONTENT_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"  # noqa: S608 -- constant columns
                " ON CONFLICT (trust_domain, level, short) DO NOTHING",
                content_values(content),
            )
            rows = yield Sql(_SELECT_CONTENT, (content.trust_domain, content.level, content.short))
            return content_of(rows[0])

        return await self._engine.write(script, envelope)

    async def content(self, trust_domain: str, level: int, short: str) -> Content | None:
        def script() -> Script[Content | None]:
            rows = yield Sql(_SELECT_CONTENT, (trust_domain, level, short))
            return content_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def put_admission(self, admission: Admission, envelope: Envelope) -> Admission:
        def script() -> Script[Admission]:
            key = (admission.trust_domain, admission.level, admission.permission, admission.digest)
            yield Sql(
                f"INSERT INTO action_admission({ADMISSION_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"  # noqa: S608 -- constant columns
                " ON CONFLICT (trust_domain, level, permission, digest) DO UPDATE SET hook_digest = excluded.hook_digest",
                admission_values(admission),
            )
            if admission.state == "admitted":
                yield Sql(
                    "UPDATE action_admission SET state = 'admitted', decided_by = $5, at = $6 WHERE trust_domain = $1"
                    " AND level = $2 AND permission = $3 AND digest = $4 AND state <> 'admitted'",
                    (*key, admission.by, admission_values(admission)[6]),
                )
            rows = yield Sql(_ADMISSION_BY_KEY, key)
            return admission_of(rows[0])

        return await self._engine.write(script, envelope)

    async def admission(
        self, trust_domain: str, level: int, permission: str, digest: str
    ) -> Admission | None:
        def script() -> Script[Admission | None]:
            rows = yield Sql(_ADMISSION_BY_KEY, (trust_domain, level, permission, digest))
            return admission_of(rows[0]) if rows else None

        return await self._engine.read(script)

    async def admissions_of(self, trust_domain: str) -> list[Admission]:
        def script() -> Script[list[Admission]]:
            rows = yield Sql(
                f"{_SELECT_ADMISSION} WHERE trust_domain = $1 AND state = 'admitted' ORDER BY level, permission, digest",
                (trust_domain,),
            )
            return [admission_of(row) for row in rows]

        return await self._engine.read(script)

    async def admissions(self, state: AdmissionState) -> list[Admission]:
        def script() -> Script[list[Admission]]:
            rows = yield Sql(
                f"{_SELECT_ADMISSION} WHERE state = $1 ORDER BY at DESC, trust_domain, level, permission, digest LIMIT $2",
                (state, MAX_PAGE),
            )
            return [admission_of(row) for row in rows]

        return await self._engine.read(script)

    async def _one_push(self, statement: Sql) -> Push | None:
        found = await self._many_pushes(statement)
        return found[0] if found else None

    async def _many_pushes(self, statement: Sql) -> list[Push]:
        def script() -> Script[list[Push]]:
            rows = yield statement
            return [push_of(row) for row in rows]

        return await self._engine.read(script)


_ADMISSION_BY_KEY = (
    f"{_SELECT_ADMISSION} WHERE trust_domain = $1 AND level = $2 AND permission = $3 AND digest = $4"
)


def _set_head(project: str, branch: str, revision: str) -> Sql:
    return Sql(
        "INSERT INTO project_head(project, branch, revision) VALUES ($1, $2, $3)"
        " ON CONFLICT (project, branch) DO UPDATE SET revision = excluded.revision",
        (project, branch, revision),
    )


def _numbered(project: Project, new: NewPush, number: int) -> Push:
    """Return the push as the log holds it; nothing is to be decided for a deleted branch."""
    old, now = new.movement.old, new.movement.new
    known: Any = now or old
    return Push(
        project=project.name,
        id=number,
        identity=project.identity,
        level=project.level,
        trust_domain=project.trust_domain,
        branch=new.movement.branch,
        kind=new.kind,
        base_revision=old or zeros_like(known),
        revision=now or zeros_like(known),
        at=new.at,
        owner=new.owner,
        owner_standing=new.owner_standing,
        author=new.author,
        message=new.message,
        task_id=new.task_id,
        decision="none" if now is None else "pending",
        decision_text="the branch was deleted" if now is None else "",
    )


@record_script(DecisionOutcome)
def _finish(outcome: DecisionOutcome) -> Script[None]:
    yield Sql(
        "UPDATE push SET decision = $3, decision_text = $4 WHERE project = $1 AND id = $2 AND decision = 'pending'",
        (outcome.project, outcome.push_id, outcome.decision, outcome.text),
    )


@record_script(DecisionRun)
def _insert_run(run: DecisionRun) -> Script[None]:
    yield Sql(
        "INSERT INTO decision_run(task_id, record) VALUES ($1, $2)", (run.task_id, encode(run).decode())
    )


@record_script(Audited)
def _insert_audit(audited: Audited) -> Script[None]:
    yield audit_rows([audited.record], to_ms(audited.at))


@record_script(Withdrawal)
def _withdraw(withdrawal: Withdrawal) -> Script[None]:
    seen = withdrawal.admission
    rows = yield Sql(
        "UPDATE action_admission SET state = 'withdrawn', decided_by = $5, at = $6 WHERE trust_domain = $1"
        " AND level = $2 AND permission = $3 AND digest = $4 AND state = 'admitted' AND decided_by = $7 RETURNING 1",
        (
            seen.trust_domain,
            seen.level,
            seen.permission,
            seen.digest,
            withdrawal.by,
            to_ms(withdrawal.at),
            seen.by,
        ),
    )
    if not rows:
        raise StaleSnapshotError(f"the consent to {seen.digest} was changed meanwhile")
