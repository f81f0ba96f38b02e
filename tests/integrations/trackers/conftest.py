import sys

import pytest


@pytest.fixture
def missing(monkeypatch):
    """Make a library as if it were not installed."""

    def without(library):
        for name in [name for name in sys.modules if name.partition(".")[0] == library]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "path", [])

        class Nothing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == library:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=library)

        monkeypatch.setattr(sys, "meta_path", [Nothing(), *sys.meta_path])

    return without
