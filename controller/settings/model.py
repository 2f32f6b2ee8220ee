"""Every setting: its type, default, unit and consequence. docs/settings.md is this in a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from controller.settings.layers import load
from controller.settings.scalars import (
    Address,
    ApiUrl,
    DatabaseUrl,
    FilePath,
    HeaderName,
    Headers,
    Length,
    ModelPattern,
    Network,
    PublicUrl,
    Share,
    Size,
    WebUrl,
    is_loopback,
    split_address,
)

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

# salary-predictor-v5, fraud:3, fraud/v2.1, fraud@2025.01: the last separator that a version follows counts.
_MODEL_PATTERN = re.compile(r"(?P<model>.+)(?:-(?=v[0-9])|[:/@])(?P<version>v?[0-9][0-9A-Za-z_.+-]*)")


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        protected_namespaces=(),
    )


class Sender(_Strict):
    """What is known of one sender of events, told apart by its CloudEvents `source`."""

    period: Length | None = Field(
        None, description="how often this detector looks; a condition not renewed for twice as long is unknown"
    )
    namespace: str | None = Field(
        None, min_length=1, max_length=63, description="namespace of its events that name none"
    )
    stateful: bool = Field(
        False,
        strict=True,
        description="it repeats what still holds: a duplicate renews its condition instead of meaning nothing",
    )
    expires: Length | None = Field(
        None,
        description="a condition not renewed for so long is unknown; not set: 5h if stateful, else twice `period`, "
        "else 1d",
    )

    @property
    def lasts(self) -> timedelta:
        """How long a condition holds without being renewed."""
        if self.expires is not None:
            return self.expires
        if self.stateful:
            return timedelta(hours=5)
        return timedelta(days=1) if self.period is None else 2 * self.period


class Fleet(_Strict):
    """How much may be mended at the same time, over all namespaces; the smaller limit holds."""

    active: int = Field(5, strict=True, ge=1, le=1_000_000, description="most remediations active at the same time")
    share: Share = Field(
        0.1, description="most remediations active, as a share of the models with a document; at least one"
    )

    def limit(self, models: int) -> int:
        """Most remediations that may be active where `models` have a document."""
        # Rounded first: 0.29 * 100 is 28.999999999999996
        return min(self.active, max(1, int(round(self.share * models, 6))))


class Retention(_Strict):
    """How long history is kept. What is not over is never purged."""

    events: Length = Field(timedelta(days=90), description="events received are kept for so long")
    decisions: Length = Field(
        timedelta(days=400), description="decisions, remediations, their audit trail and evidence are kept for so long"
    )


class Receiver(_Strict):
    """Somebody who is told: by pages, and by the events of every remediation if it takes CloudEvents."""

    url: WebUrl = Field(description="where to POST", repr=False)  # a Slack webhook's path is a secret
    kind: Literal["webhook", "cloudevents"] = Field(
        "webhook", description="`webhook`: a JSON body per page; `cloudevents`: events `modelmend.remediation.*` too"
    )
    headers: Headers = Field(default_factory=dict, description="headers added to each request", repr=False)
    token_file: FilePath | None = Field(
        None, description="file with a bearer token; read for each request, so it may be rotated"
    )
    hmac_secret_file: FilePath | None = Field(
        None, description="file with the secret that signs each body (HMAC-SHA256)"
    )
    timeout: Length = Field(timedelta(seconds=10), description="a request that takes longer has failed and is retried")


class Prometheus(_Strict):
    """Whom verifications by `query` ask: Prometheus, or what speaks its HTTP API (Mimir, Thanos, VictoriaMetrics)."""

    url: ApiUrl | None = Field(
        None,
        repr=False,
        description="whom verifications by `query` ask: where the API of Prometheus begins, without `/api/v1` (that of "
        "Mimir ends in `/prometheus`); without it a policy with a `query` is refused",
    )
    headers: Headers = Field(
        default_factory=dict, description="headers added to each request, as `X-Scope-OrgID` of Mimir", repr=False
    )
    token_file: FilePath | None = Field(
        None, description="file with a bearer token; read for each request, so it may be rotated"
    )
    ca_file: FilePath | None = Field(
        None, description="file with the certificates (PEM) that are trusted instead of the system's; read likewise"
    )
    timeout: Length = Field(timedelta(seconds=10), description="a query that takes longer is a missing sample")


class ProxyAuth(_Strict):
    """A proxy before us that signs people in, and says in headers who they are. It serves the pages only."""

    trusted: tuple[Network, ...] = Field(
        min_length=1, description="networks that the proxy speaks from; headers from elsewhere are not believed"
    )
    user_header: HeaderName | None = Field(
        None, description="header with the person's name; not set: the proxy signs nobody in, people use tokens"
    )
    groups_header: HeaderName | None = Field(None, description="header with the person's groups, parted by commas")
    operators: tuple[str, ...] = Field(
        (), description="groups whose people may decide, `*`: everybody that the proxy lets in; others may look"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for field, needs in (("groups_header", "user_header"), ("operators", "user_header")):
            if getattr(self, field) and getattr(self, needs) is None:
                raise PydanticCustomError("together", f"want {to_camel(needs)} beside it", {"field": to_camel(field)})
        if any(group != "*" for group in self.operators) and self.groups_header is None:
            raise PydanticCustomError("together", "want groupsHeader beside it, or `*`", {"field": "operators"})
        return self


class Settings(_Strict):
    """Everything that `modelmend` is told when it starts."""

    listen: Address = Field(
        "127.0.0.1:8080",
        description="host:port to serve on, port 0 takes a free one; without `tokens` only a loopback address is "
        "accepted, unless `insecure`",
    )
    data: FilePath = Field(
        Path(".modelmend"), description="folder of the SQLite file and its lock; made when it is missing"
    )
    database: DatabaseUrl | None = Field(
        None, repr=False, description="database URL instead of the SQLite file: `postgresql://…` or `sqlite:///…`"
    )
    policies: tuple[FilePath, ...] = Field(
        (), description="files, or folders of `*.yaml`, with policies and models; reloaded while running"
    )
    kubernetes: bool = Field(
        False,
        strict=True,
        description="watch a cluster for policies and models beside `policies`, and act on it: steps of the kinds "
        "`workflow`, `job` and `rollout`",
    )
    kubeconfig: FilePath | None = Field(
        None,
        description="how the cluster is reached; not set: the file of `KUBECONFIG`, else the pod that it runs in, else "
        "`~/.kube/config`",
    )
    context: str | None = Field(
        None, min_length=1, description="context of the kubeconfig; not set: the one that it names as current"
    )
    tokens: FilePath | None = Field(
        None,
        description="file with the digests of bearer tokens and their roles, as `modelmend token` writes it; every "
        "request then needs one",
    )
    insecure: bool = Field(
        False,
        strict=True,
        description="serve other machines without any authentication: whoever reaches it operates it",
    )
    public_url: PublicUrl | None = Field(
        None, description="where people reach the pages, for links in messages: `https://mend.example.com`"
    )
    proxy_auth: ProxyAuth | None = Field(
        None,
        description="a proxy that signs people in to the pages, beside `tokens`: `trusted` (networks that it speaks "
        "from), `userHeader`, `groupsHeader`, `operators` (groups that may decide; `*`: everybody)",
    )
    senders: dict[str, Sender] = Field(
        default_factory=dict, description="what is known of senders of events, by their CloudEvents `source`"
    )
    event_types: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="further event types: name → `schema` (JSON Schema of data), and `family`, `over`, `about` where "
        "they open conditions",
    )
    model_pattern: ModelPattern = Field(
        _MODEL_PATTERN,
        description="splits `modelVersion` into the groups `model` and `version` where an event names no model; "
        "must match the whole text",
    )
    receivers: dict[str, Receiver] = Field(
        default_factory=dict, description="who is told; the action `page` uses `default` unless it names another"
    )
    prometheus: Prometheus = Field(default_factory=Prometheus, description="whom verifications by `query` ask")
    fleet: Fleet = Field(default_factory=Fleet, description="how much may be mended at the same time")
    retention: Retention = Field(
        default_factory=Retention, description="how long history is kept; must exceed every window of the policies"
    )
    backlog: int = Field(
        100_000,
        strict=True,
        ge=1,
        description="most events that wait for their decision; beyond it senders get 429 and come again",
    )
    max_body: Size = Field(1024**2, ge=1024, le=1024**3, description="largest body of a request; beyond it 413")
    max_batch: Size = Field(
        8 * 1024**2, ge=1024, le=1024**3, description="largest body of a batch of events; beyond it 413"
    )
    workers: int = Field(8, strict=True, ge=1, le=256, description="threads that run actions and verifications")
    reload_every: Length = Field(timedelta(seconds=2), description="how often `policies` are looked at for changes")
    log_level: LogLevel = Field("info", description="least severity of log lines")
    log_format: LogFormat = Field("text", description="`text` for people, `json` for machines: one line an entry")

    server: WebUrl = Field(
        "http://127.0.0.1:8080",
        description="the server that the operating commands speak to; they read it from `--server` or the environment "
        "only",
    )
    token: str | None = Field(
        None,
        min_length=1,
        repr=False,
        description="bearer token of the operating commands; they read it from `--token-file` or the environment only",
    )

    @classmethod
    def load(cls, config_path: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Settings out of the file, `MODELMEND_*` of `environ` and `flags`, the later winning.

        `flags` are named as the fields, None means not given. Without `config_path` the variable
        MODELMEND_CONFIG names the file; without either there is none. Paths in the file are
        relative to its folder. Raises ConfigError with every problem.
        """
        settings = load(cls, config_path, flags, environ)
        if flags.get("data") is not None and flags.get("database") is None:
            return settings.model_copy(update={"database": None})  # the flag wins over a database named elsewhere
        return settings

    @property
    def host(self) -> str:
        """The host of `listen`."""
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        """The port of `listen`; 0: any free one."""
        return split_address(self.listen)[1]

    @property
    def database_url(self) -> str:
        """The database's URL: `database`, or the SQLite file in `data`."""
        return self.database or f"sqlite:///{(self.data / 'modelmend.db').absolute()}"

    @model_validator(mode="after")
    def _authenticated(self) -> Self:
        if self.tokens is None and not self.insecure and not is_loopback(self.host):
            raise PydanticCustomError(
                "together",
                "want a loopback address such as 127.0.0.1:8080, or `tokens`, or `insecure: true`",
                {"field": "listen"},
            )
        return self

    @model_validator(mode="after")
    def _api_is_closed(self) -> Self:
        """Without tokens whoever reaches the API operates it, and the proxy's people do reach it."""
        if self.proxy_auth is not None and self.tokens is None:
            raise PydanticCustomError("together", "want `tokens` beside it", {"field": "proxyAuth"})
        return self

    @model_validator(mode="after")
    def _cluster_is_used(self) -> Self:
        for field in ("kubeconfig", "context"):
            if getattr(self, field) is not None and not self.kubernetes:
                raise PydanticCustomError("together", "want `kubernetes: true` beside it", {"field": field})
        return self

    @model_validator(mode="after")
    def _batch_holds_a_body(self) -> Self:
        if self.max_batch < self.max_body:
            raise PydanticCustomError("together", "want at least as much as maxBody", {"field": "maxBatch"})
        return self
