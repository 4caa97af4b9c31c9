"""Every example in the documentation is run: each page in a folder of its own, its blocks in order.

``python`` blocks run in a Python process, ``sh`` blocks in a shell with ``tenantry`` on its path. A ``tenantry serve``
line starts a server that lives until the page ends. Blocks without a language are not run: they need a network, or are
run by other tests.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tenantry.testing.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCK_TIMEOUT_S = 60


def blocks(page):
    return BLOCK.findall(page.read_text())


class Stage:
    """Runs a page's blocks; stops its servers."""

    def __init__(self, folder, programs):
        self.folder = folder
        self.port = free_port()
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "COLUMNS": "120"}
        self.servers = []

    def run(self, language, text):
        text = text.replace("8080", str(self.port)).replace("--host 0.0.0.0", "--host 127.0.0.1")
        if language == "python":
            self.do([sys.executable, "-W", "error", "-c", text])
            return
        script = []
        for line in text.splitlines():
            if line.startswith("tenantry serve"):
                self.do(["bash", "-euc", "\n".join(script)])
                exports = [done for done in script if done.startswith("export ")]
                self.serve("\n".join([*exports, f"exec {line}"]))
                script = exports
            else:
                script.append(line)
        self.do(["bash", "-euc", "\n".join(script)])

    def do(self, command):
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=BLOCK_TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"

    def serve(self, script):
        server = subprocess.Popen(
            ["bash", "-euc", script], cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True
        )
        self.servers.append(server)
        seen = []
        for line in server.stderr:
            seen.append(line)
            if f"127.0.0.1:{self.port}" in line:
                return
        raise AssertionError("the server did not start:\n" + "".join(seen))

    def stop(self):
        for server in self.servers:
            server.send_signal(signal.SIGTERM)
            server.stderr.read()
            server.stderr.close()
            assert server.wait(timeout=20) == 0


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_examples(page, tmp_path, programs):
    stage = Stage(tmp_path, programs)
    try:
        for language, text in blocks(page):
            stage.run(language, text)
    finally:
        stage.stop()
