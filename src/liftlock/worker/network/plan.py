"""The doors of one run's network, and the variables by which programs find them."""

from __future__ import annotations

import base64
from typing import Any

from liftlock.domain.inputs.declarations import Declaration, Snapshot
from liftlock.domain.inputs.network import Network, sealing
from liftlock.domain.inputs.policy import PoolPolicy
from liftlock.domain.inputs.served import ServedFile
from liftlock.ports.dialer import Dialer
from liftlock.ports.downloads import Downloader
from liftlock.ports.input_store import InputStore
from liftlock.worker.network import egress, package_index
from liftlock.worker.network.door import Door
from liftlock.worker.network.egress import Egress
from liftlock.worker.network.package_index import LockedFiles, LockedNpm, LockedSimple, PackageIndex, Part
from liftlock.worker.network.record import NetworkRecord
from liftlock.worker.network.snapshots import SnapshotIndex

_LOCAL = "127.0.0.1,localhost,::1"


class RunNetwork:
    """What one run reaches. `doors` to serve in its sandboxes; `env` for its commands; `wire` for the manifest."""

    def __init__(
        self,
        asked: Network,
        inputs: tuple[Declaration, ...],
        served: list[ServedFile],
        *,
        policy: PoolPolicy,
        store: InputStore,
        downloader: Downloader | None,
        dialer: Dialer | None,
        api_proxy: bool,
        caches: bool,
    ) -> None:
        self.record = NetworkRecord()
        self._asked = asked
        self._sealing = sealing(asked, inputs, api_proxy=api_proxy, caches=caches)
        self._api_proxy = api_proxy
        way_out = Egress(asked, dialer, self.record)
        self.doors = [Door(egress.PORT, way_out, self.record, speaker="the task's network")]
        self.env = _proxies()
        parts: dict[str, Part] = {}
        if served:
            parts |= _locked(served, store)
            self.env |= _index_variables(served)
        for one in inputs:
            if isinstance(one.source, Snapshot):
                index = policy.index(one.source.index, "pypi", one.at)
                parts[f"/snapshot/{one.name}/"] = SnapshotIndex(
                    one.name, one.source, index, downloader=downloader, store=store, record=self.record
                )
                address = f"{package_index.INSIDE_URL}/snapshot/{one.name}/simple/"
                self.env |= {"PIP_INDEX_URL": address, "UV_INDEX_URL": address, "UV_DEFAULT_INDEX": address}
        if parts:
            answering = PackageIndex(parts, self.record)
            self.doors.append(
                Door(package_index.PORT, answering, self.record, speaker="the task's package index")
            )

    def wire(self) -> dict[str, Any]:
        """Return the manifest's `network`."""
        found: dict[str, Any] = {
            "default": "open" if self._asked.is_open else "none",
            "sealing": self._sealing,
            "apiProxy": self._api_proxy,
        }
        if self._asked.allow:
            found["allow"] = [
                {"host": one.host, "port": one.port, "reason": one.reason} for one in self._asked.allow
            ]
        return found | self.record.wire()


def _proxies() -> dict[str, str]:
    found = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), egress.INSIDE_URL)
    return found | {"NO_PROXY": _LOCAL, "no_proxy": _LOCAL}


def _locked(served: list[ServedFile], store: InputStore) -> dict[str, Part]:
    integrity = {
        one.file.sha256: f"sha512-{base64.b64encode(bytes.fromhex(one.file.sha512)).decode()}"
        for one in served
        if one.kind == "npm" and one.file.sha512 is not None
    }
    return {
        "/simple/": LockedSimple(served),
        "/files/": LockedFiles(served, store),
        "/npm/": LockedNpm(served, integrity),
    }


def _index_variables(served: list[ServedFile]) -> dict[str, str]:
    found: dict[str, str] = {}
    if any(one.kind == "pypi" for one in served):
        address = f"{package_index.INSIDE_URL}/simple/"
        found |= {"PIP_INDEX_URL": address, "UV_DEFAULT_INDEX": address}
    if any(one.kind == "npm" for one in served):
        found |= {"npm_config_registry": f"{package_index.INSIDE_URL}/npm/"}
    return found
