"""The command line in this process, and small files to run it on."""

import pytest
from small_analysis import SETTINGS

from skad.cli import main
from skad.datasets import make_resonance
from skad.io import write_events


@pytest.fixture
def skad(capsys, monkeypatch):
    """Run a command; returns exit code, standard output and standard error."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def analysis(tmp_path_factory):
    """A folder with events and settings."""
    folder = tmp_path_factory.mktemp("analysis")
    events = make_resonance(4000, 40, n_features=2, random_state=0, as_frame=True)
    write_events(events.data.assign(label=events.target), folder / "events.csv")
    (folder / "search.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def write(analysis):
    """Write settings with some text replaced; returns the path."""

    def settings(*replacements, text=SETTINGS):
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = analysis / "changed.toml"
        path.write_text(text)
        return path

    return settings
