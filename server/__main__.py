"""`python -m server <command>`: every way to run the product."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import msgspec

from schema.errors import StoreUnavailable
from server import roles
from server.auth.identity import Identity
from server.config import ConfigurationError, Environment, Settings, read_settings
from server.dev.page_build import PageNotBuilt, build_page
from server.doctor.checks import examine
from server.doctor.verdict import Verdict, exit_status, line_of
from server.explain import Evaluation, arguments_for, evaluation_text, find_query, remembered_text
from server.fast_loop import run
from server.functions import published
from server.functions.auditing import Auditor
from server.logs import set_up_logs
from server.migrate import Migration
from server.processes import PAGE_LOG, run_dev, run_web, run_worker, stop_on_signals
from server.runtime import DATABASE, blobs_of, clock, open_runtime
from server.store.embedded import running_uri
from server.store.embedded_errors import EmbeddedMongodError
from server.store.gridfs import BlobVault
from server.store.migrating import Migrations
from server.store.mongo import MongoStore
from server.store.opening import open_database
from server.store.watch import DriverStuck
from server.transfer.command import export_to, import_from
from server.transfer.errors import TransferRefused
from server.web.explain import NotTold, ask
from subscriptions.answers import Question

Command = Callable[[Settings, argparse.Namespace], Awaitable[int]]


def say(text: str) -> None:
    """Print to whoever started us."""
    print(text, flush=True)


def tell(text: str) -> None:
    """Say how far it is, beside what is printed."""
    print(text, file=sys.stderr, flush=True)


async def dev(settings: Settings, _: argparse.Namespace) -> int:
    """Everything in one process tree: database, web, worker, page, identities."""
    await run_dev(settings, stop_on_signals(), say)
    return 0


async def web(settings: Settings, _: argparse.Namespace) -> int:
    """Serve clients."""
    await run_web(settings, stop_on_signals(), say)
    return 0


async def worker(settings: Settings, _: argparse.Namespace) -> int:
    """Run jobs."""
    await run_worker(settings, stop_on_signals(), say)
    return 0


async def migrate(settings: Settings, arguments: argparse.Namespace) -> int:
    """Bring a database to this version, before its first process starts; with --post, after the last older one has gone."""
    async with open_database(settings) as client:
        store = MongoStore(client, client.get_default_database(DATABASE).name)
        await Migration(store, Migrations(client, blobs_of(store)), say=say, clock=clock).run(post=arguments.post)
    return 0


async def token(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print a development token for a subject."""
    from server.dev.issuer import DevIssuer

    if not settings.is_development:
        raise ConfigurationError(
            "APP_ENV is production, where development tokens do not exist. Set APP_ENV=development."
        )
    issuer = DevIssuer.open(f"{settings.public_url}/dev", settings.data_dir)
    say(issuer.token(arguments.subject, now=clock()))
    return 0


async def admin(settings: Settings, arguments: argparse.Namespace) -> int:
    """Grant and revoke the administrator's role, or list who has it."""
    if arguments.deed != "list" and arguments.subject is None:
        raise ConfigurationError(f"Say whom: python -m server admin {arguments.deed} SUBJECT")
    async with open_runtime(beside(settings)) as runtime:
        match arguments.deed:
            case "grant":
                is_new = await roles.grant(runtime.database, arguments.subject)
                say(f"{arguments.subject} is an administrator{' now' if is_new else ' already'}")
            case "revoke":
                was = await roles.revoke(runtime.database, arguments.subject)
                say(f"{arguments.subject} {'is an administrator no longer' if was else 'was no administrator'}")
            case _:
                for subject in await roles.administrators(runtime.database):
                    say(subject)
    return 0


async def audit(settings: Settings, arguments: argparse.Namespace) -> int:
    """Hold every balance against its ledger now, and tell the servers."""
    async with open_runtime(beside(settings)) as runtime:
        found = await Auditor(runtime.database).look(acknowledge=arguments.acknowledge)
    for each in found:
        say(f"{each.user_id} has a balance of {each.credits}, and movements that sum to {each.ledger}")
    say(f"{len(found)} differ{', acknowledged' if found and arguments.acknowledge else ''}")
    return 1 if found and not arguments.acknowledge else 0


async def explain(settings: Settings, arguments: argparse.Namespace) -> int:
    """Tell what a query reads, who shares its answer, and why it ran."""
    function = find_query(published(), arguments.function)
    given, subject = arguments_for(function, arguments.args), arguments.subject
    caller = None if subject is None else Identity(subject=subject, issuer="")
    async with open_runtime(beside(settings)) as runtime:
        ts, began = await runtime.store.newest(), clock()
        seen = await runtime.executor.evaluate(Question(function.path, given, None), caller, ts)
        took_ms = clock() - began
        say(evaluation_text(Evaluation(function, given, subject, ts, took_ms, seen.result, seen.reads, seen.documents)))
        permit = runtime.grants.explain_permit(function.path, clock())
        async with httpx.AsyncClient(trust_env=not settings.is_development) as http:
            try:
                say(f"\n{remembered_text(await ask(http, settings.public_url, function.path, permit))}")
            except NotTold as reason:
                say(f"\n{reason}")
    return 0


async def export(settings: Settings, arguments: argparse.Namespace) -> int:
    """Write everything that is there at one moment into a folder; again on the same folder goes on."""
    async with open_database(beside(settings)) as client:
        store = MongoStore(client, client.get_default_database(DATABASE).name)
        vault = BlobVault(client, blobs_of(store))
        return await export_to(arguments.folder, client, store, vault, clock=clock, tell=tell)


