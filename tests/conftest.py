"""Strict JAX settings for every test, keys, and the command line."""

import jax
import jax.random as jr
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key():
    return jr.key(2026)


@pytest.fixture
def run(capsys):
    """Run the command line in this process; return (status, output, errors)."""
    # Here, as the types of what is imported before pytest is configured would not be checked.
    from helpers_cli import run_cli

    return lambda *arguments: run_cli(capsys, *arguments)


@pytest.fixture
def labels(tmp_path):
    """The folder of a small label image, its table and data on its grid; and their values."""
    from helpers_cli import write_labels

    return (tmp_path, *write_labels(tmp_path))
