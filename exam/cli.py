"""The `exam` command: demo, serve, worker, nginx-config, migrate, seed, import, export, template, check."""

import asyncio
import csv
import datetime as dt
import re
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
import msgspec

from exam.children import ChildError
from exam.settings import Settings, SettingsError, read_settings

T = TypeVar("T")
_USER = re.compile(r"[a-z_][a-z0-9_-]*")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")


def _settings() -> Settings:
    try:
        return read_settings()
    except SettingsError as wrong:
        raise click.ClickException(str(wrong)) from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's work; a refusal and a database that is away end it with one sentence."""
    from asyncpg import PostgresError

    from exam.db import OUTAGES, explains
    from exam.errors import Refusal
    from exam.imports.report import Unreadable

    try:
        return asyncio.run(work)
    except Refusal as refusal:
        raise click.ClickException(refusal.message) from None
    except Unreadable as unreadable:
        click.echo(str(unreadable), err=True)
        sys.exit(2)
    except (*OUTAGES, PostgresError) as outage:
        raise click.ClickException(f"PostgreSQL did not do it: {explains(outage)}") from None


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="exam-hall")
def main() -> None:
    """An exam hall for 40,000 teachers at once."""


@main.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Where the hall opens.")
@click.option("--folder", default=".demo", show_default=True, type=click.Path(path_type=Path), help="Its data.")
def demo(port: int, folder: Path) -> None:
    """Everything on this machine: PostgreSQL, Valkey, nginx, workers, and data to try it on."""
    from exam.demo import run_demo

    try:
        run_demo(folder.resolve(), port, click.echo)
    except ChildError as failed:
        raise click.ClickException(str(failed)) from None


@main.command()
@click.option("--socket", "path", type=click.Path(path_type=Path), help="Unix socket to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Or a port of 127.0.0.1.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Port for Prometheus.")
@click.option("--metrics-address", default="127.0.0.1", show_default=True, help="Where that port is; keep it internal.")
def serve(path: Path | None, port: int | None, metrics_port: int | None, metrics_address: str) -> None:
    """One web worker. Run several behind nginx."""
    from exam.app import serve_worker
    from exam.logs import start_logging

    if (path is None) == (port is None):
        raise click.UsageError("Give --socket or --port.")
    settings = _settings()
    start_logging(debug=settings.debug)
    serve_worker(settings, path, port, metrics_port, metrics_address)


@main.command()
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Port for Prometheus.")
@click.option("--metrics-address", default="127.0.0.1", show_default=True, help="Where that port is; keep it internal.")
def worker(metrics_port: int | None, metrics_address: str) -> None:
    """The worker that seals, makes receipts and grades. Run as many as you like."""
    import uvloop

    from exam.logs import start_logging
    from exam.worker import work

    settings = _settings()
    start_logging(debug=settings.debug)
    uvloop.run(work(settings, metrics_port, metrics_address))


