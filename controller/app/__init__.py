"""The composition root: settings become the running parts, in one process.

Start: database, leadership, policies, engine, outbox, then the door. Stop is the other way
round: the door closes and requests in flight are answered, what was taken in is on disk,
the engine ends its round, and the stop is noted as a clean one. What only reads and shows
is called off first and waited for last, shortly: an API server may leave it without an answer.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

import uvicorn
from a2wsgi import WSGIMiddleware

from controller import __version__, logs
from controller.app.chores import Chores
from controller.app.cluster import ClusterDocuments
from controller.app.documents import Reloader
from controller.app.statuses import Statuses
from controller.engine.loop import Engine
from controller.engine.rules import Rules
from controller.errors import ConfigError, TemporaryError
from controller.events.types import EventTypes
from controller.kube import Kube
from controller.metrics import Metrics
from controller.outbox import Outbox
from controller.policy import Installation, PolicySet
from controller.policy.outlook import frozen_now
from controller.prometheus import Prometheus
from controller.receiver import BoundedHttp, Limits, Receiver
from controller.settings import Sender, Settings
from controller.store import acts, policy_sets
from controller.store.database import Database, system_clock
from controller.store.intake import Intake
from controller.store.leader import Leadership
from controller.store.signing_keys import signing_key
from controller.tokens import Tokens
from controller.web import PageSettings, Parts, create_app

ACT_SECONDS = 10.0
"""How long a person's act may wait for the engine before the answer is 503."""
SILENT_SECONDS = 25.0
"""A store that neither answers nor fails for so long is away: frozen, or behind a dead network."""
WEB_THREADS = 8
DRAIN_SECONDS = 10
LINGER_SECONDS = 1.0
"""How long a stop waits in the end for threads that only read and show."""
SWITCH_SECONDS = 0.001
"""How long a busy thread keeps the interpreter from one that waits for it.

The writer gives it up for each fsync and gets it back only when the event loop lets go; with
Python's 5 ms that wait was most of a commit (16 connections: 3,500 requests/s, with 1 ms 5,100).
"""
_UNSAID = Sender()

log = logging.getLogger(__name__)


