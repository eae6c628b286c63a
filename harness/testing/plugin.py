"""The pytest plugin: a test that asks for `harness_contract` is run for every component of a distribution.

    @pytest.mark.harness_plugin("acme-hinge")
    def test_it_keeps_its_contract(harness_contract):
        harness_contract.hold()

pytest loads this module in every project where the harness is installed, so it imports nothing before it is asked to.
"""

from __future__ import annotations

import pytest

FIXTURE, MARKER = "harness_contract", "harness_plugin"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(distribution): run the test for each component of an installed distribution, as `{FIXTURE}`.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test one contract after the other."""
    if FIXTURE not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is None or len(marker.args) != 1 or not isinstance(marker.args[0], str):
        pytest.fail(
            f"{metafunc.function.__name__} asks for {FIXTURE!r}: say of which distribution, "
            f'@pytest.mark.{MARKER}("NAME")',
            pytrace=False,
        )
    from harness.errors import HarnessError
    from harness.testing.distribution import contracts_of

    try:
        contracts = contracts_of(marker.args[0])
    except HarnessError as error:
        pytest.fail(str(error), pytrace=False)
    metafunc.parametrize(FIXTURE, contracts, ids=[f"{each.kind}-{each.name}" for each in contracts])
