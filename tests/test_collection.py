"""What pytest collects: a file that cannot be imported is an error, and is never left out in silence."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_a_test_file_with_a_wrong_import_is_an_error(tmp_path):
    wrong = {"name": "from micrograd_mlp import no_such_name", "package": "import no_such_package"}
    for what, line in wrong.items():
        (tmp_path / f"test_wrong_{what}.py").write_text(f"{line}\n\n\ndef test_nothing():\n    assert True\n")
    options = ["-c", "pyproject.toml", "--collect-only", str(ROOT / "tests" / "test_files.py"), str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    assert "2 errors during collection" in done.stdout
    assert all(f"test_wrong_{what}.py" in done.stdout for what in wrong)
