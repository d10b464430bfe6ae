"""A worker that hangs up while it waits for work is given none."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import mohawk
import pytest

from control_plane_server import ROOT, serve
from liftlock.values.json import encode
from queue_over_http import Stage
from task_builders import QUEUE

pytestmark = pytest.mark.process


def test_nothing_is_claimed_for_a_worker_that_hung_up(tmp_path: Path) -> None:
    with serve(tmp_path) as served:
        stage = Stage(served)
        body = encode({"workerGroup": "g", "workerId": "gone", "tasks": 1})
        url = f"{served.root_url}/api/queue/v1/claim-work/{QUEUE.replace('/', '%2F')}"
        key = {"id": ROOT.client_id, "key": ROOT.access_token, "algorithm": "sha256"}
        sender = mohawk.Sender(key, url, "POST", content=body, content_type="application/json")
        parts = urlsplit(url)
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nAuthorization: {sender.request_header}\r\n\r\n"
        )
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as waiting:
            waiting.sendall(head.encode() + body)
            waiting.settimeout(1)
            with pytest.raises(TimeoutError):
                waiting.recv(1)
        time.sleep(1)  # the server hears of the end of the connection
        task_id = stage.task()
        time.sleep(1)  # time enough for a claim, if anybody still waited
        assert stage.root.status(task_id)["status"]["state"] == "pending"
        [claim] = stage.root.claimWork(QUEUE, {"workerGroup": "g", "workerId": "w"})["tasks"]
        assert claim["status"]["taskId"] == task_id
