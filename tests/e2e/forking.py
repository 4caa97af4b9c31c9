"""The program ``tenantry`` without its seconds of imports: a process that has them done is forked for each use.

Documentation and scripts run it hundreds of times. What is forked is the real program, with the arguments, folder,
environment, files and signals that it was given; `test_cli.py` starts it as users do.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = struct.Struct("!i")
IMPORTED = ("tenantry.cli.main", "tenantry.cli.output", "tenantry.wiring", "tenantry.gateway.serve", "rich.table")
#: What stands for the program: hands all that it is given to the server, passes signals on, ends as the program ends.
STUB = """#!{python} -IS
import json, os, signal, socket, struct, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
given = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [struct.pack("!i", len(given))], [0, 1, 2])
server.sendall(given)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: server.send(bytes([number])))
status = struct.unpack("!i", server.recv(4))[0]
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """A folder with a program ``tenantry``, for as long as the block lasts."""
    address = folder / "socket"
    stub = folder / "bin" / "tenantry"
    stub.parent.mkdir()
    stub.write_text(STUB.format(python=sys.executable, address=str(address)))
    stub.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
    with subprocess.Popen([sys.executable, __file__, str(address)], stdout=subprocess.PIPE, env=kept) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"ready\n"
            yield stub.parent
        finally:
            server.terminate()


def serve(address: str) -> None:
    """Fork a process for each that asks, until terminated."""
    for name in IMPORTED:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)  # to whoever started it
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the attendants
        while True:
            asking, _ = listening.accept()
            if not os.fork():
                listening.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                attend(asking)
            asking.close()


def attend(asking: socket.socket) -> None:
    """Run the program for one that asks; give its signals to it, and its status back. Ends the process."""
    head, files, *_ = socket.recv_fds(asking, SIZE.size, 3)
    (size,) = SIZE.unpack(head)
    given = b""
    while len(given) < size:
        given += asking.recv(size - len(given))
    child = os.fork()
    if not child:
        asking.close()
        run(given, files)
    for number in files:
        os.close(number)
    ended = os.pidfd_open(child)
    while ended not in (ready := select.select([asking, ended], [], [])[0]):
        assert ready
        signals = asking.recv(16) or bytes([signal.SIGKILL])  # whoever asked was killed
        for number in signals:
            os.kill(child, number)
        if signal.SIGKILL in signals:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        asking.sendall(SIZE.pack(status))
    finally:
        os._exit(0)


def run(given: bytes, files: list[int]) -> None:
    """Become the program."""
    arguments, folder, environment = json.loads(given)
    for place, number in enumerate(files):
        os.dup2(number, place)
        os.close(number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115  # for as long as it runs
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    status = 1
    try:
        importlib.import_module("tenantry.cli.main").main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        importlib.import_module("threading")._shutdown()
        importlib.import_module("atexit")._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
