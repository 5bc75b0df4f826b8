"""What `--dist loadgroup` promises: tests of one group share a worker, and so what is expensive to make."""

import pytest


@pytest.mark.xdist_group("together")
def test_the_workers_see_the_groups(request: pytest.FixtureRequest) -> None:
    """pytest-xdist writes a group behind the test's id, a place that pytest does not promise to keep."""
    # A worker's own `dist` is "no": xdist tells it in another option what was asked for.
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("no groups were asked for")
    assert request.node.nodeid.endswith("@together")
