import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import home as testbed  # noqa: E402


@pytest.fixture(scope="module")
def make_home():
    """Gives a function that makes a home of the named hosts; all are taken down at the end. Where no
    home can be made the tests are skipped, but not in continuous integration (CI set)."""
    reason = testbed.why_not()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    assert not reason, reason
    made = []

    def make(*names):
        made.append(testbed.Home(*names))
        return made[-1]

    yield make
    for one in made:
        one.close()
