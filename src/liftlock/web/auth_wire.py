"""The auth service's records as they stand on the wire, and what it reads from there."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from liftlock.domain.scopes.explanation import Leaf, Node
from liftlock.errors import RequestArgumentsError
from liftlock.ports.access_store import HistoryEntry
from liftlock.services.clients import ClientInput, ClientView
from liftlock.services.explain_access import Explanation
from liftlock.services.roles import RoleView
from liftlock.values.instants import format_instant, parse_instant

MAX_LIMIT: Final = 1000
_ACTIONS: Final = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "enable": "enabled",
    "disable": "disabled",
    "reset": "reset",
}


def client_input(payload: Mapping[str, Any]) -> ClientInput:
    """Return what a valid create-client-request says; raises InputInvalidError for a time that is none."""
    scopes = payload.get("scopes")
    return ClientInput(
        description=payload["description"],
        expires=parse_instant(payload["expires"], what="expires"),
        delete_on_expiration=payload.get("deleteOnExpiration", False),
        scopes=None if scopes is None else tuple(scopes),
    )


def client_wire(view: ClientView) -> dict[str, Any]:
    """Return a client without its token."""
    record = view.record
    return {
        "clientId": record.client_id,
        "description": record.description,
        "expires": format_instant(record.expires),
        "deleteOnExpiration": record.delete_on_expiration,
        "created": format_instant(record.created),
        "lastModified": format_instant(record.last_modified),
        "lastDateUsed": format_instant(record.last_used),
        "lastRotated": format_instant(record.last_rotated),
        "scopes": list(record.scopes),
        "expandedScopes": list(view.expanded),
        "disabled": record.disabled,
    }


def role_wire(view: RoleView) -> dict[str, Any]:
    """Return a role."""
    record = view.record
    return {
        "roleId": record.role_id,
        "description": record.description,
        "scopes": list(record.scopes),
        "created": format_instant(record.created),
        "lastModified": format_instant(record.last_modified),
        "expandedScopes": list(view.expanded),
    }


def history_wire(
    entries: list[HistoryEntry], entity_type: str, entity_id: str, more: int | None
) -> dict[str, Any]:
    """Return a page of an entity's history, with the difference that each change made."""
    return with_token(
        {
            "auditHistory": [
                {
                    "clientId": entry.actor,
                    "actionType": _action(entry.action),
                    "created": format_instant(entry.at),
                    "entityId": entity_id,
                    "entityType": entity_type,
                    "details": entry.details,
                }
                for entry in entries
            ]
        },
        None if more is None else str(more),
    )


def _action(action: str) -> str:
    verb = action.rpartition(".")[2]
    return next((word for start, word in _ACTIONS.items() if verb.startswith(start)), verb)


def explanation_wire(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation's tree."""
    return {
        "clientId": explanation.client_id,
        "scopes": list(explanation.own),
        "satisfied": explanation.tree.satisfied,
        "tree": _node_wire(explanation.tree, explanation),
    }


def _node_wire(node: Node, explanation: Explanation) -> dict[str, Any]:
    if isinstance(node, Leaf):
        return {
            "kind": "Scope",
            "scope": node.scope,
            "satisfied": node.satisfied,
            "by": node.by,
            "chain": [
                {"held": step.held, "roleId": step.role_id, "given": step.given} for step in node.chain
            ],
            "grantorRoles": list(node.grantors),
            "grantorClients": [
                {"clientId": holder.client_id, "by": holder.by}
                for holder in explanation.holders.get(node.scope, ())
            ],
        }
    return {
        "kind": node.kind,
        "satisfied": node.satisfied,
        "parts": [_node_wire(part, explanation) for part in node.parts],
    }


def with_token(page: dict[str, Any], more: str | None) -> dict[str, Any]:
    """Return `page` with the continuationToken for going on after `more`; unchanged if that is None."""
    if more is None:
        return page
    return {**page, "continuationToken": base64.urlsafe_b64encode(more.encode()).rstrip(b"=").decode()}


_NOT_OURS = "continuationToken: expected one that an earlier answer had"


def token_of(query: Mapping[str, str], default: str = "") -> str:
    """Return what the continuationToken of a request goes on after; raises RequestArgumentsError."""
    token = query.get("continuationToken")
    if not token:
        return default
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode(
            "ascii"
        )
    except (binascii.Error, ValueError) as error:
        raise RequestArgumentsError(_NOT_OURS) from error
    if not text.isprintable():  # NUL among them, which PostgreSQL takes in no text
        raise RequestArgumentsError(_NOT_OURS)
    return text


def limit_of(query: Mapping[str, str], default: int) -> int:
    """Return the page size asked for, at most `MAX_LIMIT`; raises RequestArgumentsError."""
    text = query.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise RequestArgumentsError(f"limit: expected a number from 1 to {MAX_LIMIT}, got {text[:20]!r}")
    return min(int(text), MAX_LIMIT)
