"""One authority and one server with generous limits for all tests of a module that put nothing in its way."""

from collections.abc import Iterator

import pytest

from tests.collector.measurement.world import MeasurementWorld, RunningServer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> MeasurementWorld:
    return MeasurementWorld(tmp_path_factory.mktemp("measurement"))


@pytest.fixture(scope="module")
def server(world: MeasurementWorld) -> Iterator[RunningServer]:
    with world.server() as running:
        yield running
