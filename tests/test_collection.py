"""What pytest collects: a file that cannot be imported is an error, and is never left out in silence."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("imported", ["from micrograd_mlp import no_such_name", "import no_such_package"])
def test_a_test_file_with_a_wrong_import_is_an_error(imported, tmp_path):
    wrong, right = tmp_path / "test_wrong.py", ROOT / "tests" / "test_files.py"
    wrong.write_text(f"{imported}\n\n\ndef test_nothing():\n    assert True\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "pyproject.toml",
        "--collect-only",
        str(right),
        str(wrong),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout
    assert "ERROR" in done.stdout
    assert "test_wrong.py" in done.stdout
