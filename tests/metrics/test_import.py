"""The room loads without torch and matplotlib."""

import subprocess
import sys


def test_no_heavy_imports():
    code = "import sys, skad.metrics; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