async def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Read an export's folder into an empty database; again after an interruption goes on."""
    async with open_database(beside(settings)) as client:
        store = MongoStore(client, client.get_default_database(DATABASE).name)
        vault = BlobVault(client, blobs_of(store))
        return await import_from(arguments.folder, client, store, vault, clock=clock, tell=tell)


def beside(settings: Settings) -> Settings:
    """The same settings on the database that a running `dev` has open, if one has: its folder has room for one alone."""
    uri = settings.mongodb_uri or running_uri(settings.data_dir)
    return msgspec.structs.replace(settings, mongodb_uri=uri)


def doctor(environment: Environment) -> int:
    """Check the configuration and every outside service, a line each."""
    # What is logged on the way is said by the lines, and may hold others' words.
    logging.disable()
    try:
        settings = read_settings(os.environ, default_environment=environment)
    except ConfigurationError as error:
        say(line_of("configuration", Verdict("failed", str(error))))
        return 1

    async def all_checks() -> int:
        found = await examine(settings)
        for name, verdict in found.items():
            say(line_of(name, verdict))
        return exit_status(list(found.values()))

    return run(all_checks())


def page(_: argparse.Namespace) -> int:
    """Build the page where it is missing or older than its sources: a release does this, `dev` does it by itself."""

    async def build() -> int:
        await build_page(Path(os.environ.get("DATA_DIR") or ".data") / PAGE_LOG, say)
        return 0

    try:
        return run(build())
    except PageNotBuilt as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def codegen(arguments: argparse.Namespace) -> int:
    """Write types for clients, from the functions alone: no settings, no database."""
    from server.codegen.writing import generate

    try:
        for path in generate(arguments.types, arguments.python, arguments.reference):
            say(f"wrote {path}")
    except OSError as error:
        print(f"error: {error.filename} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0


COMMANDS: dict[str, tuple[Command, Environment | None]] = {
    "dev": (dev, "development"),
    "web": (web, "production"),
    "worker": (worker, "production"),
    "migrate": (migrate, "production"),
    "token": (token, "development"),
    "admin": (admin, None),
    "audit": (audit, None),
    "explain": (explain, None),
    "export": (export, None),
    "import": (restore, None),
}
WITHOUT_SETTINGS = ("codegen", "page", "doctor")
"""Commands that look at the sources alone, or for which settings that are wrong are a finding."""


def main() -> int:
    """Run one command; what a person can mend is said in a sentence and ends with status 2."""
    parser = argparse.ArgumentParser(prog="python -m server", description="Anime Leak")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (command, _) in COMMANDS.items():
        each = commands.add_parser(name, help=(command.__doc__ or "").rstrip("."))
        if name == "token":
            each.add_argument("subject", help="whose token, for example alice")
        if name == "migrate":
            each.add_argument("--post", action="store_true", help="the part for when no older process runs any more")
        if name == "admin":
            each.add_argument("deed", choices=("grant", "revoke", "list"))
            each.add_argument("subject", nargs="?", help="the person's subject, as in their token")
        if name == "audit":
            each.add_argument("--acknowledge", action="store_true", help="what differs now makes no server unready")
        if name in ("export", "import"):
            each.add_argument("folder", type=Path, metavar="DIR", help="the folder of the export")
        if name == "explain":
            each.add_argument("function", help="the query, for example images:getPublicGallery")
            each.add_argument("--args", metavar="JSON", help="its arguments; a first page where it pages")
            each.add_argument("--as", dest="subject", metavar="SUBJECT", help="whose answer; a visitor's by default")
    types = commands.add_parser("codegen", help=(codegen.__doc__ or "").rstrip("."))
    types.add_argument("types", nargs="?", type=Path, metavar="DIR", help="where api.d.ts, api.js, dataModel.d.ts go")
    types.add_argument("--python", type=Path, metavar="FILE", help="where the typed Python client goes")
    types.add_argument("--reference", type=Path, metavar="FILE", help="where the function reference goes")
    commands.add_parser("doctor", help=(doctor.__doc__ or "").rstrip("."))
    commands.add_parser("page", help=(page.__doc__ or "").rstrip("."))
    arguments = parser.parse_args()
    if arguments.command == "page":
        return page(arguments)
    if arguments.command == "codegen":
        if not (arguments.types or arguments.python or arguments.reference):
            types.error("say what to write: DIR, --python FILE or --reference FILE")
        return codegen(arguments)
    if arguments.command == "doctor":
        return doctor("production" if os.environ.get("MONGODB_URI") else "development")
    command, environment = COMMANDS[arguments.command]
    # Production always names its database; where none is named, the one of `make run` is meant.
    environment = environment or ("production" if os.environ.get("MONGODB_URI") else "development")
    ended = 2
    try:
        settings = read_settings(os.environ, default_environment=environment)
        set_up_logs(settings.log_format, settings.log_level)
        ended = run(command(settings, arguments))
    except* StoreUnavailable:
        print(
            "error: The database does not answer. What was done is kept: run this again when it does.", file=sys.stderr
        )
    except* (ConfigurationError, DriverStuck, EmbeddedMongodError, TransferRefused) as group:
        for error in _leaves(group):
            print(f"error: {error}", file=sys.stderr)
    return ended


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
