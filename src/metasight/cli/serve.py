"""Commands of the workbench: serve a study, its users, and its audit log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from metasight.cli.options import HERE, Folder
from metasight.cli.printing import out, shown
from metasight.errors import StoreError, StudyError

if TYPE_CHECKING:
    from metasight.serve.accounts import Accounts
    from metasight.serve.reach import Reach
    from metasight.study.file import Study

users = typer.Typer(name="users", help="Named users of a study's workbench.", no_args_is_help=True)


def serve(
    folder: Folder = HERE,
    port: Annotated[
        int, typer.Option(help="Port to listen on.", min=0, max=65535, show_default="a free one")
    ] = 0,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than this machine's own needs users.")
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(help="Host name by which browsers call this machine; repeat it for more."),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option("--tls-certificate", help="Certificate chain, as PEM.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", help="Private key of the certificate, as PEM.")
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option("--behind-proxy", help="A reverse proxy speaks TLS with the browsers."),
    ] = False,
) -> None:
    """Show a study, its patients and its slides in a browser; nothing leaves this machine."""
    _require_installed()
    from metasight.serve.reach import Reach
    from metasight.study.file import read_study

    reach = Reach(
        host=host,
        port=port,
        names=tuple(name or ()),
        certificate=tls_certificate,
        private_key=tls_key,
        behind_proxy=behind_proxy,
    )
    _serve(read_study(folder), reach)


def _serve(study: Study, reach: Reach) -> None:
    from metasight.serve.app import Workbench
    from metasight.serve.reach import require_safe
    from metasight.serve.running import bound, serve_until_stopped

    workbench = Workbench(study, reach)
    has_users = bool(workbench.accounts.all())
    require_safe(reach, has_users=has_users)
    socket = bound(reach)
    port = socket.getsockname()[1]
    scheme = "https" if reach.certificate else "http"
    called = reach.names[0] if reach.names else reach.host
    workbench.sessions.end_local()
    if has_users:
        out.print(f"The workbench is at {scheme}://{called}:{port}/login", soft_wrap=True)
    else:
        token = workbench.sessions.new_token()
        out.print("Open this address; it lets one browser in, once:", soft_wrap=True)
        out.print(f"{scheme}://{called}:{port}/enter?token={token}", soft_wrap=True, markup=False)
    out.print("Ctrl-C stops it.")
    out.file.flush()
    serve_until_stopped(workbench, socket)


def audit(folder: Folder = HERE) -> None:
    """Check the workbench's audit log: that no row was changed, inserted or taken out."""
    from metasight.serve.audit import AuditLog
    from metasight.serve.database import Database, database_of
    from metasight.study.file import read_study

    study = read_study(folder)
    path = database_of(study.folder)
    if not path.is_file():
        raise StudyError(
            "this study has no audit log", remedy="`metasight serve FOLDER` begins one"
        )
    log = AuditLog(Database(path), study.settings.key)
    broken = log.broken()
    if broken:
        raise StoreError(
            f"the audit log does not hold: {broken}",
            where=f".metasight/{path.name}",
            remedy="Keep the file as it is and ask who had access to the study's folder",
        )
    rows = log.rows()
    span = f", from {rows[0].at[:19]} to {rows[-1].at[:19]} UTC" if rows else ""
    out.print(f"The audit log holds: {len(rows)} rows{span}.", soft_wrap=True)


@users.command("add")
def add_user(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Name to log in by.")],
    role: Annotated[
        str, typer.Option(help="viewer (looks), reviewer (also decides and downloads), or admin.")
    ] = "viewer",
    password_from: Annotated[
        Path | None,
        typer.Option(
            "--password-from",
            help="File whose first line is the password.",
            show_default="asked for twice",
        ),
    ] = None,
) -> None:
    """Add a user, or give one another role and password."""
    _require_installed()
    from metasight.serve.accounts import Role

    if role not in list(Role):
        raise StudyError("there is no such role", value=role, remedy=f"Use {', '.join(Role)}")
    if password_from is None:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        lines = password_from.read_text("utf-8").splitlines()
        password = lines[0] if lines else ""
    _changed(folder, f"{name} is {role}", lambda accounts: accounts.put(name, Role(role), password))
    out.print(f"{shown(name)} may log in as {role}.")


@users.command("remove")
def remove_user(
    folder: Folder, name: Annotated[str, typer.Argument(help="Name of the user.")]
) -> None:
    """Take a user out; open sessions of the user end."""
    _changed(folder, f"{name} is removed", lambda accounts: accounts.remove(name))
    out.print(f"{shown(name)} may not log in any more.")


@users.command("list")
def list_users(folder: Folder = HERE) -> None:
    """List users and their roles."""
    from metasight.serve.accounts import Accounts
    from metasight.serve.database import Database, database_of
    from metasight.study.file import read_study

    found = Accounts(Database(database_of(read_study(folder).folder))).all()
    table = Table("User", "Role")
    for account in found:
        table.add_row(shown(account.name), account.role)
    out.print(table if found else "There are no users.")


def _changed(folder: Path, about: str, change: Callable[[Accounts], None]) -> None:
    from metasight.serve.accounts import Accounts
    from metasight.serve.audit import Act, AuditLog
    from metasight.serve.database import Database, database_of
    from metasight.study.file import read_study

    study = read_study(folder)
    database = Database(database_of(study.folder))
    change(Accounts(database))
    AuditLog(database, study.settings.key).add("command line", Act.USER, about)


def _require_installed() -> None:
    try:
        import argon2  # noqa: F401
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise StudyError(
            "the workbench's packages are not installed",
            value=error.name or "",
            remedy="pip install 'metasight[serve]'",
        ) from error
