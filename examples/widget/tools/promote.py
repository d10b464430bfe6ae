"""Sign a release: `promote.py DIRECTORY-OF-THE-WHEEL OUTPUT`.

The key comes from the task's API proxy, which gives it only to a task whose scopes allow it. It is never
printed and never written; what leaves is the record of the release and its HMAC-SHA256 by that key.
"""

import hashlib
import hmac
import json
import os
import sys
import urllib.parse
import urllib.request
from pathlib import Path


def read_key():
    name = urllib.parse.quote(os.environ["RELEASE_SECRET"], safe="")
    url = f"{os.environ['TASKCLUSTER_PROXY_URL'].rstrip('/')}/api/secrets/v1/secret/{name}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return json.load(answer)["secret"]["key"]


def main(source, output):
    wheels = [path for path in Path(source).iterdir() if path.suffix == ".whl"]
    if len(wheels) != 1:
        print(f"expected one wheel in {source}, found {[path.name for path in wheels]}", file=sys.stderr)
        return 1
    record = {
        "name": "widget",
        "version": os.environ["RELEASE_VERSION"],
        "channel": os.environ["RELEASE_CHANNEL"],
        "file": wheels[0].name,
        "sha256": hashlib.sha256(wheels[0].read_bytes()).hexdigest(),
    }
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    signature = hmac.new(read_key().encode(), text.encode(), hashlib.sha256).hexdigest()
    target = Path(output)
    target.mkdir(parents=True, exist_ok=True)
    (target / "release.json").write_text(text, encoding="utf-8")
    (target / "release.json.hmac").write_text(signature + "\n", encoding="utf-8")
    print(
        f"released {record['name']} {record['version']} to {record['channel']}: {record['file']} {record['sha256']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
