"""``python -m skad.cli`` is the command ``skad``."""

from skad.cli import main

main()
