"""The object service over HTTP.

Source: docs/reference/object.md
"""

from __future__ import annotations

from typing import Any

from liftlock.errors import NotFoundError
from liftlock.services.objects import Objects
from liftlock.web.downloads import stored_bytes
from liftlock.web.routing import ApiRequest, Handler, Method, Reply, Route


class _Objects:
    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def create_upload(self, request: ApiRequest) -> object:
        return await self._objects.create_upload(
            request.caller, request.params["name"], request.payload, request.now, root_url=request.root_url
        )

    async def finish_upload(self, request: ApiRequest) -> object:
        await self._objects.finish_upload(
            request.caller, request.params["name"], request.payload, request.now
        )
        return None

    async def metadata(self, request: ApiRequest) -> object:
        return await self._objects.metadata(request.caller, request.params["name"], request.now)

    async def start_download(self, request: ApiRequest) -> object:
        return await self._objects.start_download(
            request.caller,
            request.params["name"],
            request.payload["acceptDownloadMethods"],
            request.now,
            root_url=request.root_url,
        )

    async def download(self, request: ApiRequest) -> object:
        url = await self._objects.download(
            request.caller, request.params["name"], request.now, root_url=request.root_url
        )
        return Reply(status=303, body={"url": url}, headers={"location": url})

    async def data(self, request: ApiRequest) -> object:
        found = await self._objects.open(request.params["name"], request.query.get("ticket", ""), request.now)
        if found.content is None:
            raise NotFoundError(f"object {found.name!r} does not exist")
        return stored_bytes(
            found.content, found.content_type, found.name, request.headers, self._objects.read
        )


def _route(method: Method, path: str, name: str, handler: Handler, title: str, **more: Any) -> Route:
    return Route(service="object", method=method, path=path, name=name, handler=handler, title=title, **more)


def routes(objects: Objects) -> list[Route]:
    """Return the routes of the object service."""
    found = _Objects(objects)
    upload = {"scopes": "object:upload:<projectId>:<name>"}
    download = {"scopes": "object:download:<name>"}
    return [
        _route("PUT", "/upload/<name*>", "createUpload", found.create_upload, "Begin upload of a new object",
               input="object/create-upload-request", **upload, output="object/create-upload-response"),
        _route("POST", "/finish-upload/<name*>", "finishUpload", found.finish_upload, "Mark an upload as complete",
               input="object/finish-upload-request", **upload),
        _route("PUT", "/start-download/<name*>", "startDownload", found.start_download, "Download object data",
               input="object/download-object-request", **download, output="object/download-object-response"),
        _route("GET", "/download/<name*>", "download", found.download, "Get an object's data", **download),
        _route("GET", "/metadata/<name*>", "object", found.metadata, "Get an object's metadata", **download, output="object/get-object-response"),
        _route("GET", "/data/<name*>", "objectData", found.data, "Get an object's bytes", query=("ticket",)),
    ]  # fmt: skip