@main.command("nginx-config")
@click.option("--listen", multiple=True, required=True, metavar="ADDRESS", help="For instance 0.0.0.0:443; repeatable.")
@click.option("--upstream", multiple=True, required=True, help="A web worker: its socket, or host:port; repeatable.")
@click.option("--server-name", multiple=True, help="The name people type; others get no answer. Repeatable.")
@click.option("--certificate", type=click.Path(path_type=Path), help="Full chain for TLS, in PEM.")
@click.option("--certificate-key", type=click.Path(path_type=Path), help="Its key.")
@click.option("--redirect", multiple=True, metavar="ADDRESS", help="Plain address that leads to https; repeatable.")
@click.option("--http2", is_flag=True, help="For nginx 1.25.1 or later.")
@click.option("--static", type=click.Path(path_type=Path), help="Folder of unavailable.html; ours by default.")
@click.option(
    "--temp",
    type=click.Path(path_type=Path),
    default="/var/cache/exam-nginx",
    show_default=True,
    help="Existing folder for bodies and the cache.",
)
@click.option("--access-log", type=click.Path(path_type=Path), help="None by default.")
@click.option("--error-log", type=click.Path(path_type=Path), help="Standard error by default.")
@click.option("--user", default="www-data", show_default=True, help="Whom its workers run as when root starts it.")
@click.option("--processes", type=click.IntRange(1, 1024), help="Its workers; this machine's processors by default.")
@click.option(
    "--connections", type=click.IntRange(64, 1_000_000), help="Of each of them; from the limit of open files."
)
@click.option(
    "--starts-per-second",
    type=click.IntRange(1, 1_000_000),
    help="How fast starts and log-ins are let through, all others wait; 2,000 for each upstream by default. "
    "Where several nginx ask the same workers, each may let its share through.",
)
def print_nginx_config(
    listen: tuple[str, ...],
    upstream: tuple[str, ...],
    server_name: tuple[str, ...],
    certificate: Path | None,
    certificate_key: Path | None,
    redirect: tuple[str, ...],
    http2: bool,
    static: Path | None,
    temp: Path,
    access_log: Path | None,
    error_log: Path | None,
    user: str,
    processes: int | None,
    connections: int | None,
    starts_per_second: int | None,
) -> None:
    """Prints the load balancer's configuration for this host. Test it with `nginx -t`."""
    from exam.nginx import nginx_config
    from exam.stack import STATIC

    if (certificate is None) != (certificate_key is None):
        raise click.UsageError("Give --certificate and --certificate-key together.")
    if redirect and certificate is None:
        raise click.UsageError("--redirect leads to https, which needs --certificate.")
    if not _USER.fullmatch(user):
        raise click.UsageError("--user is the name of a user.")
    try:
        text = nginx_config(
            listen=listen,
            upstreams=[Path(one) if one.startswith("/") else one for one in upstream],
            static=static or STATIC,
            temp=temp,
            server_names=server_name,
            certificate=certificate,
            certificate_key=certificate_key,
            redirect=redirect,
            http2=http2,
            access_log=access_log,
            error_log=error_log,
            user=user,
            worker_processes=processes,
            worker_connections=connections,
            starts_per_second=starts_per_second,
        )
    except ChildError as wrong:
        raise click.ClickException(str(wrong)) from None
    click.echo(text)


@main.command()
def migrate() -> None:
    """Brings the database to this version, and makes partitions for the months to come."""
    _run(_migrate(_settings()))


async def _migrate(settings: Settings) -> None:
    from exam import migrations
    from exam.db import connect

    connection = await connect(settings.database_url)
    try:
        applied = await migrations.migrate(connection)
        today = dt.datetime.now(ZoneInfo(settings.time_zone)).date()
        await migrations.make_partitions(connection, today, settings.partition_months)
    finally:
        await connection.close()
    click.echo(f"Applied: {', '.join(applied)}." if applied else "Nothing to apply.")
    click.echo(f"Partitions are there for {settings.partition_months} months ahead.")


