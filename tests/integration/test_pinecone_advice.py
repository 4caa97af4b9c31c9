"""Advice about an existing Pinecone index, read by the official SDK from a gateway in another process."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from tenantry.cli.main import run

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway


def test_the_stats_of_an_index_become_a_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PINECONE_API_KEY", ADMIN_KEY)
    with running_gateway(tmp_path / "data", dimension=4) as gateway:
        with httpx.Client(base_url=gateway.url, headers={"Api-Key": ADMIN_KEY}, timeout=60) as http:
            for n in range(88):
                vectors = [{"id": f"r{i}", "values": [1.0, i, 0, 0]} for i in range(40 if n == 0 else 1)]
                answer = http.post("/vectors/upsert", json={"namespace": f"t{n:02}", "vectors": vectors})
                assert answer.status_code == 200
        code = run(["advise", "--pinecone-host", gateway.url, "--offer", "reference", "--json"])
        assert code == 0
        import json

        card = json.loads(capsys.readouterr().out)
        assert (card["workload"]["tenants"], card["workload"]["vectors"]) == (88, 127)
        assert (card["shard"], card["sizing"]["shards"]) == (True, 2)
        monkeypatch.setenv("PINECONE_API_KEY", "wrong")
        assert run(["advise", "--pinecone-host", gateway.url]) == 3
        assert "refuses the login" in capsys.readouterr().err
