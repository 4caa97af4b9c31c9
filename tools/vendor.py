"""Fetch the JavaScript packages of the web dashboard and of its tests again, as ``vendor.lock.json`` pins them.

Usage: python tools/vendor.py           fetch, check against the lock, write
       python tools/vendor.py --check   compare the files in the tree with the lock; needs no network
       python tools/vendor.py --relock  fetch the versions in the lock and write down their hashes: after a new version

Needs npm, which asks whatever registry it is set up for; nothing of a package is run.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = Path(__file__).with_name("vendor.lock.json")


def fetched(package: dict[str, Any], *, relock: bool) -> dict[str, bytes]:
    """Files of a package by their place in the tree, after the changes that the lock names."""
    with tempfile.TemporaryDirectory() as folder:
        name = f"{package['name']}@{package['version']}"
        command = ["npm", "pack", name, "--silent", "--ignore-scripts", "--pack-destination", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - a fixed command
        archive = next(Path(folder).glob("*.tgz")).read_bytes()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if relock:
        package["integrity"] = integrity
    elif package["integrity"] != integrity:
        raise SystemExit(f"{name} is not what the lock says: {integrity}")
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for file in package["files"]:
            member = tar.extractfile(f"package/{file['from']}")
            if member is None:
                raise SystemExit(f"{name} has no file {file['from']}")
            text = member.read().decode()
            for old, new in file.get("replace", []):
                if old not in text:
                    raise SystemExit(f"{name}: {file['from']} does not hold {old!r} any more")
                text = text.replace(old, new)
            found[file["to"]] = text.encode()
            if relock:
                file["sha256"] = hashlib.sha256(found[file["to"]]).hexdigest()
    return found


def differing(lock: dict[str, Any], contents: dict[str, bytes] | None = None) -> list[str]:
    """Files that are not what the lock says; of the tree where no contents are given."""
    wrong = []
    for file in (file for package in lock["packages"] for file in package["files"]):
        path = ROOT / file["to"]
        body = contents[file["to"]] if contents is not None else path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(body).hexdigest() != file["sha256"]:
            wrong.append(file["to"])
    return wrong


def main() -> int:
    """0 when everything is as the lock says."""
    lock = json.loads(LOCK.read_text())
    contents: dict[str, bytes] | None = None
    if sys.argv[1:] != ["--check"]:
        contents = {}
        for package in lock["packages"]:
            contents |= fetched(package, relock=sys.argv[1:] == ["--relock"])
    wrong = differing(lock, contents)
    for path in wrong:
        sys.stderr.write(f"{path} is not what tools/vendor.lock.json says\n")
    if wrong or contents is None:
        return 1 if wrong else 0
    for path, body in contents.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(body)
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
