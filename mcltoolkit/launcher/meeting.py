"""Where the processes of a run meet, and what to tell when they cannot."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

DEFAULT_PORT = "29500"


def meeting(environment: Mapping[str, str]) -> list[str]:
    """torchrun's options that say where the processes of all nodes meet."""
    nodes = environment.get("NNODES", "1")
    port = environment.get("PORT") or environment.get("MASTER_PORT")
    if nodes == "1" and not port:
        return ["--standalone"]
    return [
        *("--nnodes", nodes, "--node_rank", environment.get("NODE_RANK", "0")),
        *("--master_addr", environment.get("MASTER_ADDR", "127.0.0.1")),
        *("--master_port", port or DEFAULT_PORT),
    ]


def port_problem(where: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What to tell where this node should listen on a port that is taken, or no port at all."""
    if "--master_port" not in where:
        return None
    named = where[where.index("--master_port") + 1]
    if not named.isdecimal() or not 0 < int(named) < 65536:
        return f"PORT is {named!r}; allowed are numbers from 1 to 65535 (above 1023 for users)"
    if environment.get("NODE_RANK", "0") != "0":
        return None
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", int(named)))
        except OSError as error:
            return _taken(named, str(error.strerror))
    return None


def _taken(port: str, reason: str) -> str:
    return (
        f"port {port} of this machine cannot be used ({reason}): another run may have taken it. "
        f"Set PORT to another number, the same on all nodes, such as PORT={_free_port()}; on one "
        f"node leave PORT and MASTER_PORT unset to have a free one picked"
    )


def no_meeting(where: Sequence[str], error: Exception) -> str:
    """What to tell where torchrun could not bring the processes together."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if "--master_port" in where and "address already in use" in str(error).lower():
        return _taken(where[where.index("--master_port") + 1], "address already in use")
    return (
        f"the processes could not meet ({' '.join(where)}): {lines[0]}\n"
        f"Check that NNODES, MASTER_ADDR and PORT are the same on all nodes, NODE_RANK counts from "
        f"0, and node 0 can be reached under that address"
    )


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("", 0))
        return int(trial.getsockname()[1])
