"""Running the command in an empty folder."""

import pytest

from micrograd_mlp.app.cli import main


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    """Runs the command; gives its exit status, what it printed, and what it printed as an error."""

    def run(*arguments):
        try:
            status = main(list(arguments))
        except SystemExit as stop:  # argparse
            status = stop.code
        return status, *capsys.readouterr()

    return run
