"""Servers that the tests of object stores share, each started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.objects.bench import AzureBench, Bench, GcsBench, S3Bench
from tests.servers.azurite import Azurite, azurite
from tests.servers.gcs import StrictGcs, strict_gcs
from tests.servers.moto import moto
from tests.servers.sparse_s3 import SparseS3, sparse_s3


@pytest.fixture(scope="session")
def moto_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as address:
        yield address


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def gcs_server() -> Iterator[StrictGcs]:
    with strict_gcs() as server:
        yield server


@pytest.fixture
def sparse() -> Iterator[SparseS3]:
    with sparse_s3() as server:
        yield server


@pytest.fixture
def s3(moto_address: str) -> Iterator[S3Bench]:
    with S3Bench(moto_address) as bench:
        yield bench


@pytest.fixture
def gcs(gcs_server: StrictGcs) -> Iterator[GcsBench]:
    with GcsBench(gcs_server) as bench:
        yield bench


@pytest.fixture
def azure(azurite_server: Azurite) -> Iterator[AzureBench]:
    with AzureBench(azurite_server) as bench:
        yield bench


@pytest.fixture(
    params=[
        pytest.param("s3", marks=pytest.mark.xdist_group("moto")),
        pytest.param("gcs", marks=pytest.mark.xdist_group("gcs")),
        pytest.param("azure", marks=pytest.mark.xdist_group("azurite")),
    ]
)
def bench(request: pytest.FixtureRequest) -> Bench:
    """Each store in turn, with a bucket of its own and a proxy in front that can spoil answers."""
    found: Bench = request.getfixturevalue(request.param)
    return found
