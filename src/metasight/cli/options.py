"""Arguments that several commands take."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from metasight.engine.placement import WAIT_S, Placement, parsed_bytes

HERE = Path(".")

Folder = Annotated[Path, typer.Argument(help="Study folder, which holds study.toml.")]
Out = Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")]
LockedModels = Annotated[
    Path,
    typer.Argument(help="A bundle: its folder, its zip, or the folder of the study that made it."),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead (docs/command-line.md).")
]

_PANEL = "Where steps run (docs/operation.md)"


def _placement_options(default: str) -> list[inspect.Parameter]:
    """Options of a command whose steps may run elsewhere; ``default`` of its scheduler."""

    def option(name: str, kind: Any, value: Any, text: str, **more: Any) -> inspect.Parameter:
        told = typer.Option(
            f"--{name.replace('_', '-')}", help=text, rich_help_panel=_PANEL, **more
        )
        return inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=Annotated[kind, told]
        )

    return [
        option(
            "scheduler",
            str,
            default,
            "auto (chosen by the work), inline (in this process), local (processes beside it), or "
            "the address of a Dask scheduler: tls://HOST:PORT.",
        ),
        option(
            "workers",
            int | None,
            None,
            "Processes of auto and local.",
            min=1,
            show_default="one per core that may be used",
        ),
        option(
            "memory",
            str | None,
            None,
            "Memory of each of these processes, for example 4GiB; one that needs more is ended.",
            show_default="an equal part",
        ),
        option("wait", float, WAIT_S, "Seconds to wait for workers of a scheduler.", min=0),
        option("tls_ca", Path | None, None, "Certificate of the authority, for tls://."),
        option("tls_cert", Path | None, None, "Own certificate, for tls://."),
        option("tls_key", Path | None, None, "Own key, for tls://."),
        option(
            "insecure_scheduler",
            bool,
            False,
            "Accept an address without TLS: anyone who reaches it can run code as you.",
        ),
    ]


def placed(default: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of where its steps run.

    The command takes ``scheduler``, a :class:`metasight.engine.placement.Placement`.

    Parameters
    ----------
    default
        Of the option ``--scheduler``.
    """
    options = _placement_options(default)

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def call(*arguments: Any, **given: Any) -> None:
            own = {o.name: given.pop(o.name, o.default) for o in options}
            command(*arguments, **given, scheduler=_placement(own))

        hints = get_type_hints(command, include_extras=True)
        before = [
            p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for p in inspect.signature(command).parameters.values()
            if p.name != "scheduler"
        ]
        vars(call)["__signature__"] = inspect.Signature([*before, *options])
        call.__annotations__ = {p.name: p.annotation for p in (*before, *options)}
        return call

    return decorate


def _placement(given: dict[str, Any]) -> Placement:
    """What the options of :func:`placed` come to; a placement that was given stays itself."""
    if isinstance(given["scheduler"], Placement):
        return given["scheduler"]
    memory = given["memory"]
    return Placement(
        scheduler=given["scheduler"],
        workers=given["workers"],
        memory=None if memory is None else parsed_bytes(memory),
        wait_s=given["wait"],
        tls_ca=given["tls_ca"],
        tls_cert=given["tls_cert"],
        tls_key=given["tls_key"],
        insecure=given["insecure_scheduler"],
    )
