"""The object service: named, immutable bytes, uploaded in steps that can be repeated."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from liftlock.errors import InputInvalidError, LiftlockError, NotFoundError, RefusedError
from liftlock.ports.artifact_store import ArtifactStore, StoredObject, Ticket
from liftlock.ports.blobs import Blobs
from liftlock.ports.entropy import Entropy
from liftlock.ports.sealing import Sealer
from liftlock.services.artifact_reads import LINK_LIFETIME
from liftlock.services.artifact_uploads import UPLOAD_LIFETIME, UPLOAD_PATH, token_digest
from liftlock.services.authorize import Caller
from liftlock.values.instants import format_instant, format_ms, parse_instant, to_ms
from liftlock.values.json import decode, encode

MAX_INLINE_BYTES = 8192
_NAME = re.compile(r"[\x20-\x7e]{1,2048}\Z", re.ASCII)
_TICKET_IDENTITY = "object-download"


class Objects:
    """Uploads and downloads objects."""

    def __init__(self, store: ArtifactStore, blobs: Blobs, entropy: Entropy, sealer: Sealer) -> None:
        self._store = store
        self._blobs = blobs
        self._entropy = entropy
        self._sealer = sealer

    async def create_upload(
        self, caller: Caller, name: str, given: Mapping[str, Any], now: datetime, *, root_url: str
    ) -> dict[str, Any]:
        """Return how to upload: inline bytes are taken at once, others go to an address that holds once.

        Raises:
            RefusedError, InputInvalidError: may not upload this; the request makes no sense.
            ConflictError: an object of that name has other properties, or is finished.
        """
        caller.require(f"object:upload:{given['projectId']}:{name}")
        if _NAME.match(name) is None:
            raise InputInvalidError("name: expected printable ASCII")
        proposed = given["proposedUploadMethods"]
        inline, put = proposed.get("dataInline"), proposed.get("putUrl")
        expires = parse_instant(given["expires"], what="expires")
        if expires <= now:
            raise InputInvalidError(f"expires: {given['expires']} has passed")
        chosen = inline or put or {"contentType": "application/binary"}
        wanted = StoredObject(
            name, given["projectId"], given["uploadId"], chosen["contentType"], to_ms(expires), given.get("hashes", {}), finished=False
        )  # fmt: skip
        secret = self._entropy.token_bytes(32).hex()
        until = now + UPLOAD_LIFETIME
        ticket = None
        if inline is None and put is not None:
            ticket = Ticket(token_digest(secret), "object", "-", 0, name, chosen["contentType"], to_ms(until))
        audit = caller.record("object.createUpload", f"object/{name}", projectId=given["projectId"])
        await self._store.begin_object(wanted, ticket, caller.envelope(now, audit))
        method: dict[str, Any] = {}
        if inline is not None:
            await self._take_inline(name, given["uploadId"], inline["objectData"], now)
            method = {"dataInline": True}
        elif put is not None:
            headers = {"Content-Type": put["contentType"], "Content-Length": str(put["contentLength"])}
            url = f"{root_url}{UPLOAD_PATH}/{secret}"
            method = {"putUrl": {"url": url, "expires": format_instant(until), "headers": headers}}
        return {
            "projectId": given["projectId"],
            "uploadId": given["uploadId"],
            "expires": format_instant(expires),
            "uploadMethod": method,
        }

    async def _take_inline(self, name: str, upload_id: str, text: str, now: datetime) -> None:
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputInvalidError("dataInline.objectData: expected base64") from error
        if len(data) > MAX_INLINE_BYTES:
            raise InputInvalidError(f"dataInline.objectData: expected at most {MAX_INLINE_BYTES} bytes")
        async with self._blobs.writer("identity", max_bytes=MAX_INLINE_BYTES) as writer:
            await writer.write(data)
            content = await writer.finish()
        try:
            await self._store.fill_object(name, upload_id, content)
        except LiftlockError:
            await self._store.abandon(content.blob, to_ms(now))
            raise

    async def finish_upload(self, caller: Caller, name: str, given: Mapping[str, Any], now: datetime) -> None:
        """Make the object readable and immutable.

        Raises:
            RefusedError, NotFoundError: may not; no such upload.
            ConflictError: nothing was uploaded, or not the bytes that the hashes say.
        """
        caller.require(f"object:upload:{given['projectId']}:{name}")
        hashes = given.get("hashes", {})
        audit = caller.record(
            "object.finishUpload", f"object/{name}", projectId=given["projectId"], hashes=hashes
        )
        await self._store.finish_object(
            name, given["projectId"], given["uploadId"], hashes, caller.envelope(now, audit)
        )

    async def metadata(self, caller: Caller, name: str, now: datetime) -> dict[str, Any]:
        """Return the finished object's metadata.

        Raises:
            RefusedError, NotFoundError: may not read it; there is none.
        """
        found = await self._finished(caller, name, now)
        return {"projectId": found.project_id, "expires": format_ms(found.expires_ms), "hashes": found.hashes}

    async def start_download(
        self, caller: Caller, name: str, accepted: Mapping[str, Any], now: datetime, *, root_url: str
    ) -> dict[str, Any]:
        """Return the address from which the bytes come, by the best method that the client accepts.

        Raises:
            RefusedError, NotFoundError, InputInvalidError: may not; no such object; no method in common.
        """
        found = await self._finished(caller, name, now)
        until = now + LINK_LIFETIME
        url = self.link(name, now, root_url)
        if accepted.get("getUrl"):
            return {
                "method": "getUrl",
                "url": url,
                "expires": format_instant(until),
                "hashes": found.hashes,
            }
        if accepted.get("simple"):
            return {"method": "simple", "url": url}
        raise InputInvalidError("acceptDownloadMethods: expected getUrl or simple")

    async def download(self, caller: Caller, name: str, now: datetime, *, root_url: str) -> str:
        """Return the address from which the bytes come.

        Raises:
            RefusedError, NotFoundError: may not; no such object.
        """
        await self._finished(caller, name, now)
        return self.link(name, now, root_url)

    def link(self, name: str, now: datetime, root_url: str) -> str:
        """Return an address from which anybody may get the object for `LINK_LIFETIME`."""
        said = encode({"name": name, "until": to_ms(now + LINK_LIFETIME)})
        ticket = self._sealer.seal(said, identity=_TICKET_IDENTITY)
        return f"{root_url}/api/object/v1/data/{quote(name, safe='')}?ticket={quote(ticket, safe='')}"

    async def open(self, name: str, ticket: str, now: datetime) -> StoredObject:
        """Return the object for whoever has a download address.

        Raises:
            RefusedError, NotFoundError: not an address of ours, or too old; no such object.
        """
        try:
            said = decode(self._sealer.unseal(ticket, identity=_TICKET_IDENTITY))
        except LiftlockError as error:
            raise RefusedError("this download address is not one of ours", rule="download-address") from error
        if said["name"] != name or said["until"] <= to_ms(now):
            raise RefusedError(
                "this download address is for something else, or too old", rule="download-address"
            )
        return self._expect(await self._store.object(name), name, now)

    def read(self, blob: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the stored bytes of the range; see `Blobs.read`."""
        return self._blobs.read(blob, start, stop)

    async def _finished(self, caller: Caller, name: str, now: datetime) -> StoredObject:
        caller.require(f"object:download:{name}")
        return self._expect(await self._store.object(name), name, now)

    def _expect(self, found: StoredObject | None, name: str, now: datetime) -> StoredObject:
        if found is None or not found.finished or found.expires_ms <= to_ms(now):
            raise NotFoundError(f"object {name!r} does not exist")
        return found
