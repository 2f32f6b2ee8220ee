"""`serve --kubernetes` without a cluster that it could reach."""

import sys

import pytest

from controller.app import App
from controller.errors import ConfigError
from controller.settings import Settings


def settings(tmp_path, **more) -> Settings:
    return Settings(data=tmp_path / "data", kubernetes=True, **more)


def test_a_kubeconfig_that_is_not_there_is_an_error(tmp_path):
    """A configuration that cannot be read is named, and nothing was made."""
    with pytest.raises(ConfigError, match=r"cannot connect to Kubernetes \(.*missing\)"):
        App(settings(tmp_path, kubeconfig=tmp_path / "missing"))
    assert list(tmp_path.iterdir()) == []


def test_a_context_that_is_not_there_is_an_error(tmp_path):
    """A context that the kubeconfig does not have is named."""
    (tmp_path / "config").write_text("apiVersion: v1\nkind: Config\nclusters: []\nusers: []\ncontexts: []\n")
    with pytest.raises(ConfigError, match="prod"):
        App(settings(tmp_path, kubeconfig=tmp_path / "config", context="prod"))


def test_without_the_package_it_says_how_to_get_it(tmp_path, monkeypatch):
    """Where the extra is not installed the error says what to install."""
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(ConfigError, match=r"pip install 'modelmend\[kubernetes\]'"):
        App(settings(tmp_path))


def test_without_the_setting_no_package_is_needed(tmp_path, monkeypatch):
    """An installation without a cluster runs without the extra, and knows no cluster."""
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    app = App(Settings(data=tmp_path / "data"))
    assert app.kube is None
    app.leadership.stop()
    app.db.close()
