"""Starting, stopping and being overloaded, with real processes and sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pinecone import Pinecone, ServiceError
from pinecone import RetryConfig as Retries

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, GatewayProcess, running_gateway

ADMIN = {"Api-Key": ADMIN_KEY}
V = [0.5] * 8
#: No kept connections, as gateways come and go.
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=60)


def answer_of(client: socket.socket) -> bytes:
    """A whole response; head and body may come apart."""
    got = b""
    while b"\r\n\r\n" not in got or not got.endswith(b"}"):
        more = client.recv(10_000)
        assert more, got
        got += more
    return got


def upsert_bytes(gateway: GatewayProcess, id: str) -> tuple[bytes, bytes]:
    """Head and body of an upsert, to be sent apart."""
    body = json.dumps({"namespace": "n", "vectors": [{"id": id, "values": V}]}).encode()
    head = (
        f"POST /vectors/upsert HTTP/1.1\r\nHost: {urlsplit(gateway.url).netloc}\r\nApi-Key: {ADMIN_KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode(), body


@contextmanager
def connection(gateway: GatewayProcess) -> Iterator[socket.socket]:
    at = urlsplit(gateway.url)
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=20) as connected:
        yield connected


def in_flight(gateway: GatewayProcess) -> int:
    text = HTTP.get(f"{gateway.url}/metrics", headers=ADMIN).text
    line = next(one for one in text.splitlines() if one.startswith("tenantry_http_requests_in_flight "))
    return int(float(line.split()[1])) - 1  # the one that asks


async def wait_until_in_flight(gateway: GatewayProcess, count: int) -> None:
    async with asyncio.timeout(20):
        while in_flight(gateway) != count:
            await asyncio.sleep(0.01)


async def test_sigterm_finishes_what_is_in_hand(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        with connection(gateway) as one, connection(gateway) as two:
            for i, client in enumerate((one, two)):
                head, body = upsert_bytes(gateway, f"in-hand-{i}")
                client.sendall(head + body[:10])
            await wait_until_in_flight(gateway, 2)
            gateway.process.send_signal(signal.SIGTERM)
            await refuses_connections(gateway)
            for i, client in enumerate((one, two)):
                client.sendall(upsert_bytes(gateway, f"in-hand-{i}")[1][10:])
                answer = answer_of(client)
                assert answer.startswith(b"HTTP/1.1 200"), answer
                assert b'"upsertedCount":1' in answer
        assert gateway.process.wait(20) == 0
    with running_gateway(tmp_path / "data") as again:
        stored = HTTP.get(f"{again.url}/vectors/list?namespace=n", headers=ADMIN).json()
        assert stored["vectors"] == [{"id": "in-hand-0"}, {"id": "in-hand-1"}]


async def test_what_outlives_the_time_of_grace_is_cut_off(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", shutdown_grace_s="0.2") as gateway, connection(gateway) as stuck:
        stuck.sendall(upsert_bytes(gateway, "x")[0])
        await wait_until_in_flight(gateway, 1)
        gateway.process.send_signal(signal.SIGTERM)
        assert answer_of(stuck).startswith(b"HTTP/1.1 503")
        assert gateway.process.wait(10) == 0
    assert "Traceback" not in gateway.errors()


async def refuses_connections(gateway: GatewayProcess) -> None:
    at = urlsplit(gateway.url)
    async with asyncio.timeout(10):
        while True:
            try:
                socket.create_connection((at.hostname or "", at.port or 0), timeout=1).close()
            except ConnectionRefusedError:
                return
            except (ConnectionResetError, TimeoutError):
                pass  # it came just when the door was closed
            await asyncio.sleep(0.01)


def test_writes_under_load_are_all_there_after_sigterm(tmp_path: Path) -> None:
    """Whatever was answered with 200 before and during the shutdown is stored."""
    acknowledged: list[str] = []
    with running_gateway(tmp_path / "data") as gateway:

        def write(worker: int) -> None:
            with httpx.Client(base_url=gateway.url, headers=ADMIN, timeout=20) as http:
                for i in range(10_000):
                    body = {"namespace": "n", "vectors": [{"id": f"{worker}-{i:05}", "values": V}]}
                    try:
                        answer = http.post("/vectors/upsert", json=body)
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 200, answer.text
                    acknowledged.append(f"{worker}-{i:05}")
                    if (worker, i) == (0, 50):  # once: a second one would end it at once
                        gateway.process.send_signal(signal.SIGTERM)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))
    assert len(acknowledged) > 50
    with (
        running_gateway(tmp_path / "data") as again,
        httpx.Client(base_url=again.url, headers=ADMIN, timeout=60) as http,
    ):
        stored: set[str] = set()
        token = ""
        while True:
            page = http.get("/vectors/list", params={"namespace": "n", "paginationToken": token}).json()
            stored |= {one["id"] for one in page["vectors"]}
            if "pagination" not in page:
                break
            token = page["pagination"]["next"]
    assert set(acknowledged) <= stored


async def test_over_its_concurrency_limit_it_says_when_to_come_back(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", max_concurrent_requests="1") as gateway, connection(gateway) as slow:
        head, body = upsert_bytes(gateway, "slow")
        slow.sendall(head + body[:10])
        await wait_until_in_flight(gateway, 1)
        busy = HTTP.post(f"{gateway.url}/query", headers=ADMIN, json={"topK": 1, "vector": V})
        assert (busy.status_code, busy.headers["retry-after"], busy.json()["code"]) == (503, "1", 14)
        assert HTTP.get(f"{gateway.url}/v1/indexes", headers=ADMIN).json()["error"]["code"] == "UNAVAILABLE"
        assert HTTP.get(f"{gateway.url}/healthz").status_code == 200
        assert HTTP.get(f"{gateway.url}/readyz").status_code == 200
        with (
            Pinecone(api_key=ADMIN_KEY, host=gateway.url, retry_config=Retries(max_retries=0)) as once,
            once.Index(host=gateway.url) as index,
            pytest.raises(ServiceError, match="serves 1 requests already") as unavailable,
        ):
            index.query(vector=V, top_k=1)
        assert unavailable.value.status_code == 503
        with (
            ThreadPoolExecutor(1) as pool,
            Pinecone(api_key=ADMIN_KEY, host=gateway.url) as patient,
            patient.Index(host=gateway.url) as index,
        ):
            waiting = pool.submit(index.query, vector=V, top_k=1, namespace="n")
            await refused_at_least(gateway, 4)
            slow.sendall(body[10:])
            assert slow.recv(10_000).startswith(b"HTTP/1.1 200")
            assert [m.id for m in waiting.result(20).matches] == ["slow"], "the SDK came back as it was told"


async def refused_at_least(gateway: GatewayProcess, count: int) -> None:
    async with asyncio.timeout(20):
        while True:
            text = HTTP.get(f"{gateway.url}/metrics", headers=ADMIN).text
            lines = [one for one in text.splitlines() if "_requests_total" in one and 'status="503"' in one]
            if sum(float(one.split()[-1]) for one in lines) >= count:
                return
            await asyncio.sleep(0.01)


def test_a_client_that_goes_away_changes_nothing(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        with connection(gateway) as gone:
            head, body = upsert_bytes(gateway, "x")
            gone.sendall(head + body[:10])
        asyncio.run(wait_until_in_flight(gateway, 0))
        stats = HTTP.post(f"{gateway.url}/describe_index_stats", headers=ADMIN, json={}).json()
        assert stats["totalVectorCount"] == 0


def failing_gateway(data: Path, **settings: str) -> str:
    env = {f"TENANTRY_{name.upper()}": value for name, value in settings.items()}
    gateway = GatewayProcess(data, dimension=8, metric="cosine", settings=env)
    assert gateway.url == ""
    assert gateway.stop() == 1
    return gateway.errors()


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        error = failing_gateway(tmp_path / "data", port=port, admin_key="k")
    assert f"cannot listen on 127.0.0.1:{port}" in error
    assert "Traceback" not in error


def test_an_unknown_host(tmp_path: Path) -> None:
    assert "host:" in failing_gateway(tmp_path / "data", host="no such host", admin_key="k")


def test_without_a_key_only_loopback_is_bound(tmp_path: Path) -> None:
    assert "TENANTRY_ADMIN_KEY" in failing_gateway(tmp_path / "data", host="0.0.0.0")
    with running_gateway(tmp_path / "data", host="0.0.0.0") as gateway:
        assert HTTP.get(f"{gateway.url}/v1/indexes").status_code == 401
        HTTP.post(f"{gateway.url}/v1/keys", json={}, headers=ADMIN).raise_for_status()
    with running_gateway(tmp_path / "data", host="0.0.0.0", admin_key=None) as stored:
        assert HTTP.get(f"{stored.url}/v1/indexes").status_code == 401, "a stored key is enough to bind anything"


def test_the_public_url_is_where_indexes_are_found(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data", public_url="https://vectors.example/") as gateway:
        described = HTTP.get(f"{gateway.url}/indexes/default", headers=ADMIN).json()
    assert described["host"] == "https://vectors.example/i/default"


def test_a_second_process_is_told_and_secrets_stay_out_of_the_log(tmp_path: Path) -> None:
    with running_gateway(tmp_path / "data") as gateway:
        HTTP.post(f"{gateway.url}/v1/indexes", headers={"Api-Key": "wrong-key"})
        HTTP.post(f"{gateway.url}/describe_index_stats", headers=ADMIN, json={}).raise_for_status()
    log = gateway.errors()
    assert "serving" in log
    assert ADMIN_KEY not in log
    assert "wrong-key" not in log
    assert os.path.exists(tmp_path / "data")
