from pathlib import Path

import pytest

from netgain.engine.kernels import library


@pytest.fixture(autouse=True)
def _forget() -> None:
    library.cache_clear()


def test_a_compiler_that_fails_leaves_the_kernels_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "c++"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert library() is None
    library.cache_clear()


def test_a_cache_that_cannot_be_written_leaves_the_kernels_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert library() is None
    library.cache_clear()
