"""Listen and serve until the user stops it."""

from __future__ import annotations

import socket

from metasight.errors import StudyError
from metasight.serve.app import Workbench, create_app
from metasight.serve.reach import Reach

_WAITING = 128


def bound(reach: Reach) -> socket.socket:
    """A socket that listens, so that the address printed is one that answers.

    Raises
    ------
    StudyError
        The address or port cannot be had.
    """
    family = socket.AF_INET6 if ":" in reach.host else socket.AF_INET
    # by name: asyncio leaves Nagle's delay on where the protocol is not, 40 ms a tile
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((reach.host, reach.port))
        listening.listen(_WAITING)
    except (OSError, UnicodeError) as error:
        listening.close()
        raise StudyError(
            "the workbench cannot listen there",
            value=f"{reach.host}, port {reach.port or 'free'}",
            remedy="Another program may use the port: give another --port, or leave it out",
        ) from error
    return listening


def serve_until_stopped(workbench: Workbench, listening: socket.socket) -> None:
    """Answer requests; returns when the process is told to stop.

    Requests are not written anywhere but into the audit log: their addresses hold pseudonyms.
    """
    import uvicorn

    reach = workbench.reach
    config = uvicorn.Config(
        create_app(workbench),
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=reach.behind_proxy,
        ssl_certfile=str(reach.certificate) if reach.certificate else None,
        ssl_keyfile=str(reach.private_key) if reach.private_key else None,
        limit_concurrency=500,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=32 * 1024,
    )
    uvicorn.Server(config).run(sockets=[listening])
