"""A hook's definition: parsed, checked and compiled when it is saved, so that it can't be found broken when it fires.

Source: docs/reference/hooks.md#definition
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from liftlock.domain.events.bindings import MAX_BINDINGS, Binding
from liftlock.domain.hooks.depth import MAX_DEPTH, count_parts
from liftlock.domain.hooks.schedule import check_schedule
from liftlock.domain.hooks.trigger_schema import (
    DEFAULT_TRIGGER_SCHEMA,
    TriggerSchema,
    compile_trigger_schema,
)
from liftlock.domain.templates.template import Template, compile_template
from liftlock.errors import InputInvalidError, InputValidationError, TemplateRefusedError
from liftlock.values import ids
from liftlock.values.json import canonical, digest

MAX_TEMPLATE_BYTES: Final = 512 << 10
_OWNER: Final = re.compile(r"[^@\s]{1,127}@[^@\s]{1,127}\Z")


class HookMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Who owns the hook and why, for people; `owner` is an e-mail address."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    description: Annotated[str, msgspec.Meta(max_length=32768)]
    owner: str
    email_on_error: bool = True


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The wire form of what createHook and updateHook take."""

    metadata: HookMetadata
    task: dict[str, Any]
    hook_group_id: str | None = None
    hook_id: str | None = None
    schedule: list[str] = []
    bindings: Annotated[list[Binding], msgspec.Meta(max_length=MAX_BINDINGS)] = []
    trigger_schema: Any = msgspec.UNSET


class HookDefinition(msgspec.Struct, frozen=True):
    """A checked definition. `document` is the wire form with every default; `version` is the sha256 of it."""

    hook_group_id: str
    hook_id: str
    metadata: HookMetadata
    task: dict[str, Any]
    schedule: tuple[str, ...]
    trigger_schema: Any
    document: dict[str, Any]
    version: str

    @property
    def name(self) -> str:
        """`<hookGroupId>/<hookId>`, as scopes and messages have it."""
        return f"{self.hook_group_id}/{self.hook_id}"

    @property
    def role_scope(self) -> str:
        """The scope that stands for the hook's role: what its tasks are created with, and nothing else."""
        return f"assume:hook-id:{self.name}"


class CompiledHook(msgspec.Struct, frozen=True):
    """A definition ready to fire."""

    definition: HookDefinition
    template: Template
    trigger_schema: TriggerSchema


def define_hook(hook_group_id: str, hook_id: str, given: Mapping[str, Any]) -> HookDefinition:
    """Return the checked definition of the hook that `given`, the body of a request, describes.

    Raises:
        RequestArgumentsError: an id is not of its form.
        InputValidationError: a field is missing, unknown or of the wrong form; the message names its path.
        InputInvalidError: the fields make no sense, or the schema or schedule is wrong.
        TemplateRefusedError: the task's template does not compile; the message says where.
    """
    definition = from_document(read_document(hook_group_id, hook_id, given))
    compile_hook(definition)
    return definition


def read_document(hook_group_id: str, hook_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wire form with every default; template, schema and schedule are not looked into. Errors as `define_hook`."""
    ids.hook_group_id(hook_group_id)
    ids.hook_id(hook_id)
    if count_parts(given) is None:
        raise InputInvalidError(f"hook definition: expected at most {MAX_DEPTH} levels of nesting")
    try:
        parsed = msgspec.convert(dict(given), _Given)
    except msgspec.ValidationError as error:
        raise InputValidationError(f"hook definition: {error}") from error
    for what, inside, outside in (
        ("hookGroupId", parsed.hook_group_id, hook_group_id),
        ("hookId", parsed.hook_id, hook_id),
    ):
        if inside not in (None, outside):
            raise InputInvalidError(
                f"{what}: the body says {inside[:80]!r}, the address says {outside[:80]!r}"
            )
    if _OWNER.match(parsed.metadata.owner) is None:
        raise InputInvalidError(
            f"metadata.owner: expected an e-mail address, got {parsed.metadata.owner[:80]!r}"
        )
    return _document(hook_group_id, hook_id, parsed)


def _document(hook_group_id: str, hook_id: str, parsed: _Given) -> dict[str, Any]:
    schema = DEFAULT_TRIGGER_SCHEMA if parsed.trigger_schema is msgspec.UNSET else parsed.trigger_schema
    return {
        "hookGroupId": hook_group_id,
        "hookId": hook_id,
        "metadata": msgspec.to_builtins(parsed.metadata),
        "task": parsed.task,
        "schedule": list(parsed.schedule),
        "bindings": msgspec.to_builtins(parsed.bindings),
        "triggerSchema": schema,
    }


def from_document(document: dict[str, Any]) -> HookDefinition:
    """Return the definition of a document that `define_hook` made, as the store keeps it."""
    return HookDefinition(
        hook_group_id=document["hookGroupId"],
        hook_id=document["hookId"],
        metadata=msgspec.convert(document["metadata"], HookMetadata),
        task=document["task"],
        schedule=tuple(document["schedule"]),
        trigger_schema=document["triggerSchema"],
        document=document,
        version=digest(document),
    )


def compile_hook(definition: HookDefinition) -> CompiledHook:
    """Return the definition with its template and schema compiled; errors as `define_hook`."""
    size = len(canonical(definition.task))
    if size > MAX_TEMPLATE_BYTES:
        raise InputInvalidError(
            f"task: expected a template of at most {MAX_TEMPLATE_BYTES} bytes, got {size}"
        )
    check_schedule(definition.schedule)
    schema = compile_trigger_schema(definition.trigger_schema)
    try:
        template = compile_template(definition.task)
    except TemplateRefusedError as error:
        raise TemplateRefusedError(f"task: {error.message}", **error.details) from error
    return CompiledHook(definition, template, schema)