class App:
    """modelmend, running: `start`, `address`, `stop`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._started_at = system_clock()
        self.metrics = Metrics(version=__version__, sources=settings.senders, receivers=settings.receivers)
        self._types = EventTypes(settings.event_types)
        self._tokens = Tokens(settings.tokens) if settings.tokens else None
        self.kube: Kube | None = None
        if settings.kubernetes:
            self.kube = Kube.connect(settings.kubeconfig, settings.context, counted=self.metrics.kube_request)
        self.db = Database(settings.database_url)
        self.leadership = Leadership.take(self.db)
        self.intake = Intake(self.db, stateful=self._stateful, on_new=self._on_new, on_commit=self._on_commit)
        kinds = {name: receiver.kind for name, receiver in settings.receivers.items()}
        self.outbox = Outbox(self.db, settings.receivers, metrics=self.metrics)
        self.engine = Engine(
            self.leadership,
            Rules(PolicySet(), settings.fleet, settings.senders, kinds, settings.public_url),
            metrics=self.metrics,
            workers=settings.workers,
            kube=self.kube,
            prometheus=Prometheus(settings.prometheus) if settings.prometheus.url else None,
            on_decided=self.intake.decided,
            on_saved=self.outbox.wake,
            crowded=self.intake.crowded,
        )
        self._chores = Chores(self.leadership, settings, self.metrics)
        self._socket: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._cluster: ClusterDocuments | None = None
        self._statuses: Statuses | None = None
        self._engine_waits = False

    def _stateful(self, source: str) -> bool:
        return self.settings.senders.get(source, _UNSAID).stateful

    def _on_new(self) -> None:
        self.engine.wake()

    def _on_commit(self, seconds: float, events: int) -> None:
        self.metrics.intake_commit_seconds.observe(seconds)
        self.metrics.intake_commit_events.observe(events)

    def start(self) -> None:
        """Open the door; returns when requests are answered.

        :raises ConfigError: bad documents where none was ever in force, or an address that is taken.
        """
        with self.db.read() as conn:
            current = policy_sets.current(conn)
            before = policy_sets.documents(conn, current) if current else []
        settings = self.settings
        installation = Installation.of(
            self._types,
            settings.receivers,
            commands=self.db.sqlite,
            cluster=self.kube is not None,
            prometheus=settings.prometheus.url is not None,
            events_kept=settings.retention.events,
            decisions_kept=settings.retention.decisions,
        )
        self._reloader = Reloader(
            settings.policies,
            installation,
            settings.reload_every.total_seconds(),
            self._adopt,
            self.metrics,
            before,
        )
        if self.kube is not None:
            self._watch(self.kube)
        self._reloader.first(insist=current is None)
        self._socket = _bound(settings.host, settings.port)
        self.intake.start()
        self.metrics.backlog.set_function(self.intake.backlog)
        self.metrics.leader.set(1)
        self._engine_waits = bool(self._reloader.waiting)
        if not self._engine_waits:
            self.engine.start()
        self.outbox.start()
        self._chores.start()
        self._reloader.start()
        if self._statuses is not None:
            self._statuses.start()
        self._serve(self._socket)

    def _watch(self, kube: Kube) -> None:
        """Follow the cluster's documents."""
        self._cluster = ClusterDocuments(kube, self._reloader.changed)
        self._reloader.watch(self._cluster)
        self._statuses = Statuses(
            kube,
            self._cluster,
            self.db,
            latest=lambda: self._reloader.latest,
            in_force=lambda: self.engine.rules.policies if self.engine.alive else None,
        )
        self._cluster.start()

    def _adopt(self, policies: PolicySet, refused: tuple[str, ...]) -> None:
        self.engine.adopt(policies, refused)
        if self._engine_waits and not self._stopping.is_set():  # nothing was known to decide by until now
            self._engine_waits = False
            self.engine.start()

    def _serve(self, sock: socket.socket) -> None:
        config = uvicorn.Config(
            self._asgi(),
            http=BoundedHttp,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # by its peer we know whom to believe (web/pages/front.py): no header may rewrite it
            lifespan="off",
            backlog=2048,
            timeout_graceful_shutdown=DRAIN_SECONDS,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [sock]}, name="receiver", daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.005)  # a thread that ends here has said why
        log.info("modelmend %s listens on %s, store %s", __version__, self.address, self.db.name)

    def _asgi(self) -> Receiver:
        settings = self.settings
        flask = create_app(
            Parts(
                db=self.db,
                submit_act=self.submit_act,
                metrics=self.metrics,
                clock=system_clock,
                status=self._status,
                tokens=self._tokens,
                insecure=settings.insecure,
                pages=PageSettings(settings.public_url, settings.proxy_auth, signing_key(self.db, "pages")),
            )
        )
        return Receiver(
            intake=self.intake,
            types=self._types,
            senders=settings.senders,
            model_pattern=settings.model_pattern,
            tokens=self._tokens,
            metrics=self.metrics,
            now=system_clock,
            ready=self.not_ready,
            limits=Limits(max_body=settings.max_body, max_batch=settings.max_batch, backlog=settings.backlog),
            mounted=WSGIMiddleware(flask, workers=WEB_THREADS),  # type: ignore[arg-type]
        )

    @property
    def address(self) -> str:
        """The URL to post to."""
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def not_ready(self) -> str:
        """Why it cannot do its work now; '' where it can."""
        if self._engine_waits:
            return self._reloader.waiting or "the first documents come into force"
        if self.engine.failure is not None:
            return str(self.engine.failure)
        if not self.engine.alive:
            return "the engine is not running"
        if not self.engine.trouble and self._chores.silence > SILENT_SECONDS:
            return f"the store has not answered for {self._chores.silence:.0f} s"
        return self.engine.trouble

    def submit_act(self, kind: str, scope: str, ref: str, body: dict[str, Any], who: str, why: str) -> dict[str, Any]:
        """Store a person's act and wait until the engine has used it.

        :raises TemporaryError: it is stored, but was not used in time.
        """
        act_id = acts.add_act(self.db, kind, scope, ref, body, who, why)
        self.engine.wake()
        deadline = time.monotonic() + ACT_SECONDS
        pause = 0.002
        while time.monotonic() < deadline:
            outcome = acts.outcome(self.db, act_id)
            if outcome is not None:
                return outcome
            self._stopping.wait(pause)
            pause = min(2 * pause, 0.1)
        raise TemporaryError(f"act {act_id} is stored and will be carried out; it was not within {ACT_SECONDS:.0f} s")

    def _status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "startedAt": self._started_at.isoformat().replace("+00:00", "Z"),
            "ready": not self.not_ready(),
            "freezesInForce": frozen_now(self.engine.rules.policies, system_clock()),
        }

    def stop(self, grace: float = 10.0) -> None:
        """Answer what is in flight, end actions within `grace` seconds, note a clean stop."""
        self._stopping.set()
        beside = [part for part in (self._reloader, self._statuses, self._cluster) if part is not None]
        for part in beside:
            part.call_off()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join()
        self.intake.stop()
        self._chores.stop()
        self.engine.stop(grace)
        self.outbox.stop()
        self.leadership.stop()
        deadline = time.monotonic() + LINGER_SECONDS
        for part in beside:
            part.stop(max(deadline - time.monotonic(), 0.0))
        self.db.close()
        if self.kube is not None:
            self.kube.close()
        log.info("modelmend has stopped")


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host.strip("[]"), port))
    except OSError as error:
        sock.close()
        raise ConfigError((f"listen: cannot listen on {host}:{port}: {error.strerror}",)) from error
    return sock


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code.

    :raises ConfigError: from the settings, documents, database or address.
    """
    logs.configure(settings.log_level, settings.log_format)
    sys.setswitchinterval(SWITCH_SECONDS)
    told = threading.Event()

    def tell(_signal: int, _frame: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, tell)
    app = App(settings)
    try:
        app.start()
    except BaseException:
        if app.leadership.unclean:  # what that crash left is not looked after yet: the next start shall
            app.leadership.abandon()
        else:
            app.leadership.stop()
        app.db.close()
        raise
    while not told.wait(1.0):
        pass
    app.stop()
    return 0
