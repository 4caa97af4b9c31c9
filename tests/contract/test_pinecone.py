"""The backend contract on Pinecone's official SDK, against a gateway in another process in the place of Pinecone."""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from tenantry.backends.pinecone import PineconeBackend, PineconeOptions
from tenantry.model.records import Metric, Record
from tenantry.testing.backend_contract import BackendContract
from tenantry.testing.backend_samples import UNUSUAL_IDS

sys.path.insert(0, str(Path(__file__).parents[1] / "sdk"))
from gateway_process import ADMIN_KEY, running_gateway

_numbers = itertools.count()


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("pinecone") / "data") as gateway:
        yield gateway.url


class PineconeContract(BackendContract):
    metric = Metric.COSINE

    @pytest.fixture
    async def backend(
        self, controller: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[PineconeBackend]:
        given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        if given.get("id") == UNUSUAL_IDS[1]:
            pytest.xfail("Pinecone's ids are 512 characters of ASCII, so that 512 others do not fit")
        key = tmp_path / "key"
        key.write_text(ADMIN_KEY)
        options = PineconeOptions(
            api_key_file=str(key), controller=controller, cloud="aws", region="us-east-1", visible_s=0.0
        )
        backend = PineconeBackend(16, self.metric, f"shard-{next(_numbers)}", options)
        await backend.probe()
        yield backend
        await backend.aclose()


class TestCosine(PineconeContract):
    pass


class TestDotProduct(PineconeContract):
    metric = Metric.DOTPRODUCT


class TestEuclidean(PineconeContract):
    metric = Metric.EUCLIDEAN


async def test_a_large_batch_goes_in_requests_of_the_size_that_pinecone_takes(controller: str, tmp_path: Path) -> None:
    """2 MB at most, which vectors of float32 fill quickly: 20 characters for each number."""
    key = tmp_path / "key"
    key.write_text(ADMIN_KEY)
    options = PineconeOptions(api_key_file=str(key), controller=controller, cloud="aws", region="us-east-1")
    backend = PineconeBackend(768, Metric.COSINE, f"shard-{next(_numbers)}", options)
    await backend.probe()
    await backend.create("large")
    values = np.random.default_rng(3).standard_normal((600, 768), np.float32)
    await backend.index("large").upsert([Record(f"r{i}", each, {"text": "x" * 300}) for i, each in enumerate(values)])
    assert (await backend.stats("large")).vectors == 600
    await backend.aclose()