@main.command()
@click.option("--password", prompt=True, hide_input=True, help="For every member of staff of the demo.")
def seed(password: str) -> None:
    """Fills a migrated database with the demo's data and prints the log-ins."""
    from exam.seed import seed as fill

    settings = _settings()

    async def work() -> None:
        from exam.db import connect

        connection = await connect(settings.database_url)
        try:
            seeded = await fill(connection, settings, {}, password)
        finally:
            await connection.close()
        for what, registration, code in seeded.candidates:
            click.echo(f"{registration}  {code}  {what}")
        for role, email, _ in seeded.staff:
            click.echo(f"{email}  {role}")

    _run(work())


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Read and report only. Nothing is stored.")
@click.option("--report", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--bank", help="Bank that questions go into, its number or name; the file's name if not given.")
@click.option(
    "--language", default="", help="Of texts that name none: en, mr, hi …; judged by their letters if not given."
)
@click.option("--accept-rest", is_flag=True, help="Store what can be taken although something was refused.")
@click.option(
    "--codes",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Where the access codes of new candidates go. They are told only once.",
)
def import_file(
    file: Path, dry_run: bool, form: str, bank: str | None, language: str, accept_rest: bool, codes: Path | None
) -> None:
    """Takes questions or candidates from FILE and says what became of each.

    Questions come as GIFT, Aiken, Moodle XML, CSV, XLSX or bilingual JSON, candidates as CSV with registration_no.
    Without --accept-rest nothing is stored if anything was refused. Exit code 0: the file was readable, 2: it was not.
    """
    if language and not _LANGUAGE.fullmatch(language):
        raise click.UsageError("--language is a tag such as en, mr or hi.")
    _run(_import(file, dry_run, form, bank, language, accept_rest, codes))


async def _import(
    file: Path, dry_run: bool, form: str, bank: str | None, language: str, accept_rest: bool, codes: Path | None
) -> None:
    from exam.imports.candidates import read_candidates
    from exam.imports.formats import format_of, read_items
    from exam.imports.tables import heads_items

    data = file.read_bytes()  # noqa: ASYNC240  a command has nothing else to do meanwhile
    stored = None
    if format_of(data, file.name) == "csv" and not heads_items(data):
        rows, report = read_candidates(data, file.name)
        if not dry_run:
            stored = await _store_candidates(_settings(), rows, report, file, accept_rest, codes)
    else:
        pictures: dict[str, bytes] = {}
        pairs, report = read_items(data, file.name, language=language, pictures=pictures)
        if not dry_run:
            stored = await _store_items(_settings(), bank or "", file.stem, pairs, pictures, report, accept_rest)
    _tell(report, form)
    if dry_run:
        click.echo("A dry run: nothing was stored.", err=True)
    elif stored is None:
        click.echo("Nothing was stored, because something was refused. Mend it, or add --accept-rest.", err=True)
    else:
        click.echo(stored, err=True)


def _tell(report: Any, form: str) -> None:
    if form == "json":
        click.echo(msgspec.json.encode(report).decode())
    else:
        for line in report.lines():
            click.echo(line)


async def _store_items(
    settings: Settings,
    bank: str,
    otherwise: str,
    pairs: list[Any],
    pictures: dict[str, bytes],
    report: Any,
    accept_rest: bool,
) -> str | None:
    from exam.db import connect
    from exam.items import bank_called, import_items, keep_picture, lacking_pictures

    connection = await connect(settings.url_of("author"), role="exam_author")
    try:
        async with connection.transaction():
            # A number names a bank that is there; a name may be new.
            name = (await bank_called(connection, bank))["name"] if bank.isdecimal() else bank or otherwise
            lacking = await lacking_pictures(connection, [item for item, _ in pairs], pictures)
            sources = {entry.id: entry.source for entry in report.entries if entry.status != "refused"}
            why = "A picture that it names is not in this hall."
            report.withdraw({sources[code]: [why] for code in lacking})
            if report.refused and not accept_rest:
                return None
            pairs = [(item, key) for item, key in pairs if item.code not in lacking]
            titles = {item.section: {"en": item.section} for item, _ in pairs}
            for picture in pictures.values():
                await keep_picture(connection, picture)
            done = await import_items(connection, name, titles, pairs)
    finally:
        await connection.close()
    return f'Bank "{name}": {done.new} new, {done.changed} with a new version, {done.same} as they were.'


async def _store_candidates(
    settings: Settings, rows: list[Any], report: Any, file: Path, accept_rest: bool, codes: Path | None
) -> str | None:
    from exam import roster
    from exam.db import connect
    from exam.exports import harmless

    connection = await connect(settings.url_of("author"), role="exam_author")
    try:
        rows = await roster.fit(connection, rows, report, file.name)
        if report.refused and not accept_rest:
            return None
        if codes is None:
            raise click.UsageError("Say with --codes where the new access codes go; they are told only once.")
        async with connection.transaction():
            done = await roster.enrol(connection, rows, settings.derived("access codes"))
            # Written before the commit: codes that nobody can read would lock their candidates out.
            with codes.open("x", encoding="utf-8", newline="") as out:
                codes.chmod(0o600)  # noqa: ASYNC240
                writer = csv.writer(out)
                writer.writerow(["registration_no", "name", "access_code"])
                writer.writerows([number, harmless(name), code] for number, name, code in done.codes)
    except FileExistsError:
        raise click.ClickException(f"{codes} is there already. Nothing was stored; choose another name.") from None
    finally:
        await connection.close()
    return f"Candidates: {done.new} new, {done.changed} changed, {done.same} as they were. Codes: {codes}"


@main.command()
@click.argument("slot_id", type=int, required=False)
@click.option("--bank", help="Instead of a slot: a bank, by its number or name, with its keys.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--report", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def export(slot_id: int | None, bank: str | None, output: Path, form: str) -> None:
    """Writes the results of a slot as CSV, or with --bank questions as .gift, .xlsx or .csv.

    Results: a line for each candidate, by registration number. Questions: with a report of what the format cannot say.
    """
    if (slot_id is None) == (bank is None):
        raise click.UsageError("Give the number of a slot, or --bank.")
    if slot_id is not None:
        click.echo(_run(_export(_settings(), slot_id, output)))
    elif bank is not None:
        if output.suffix.lower() not in (".gift", ".xlsx", ".csv"):
            raise click.UsageError("Questions are written as .gift, .xlsx or .csv.")
        _tell(_run(_export_bank(_settings(), bank, output)), form)


async def _export_bank(settings: Settings, bank: str, output: Path) -> Any:
    from exam import exports
    from exam.audit import record
    from exam.db import connect
    from exam.items import bank_called, items_of

    write = {".gift": exports.export_gift, ".xlsx": exports.export_xlsx, ".csv": exports.export_csv}
    connection = await connect(settings.url_of("author"), role="exam_author")
    try:
        async with connection.transaction():
            found = await bank_called(connection, bank)
            data, report = write[output.suffix.lower()](await items_of(connection, found["bank_id"]))
            await record(
                connection,
                "bank.exported",
                staff=None,
                district_id=found["district_id"],
                bank_id=found["bank_id"],
                items=report.items - report.refused,
            )
            # Readable by its owner alone: what is right stands in it.
            with output.open("wb") as out:
                output.chmod(0o600)  # noqa: ASYNC240
                out.write(data)
    finally:
        await connection.close()
    click.echo(f"{report.items - report.refused} questions written to {output}, with their keys.", err=True)
    return report


@main.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--language", "languages", multiple=True, default=("en", "mr", "hi"), show_default=True, help="Repeatable."
)
def template(file: Path, languages: tuple[str, ...]) -> None:
    """Writes an empty table for questions, FILE.xlsx or FILE.csv, to be filled in and imported."""
    from exam.exports import template_csv, template_xlsx

    write = {".xlsx": template_xlsx, ".csv": template_csv}.get(file.suffix.lower())
    if write is None:
        raise click.UsageError("The template is written as .xlsx or .csv.")
    if not all(_LANGUAGE.fullmatch(tag) for tag in languages):
        raise click.UsageError("--language is a tag such as en, mr or hi.")
    try:
        with file.open("xb") as out:
            out.write(write(languages))
    except FileExistsError:
        raise click.ClickException(f"{file} is there already. Choose another name.") from None
    click.echo(f"{file} is to be filled in, a row for each question; then: exam import {file.name} --dry-run")


async def _export(settings: Settings, slot_id: int, output: Path) -> str:
    from exam.audit import record
    from exam.db import connect
    from exam.errors import NothingHere
    from exam.exports import harmless
    from exam.results import find_slot_day, list_results

    connection = await connect(settings.database_url)
    written, after = 0, ""
    try:
        slot = await find_slot_day.one_or_none(connection, slot_id=slot_id)
        if slot is None:
            raise NothingHere(f"There is no slot {slot_id}.")
        with output.open("w", encoding="utf-8-sig", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["registration_no", "name", "state", "total", "maximum", "ended_by", "ended_at"])
            while True:
                rows = await list_results.many(
                    connection,
                    district_id=slot["district_id"],
                    day=slot["exam_day"],
                    slot_id=slot_id,
                    after=after,
                    most=1000,
                )
                for row in rows:
                    ended = row["ended_at"].isoformat() if row["ended_at"] else ""
                    cells = [
                        row["registration"],
                        row["name"],
                        row["state"],
                        row["total"],
                        row["maximum"],
                        row["ended_by"],
                        ended,
                    ]
                    writer.writerow(["" if cell is None else harmless(str(cell)) for cell in cells])
                if not rows:
                    break
                written, after = written + len(rows), rows[-1]["registration"]
        await record(
            connection, "results.exported", staff=None, district_id=slot["district_id"], slot_id=slot_id, rows=written
        )
    finally:
        await connection.close()
    return f"{written} candidates written to {output}."


@main.command()
def check() -> None:
    """Says in plain words what is wrong with this set-up; exit code 1 if anything is."""
    from exam.checks import check_all

    found = _run(check_all(_settings()))
    for finding in found:
        click.echo(f"{'  ok  ' if finding.well else 'WRONG '} {finding.part}: {finding.sentence}")
    wrong = sum(not finding.well for finding in found)
    click.echo("Everything is as it should be." if not wrong else f"{wrong} to put right.")
    sys.exit(1 if wrong else 0)
