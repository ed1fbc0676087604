"""The command `tidegauge`: one subcommand is loaded, mistakes are one sentence, and exit codes mean something."""

import ast
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

import firmware
from firmware.commands import main as command
from tests.servers.tcp import TcpServer, stay_silent

ROOT = Path(__file__).parents[3]
DECLARED: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
    command.GROUP
]


def tidegauge(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    """Run the command in this process; return its exit code and what it printed."""
    monkeypatch.setattr(sys, "argv", ["tidegauge", *words])
    with pytest.raises(SystemExit) as exited:
        command.main()
    printed = capsys.readouterr()
    assert isinstance(exited.value.code, int)
    return exited.value.code, printed.out, printed.err


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_help_lists_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, _ = tidegauge(capsys, monkeypatch, "--help")
    assert status == 0
    for name in DECLARED:
        assert f"\n  {name} " in out


def test_help_loads_no_subcommand() -> None:
    done = in_a_process(
        "import sys; sys.argv = ['tidegauge', '--help']\n"
        "from firmware.commands.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('firmware.commands.') or name.endswith('.command')))"
    )
    assert done.stdout.splitlines()[-1] == "['firmware.commands.errors', 'firmware.commands.main']", (
        done.stderr
    )


@pytest.mark.parametrize("name", ["measure", "plan"])
def test_a_commands_summary_is_its_docstrings_first_sentence(name: str) -> None:
    module, attribute = DECLARED[name].split(":")
    source = ast.parse((ROOT / Path(*module.split("."))).with_suffix(".py").read_text())
    found = command._entry_points()[name]
    assert found.value == f"{module}:{attribute}"
    docstrings = [
        ast.get_docstring(node)
        for node in source.body
        if isinstance(node, ast.FunctionDef) and node.name == attribute
    ]
    assert command.summary(found) == str(docstrings[0]).splitlines()[0]


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert tidegauge(capsys, monkeypatch, "--version") == (0, f"tidegauge {firmware.__version__}\n", "")


def test_no_command_at_all_is_told_what_there_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status, out, err = tidegauge(capsys, monkeypatch)
    assert "measure" in out + err
    assert status in (0, 2)  # click's own choice, which changed with 8.2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["meazure"], "did you mean measure?"),
        (["zzz"], "allowed is one of"),
        (["--frobnicate"], "--frobnicate"),
        (["measure", "tcp", "127.0.0.1:1", "--timeout", "soon"], "--timeout"),
    ],
)
def test_what_is_not_understood(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    status, out, err = tidegauge(capsys, monkeypatch, *words)
    assert (status, out) == (2, "")
    assert told in err
    assert "Traceback" not in err


def test_a_command_whose_packages_are_missing_says_how_to_get_them() -> None:
    done = in_a_process(
        "import sys; sys.argv = ['tidegauge', 'collector', '--help']; sys.modules['fastapi'] = None\n"
        "from firmware.commands.main import main; main()"
    )
    assert done.returncode == 1
    assert "pip install 'tidegauge[collector]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_quietly() -> None:
    connected = threading.Event()

    def wait(connection: object) -> None:
        connected.set()
        stay_silent(connection)  # type: ignore[arg-type]

    with (
        TcpServer(wait) as server,
        subprocess.Popen(
            [sys.executable, "-m", "firmware.commands.main", "measure", "tls", f"127.0.0.1:{server.port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as process,
    ):
        assert connected.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "firmware.commands.main", "measure", "--list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
