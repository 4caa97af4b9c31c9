"""Every setting, with its default: from arguments, environment (``TENANTRY_...``), a ``.env`` file, secret files."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from tenantry.control.health.values import Thresholds
from tenantry.control.mover.context import MovingLimits
from tenantry.model.limits import Limits
from tenantry.router.gate import GateOptions
from tenantry.router.scatter import SearchLimits
from tenantry.router.service import ServiceOptions

CATALOG_FILE = "catalog.db"
#: Names a folder of files, such as those that Docker and Kubernetes mount for secrets.
SECRETS_VARIABLE = "TENANTRY_SECRETS_DIR"


class Settings(BaseSettings):
    """Settings of one process. Secrets are never printed: they are `SecretStr`."""

    model_config = SettingsConfigDict(env_prefix="TENANTRY_", env_file=".env", extra="ignore", frozen=True)

    data: Path = Field(default=Path("tenantry-data"), description="Data folder: the catalog and the embedded shards.")
    catalog_url: SecretStr | None = Field(
        default=None, description="Catalog database, postgresql://user:password@host/name; default: SQLite in `data`."
    )
    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis for routes and events that the gateways of a fleet share, "
        "redis://user:password@host:6379/0; default: PostgreSQL alone.",
    )
    redis_prefix: str = Field(
        default="tenantry",
        pattern=r"^[A-Za-z0-9_.:-]{1,64}$",
        description="Begins all names in Redis. Clusters that share a server are kept apart in any case.",
    )
    redis_routes_s: float = Field(default=600.0, ge=1, description="How long Redis keeps a route, seconds.")
    default_backend: str = Field(default="embedded", description="Backend of shards that name none.")
    host: str = Field(default="127.0.0.1", description="Address that the gateway binds.")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port of the gateway; 0 takes a free one.")
    public_url: str | None = Field(
        default=None, description="URL under which clients reach the gateway; default: taken from each request."
    )
    admin_key: SecretStr | None = Field(default=None, description="Admin key; without any key only loopback is bound.")
    key_pepper: SecretStr | None = Field(
        default=None,
        description="Secret of 16 characters or more under which new API keys are hashed; the same in every process; "
        "default: a random one in the catalog. Keys that were made under it need it from then on.",
    )
    log_level: str = Field(default="info", description="debug, info, warning or error.")
    request_timeout_s: float = Field(default=30.0, gt=0, description="Longest time of one call to a shard, seconds.")
    search_deadline_s: float = Field(default=3.0, gt=0, description="Longest time of a cross-tenant search, seconds.")
    search_per_shard: int = Field(
        default=SearchLimits().per_shard, ge=1, description="Requests to one shard at once, of cross-tenant searches."
    )
    search_hedge_share: float = Field(
        default=SearchLimits().hedge_share,
        ge=0,
        le=1,
        description="Second requests to slow shards for each first one, at most, in cross-tenant searches; 0 for none.",
    )
    search_rollup_lag_s: float = Field(
        default=SearchLimits().rollup_lag_s,
        ge=0,
        description="How far behind the roll-up of an index may be for a cross-tenant search to use it, seconds; "
        "0 for never.",
    )
    search_cache_s: float = Field(
        default=SearchLimits().cache_s,
        ge=0,
        description="How long the answer of a cross-tenant search may be given again, seconds; 0 for never.",
    )
    search_cache_mb: int = Field(
        default=SearchLimits().cache_bytes // 2**20, ge=1, description="Memory for such answers, MiB."
    )
    max_concurrent_requests: int = Field(default=512, ge=1, description="Requests served at once; more get 503.")
    shutdown_grace_s: float = Field(default=15.0, ge=0, description="Time for requests in flight at shutdown, seconds.")
    route_cache_size: int = Field(default=1_000_000, ge=1, description="Routes kept in the process.")
    embedded_memory_mb: int = Field(
        default=4_096, ge=16, description="Memory for open namespaces of the embedded engine, MiB; soft bound."
    )
    embedded_open_files: int = Field(default=128, ge=1, description="SQLite files that the engine keeps open at once.")
    openai_api_key: SecretStr | None = Field(default=None, description="Key for openai: embedders.")
    openai_base_url: str | None = Field(default=None, description="An OpenAI-compatible server; default: OpenAI.")
    prices: Path | None = Field(
        default=None, description="Your prices, a TOML or JSON file that is laid over Tenantry's own price book."
    )
    max_batch_records: int = Field(default=Limits().batch_records, ge=1, description="Records in one upsert.")
    max_batch_bytes: int = Field(default=Limits().batch_bytes, ge=1, description="Bytes of one upsert body.")
    max_body_bytes: int = Field(default=Limits().body_bytes, ge=1, description="Bytes of any request body.")
    max_metadata_bytes: int = Field(default=Limits().metadata_bytes, ge=1, description="Bytes of a record's metadata.")
    max_top_k: int = Field(default=Limits().top_k, ge=1, description="Largest top_k.")

    plans_s: float = Field(
        default=5.0, ge=0, description="Age at which a process reads the plans anew, seconds; 0: no limits by plan."
    )
    shard_concurrency: int = Field(
        default=16,
        ge=0,
        description="Reads, and writes, of a process on one shard at once (at most 4 reads on embedded shards, on "
        "pgvector as many as connections); more wait in turn; 0: any number.",
    )
    queue_target_ms: float = Field(
        default=100.0, gt=0, description="How long operations may wait for a busy shard, milliseconds."
    )
    searches_per_minute: int = Field(
        default=10, ge=0, description="Cross-tenant searches a minute with one key; 0: any number."
    )
    usage_flush_s: float = Field(
        default=10.0, ge=0, description="Pause between savings of what tenants used, seconds; 0: not counted."
    )
    lease_s: float = Field(
        default=5.0, gt=0, description="Length of a process's leases in a fleet over PostgreSQL, seconds."
    )
    routing_check_s: float = Field(
        default=300.0, ge=0, description="Pause between a gateway's checks of the routing, seconds; 0 for none."
    )
    moves_at_once: int = Field(default=4, ge=1, description="Moves that copy at once in one process.")
    moves_per_shard: int = Field(default=2, ge=1, description="Of these, with the same shard on either side.")
    move_call_timeout_s: float = Field(default=10.0, gt=0, description="Longest time of one call of a move, seconds.")
    move_log_mb: int = Field(
        default=256, ge=1, description="Most MiB of writes that a move keeps; then it is given up."
    )

    dashboard: bool = Field(default=True, description="Whether the gateway shows the web dashboard at /.")
    health_check_s: float = Field(
        default=60.0, ge=0, description="Pause between a gateway's checks of the health, seconds; 0 for none."
    )
    health_window_s: float = Field(
        default=300.0, ge=5, description="Window over which latencies and rates are taken, seconds."
    )
    health_webhook_url: SecretStr | None = Field(
        default=None, description="URL that gets a POST when warnings come to stand or go; default: nobody is told."
    )
    health_uneven: float = Field(
        default=Thresholds().uneven,
        ge=0,
        description="Warn of a shard with that many times the average of tenants, vectors or P95; 0: never, as below.",
    )
    health_p95_page_ms: float = Field(
        default=Thresholds().p95_page_ms,
        ge=0,
        description="P95 of queries on a shard that pages somebody, milliseconds.",
    )
    health_p95_high_ms: float = Field(
        default=Thresholds().p95_high_ms, ge=0, description="P95 of queries on a shard that is critical, milliseconds."
    )
    health_p95_least_ms: float = Field(
        default=Thresholds().p95_least_ms, ge=0, description="P95 below which no shard is called uneven, milliseconds."
    )
    health_near_capacity: float = Field(
        default=Thresholds().near_capacity,
        ge=0,
        le=1,
        description="Used share of a shard's namespaces (`max_tenants`) to warn of.",
    )
    health_many_tenants: int = Field(
        default=Thresholds().many_tenants, ge=0, description="Tenants of a shard to warn of."
    )
    health_full: float = Field(
        default=Thresholds().full,
        ge=0,
        le=1,
        description="Used share of a shard, of namespaces or vectors, that is critical.",
    )
    health_many_vectors: int = Field(
        default=Thresholds().many_vectors, ge=0, description="Vectors of a shard to warn of."
    )
    health_wasteful: float = Field(
        default=Thresholds().wasteful,
        ge=0,
        le=1,
        description="Used share of a shard under which it is a waste, where the others would do.",
    )
    health_wasteful_grace_s: float = Field(
        default=Thresholds().wasteful_grace_s,
        ge=0,
        description="So long after it was registered no shard is called a waste, seconds: it is still to be filled.",
    )
    health_uneven_sizes: float = Field(
        default=Thresholds().uneven_sizes,
        ge=0,
        le=1,
        description="Share of all vectors in the largest tenth of the tenants to warn of.",
    )
    health_cross_tenant: float = Field(
        default=Thresholds().cross_tenant,
        ge=0,
        le=1,
        description="Share of cross-tenant searches among all queries to warn of.",
    )
    health_partial_searches: float = Field(
        default=Thresholds().partial_searches,
        ge=0,
        le=1,
        description="Share of cross-tenant searches that lacked a shard to warn of.",
    )
    health_errors: float = Field(
        default=Thresholds().errors, ge=0, le=1, description="Share of failed operations on a shard that is critical."
    )
    health_shard_tenants: int = Field(
        default=Thresholds().shard_tenants, ge=1, description="What a shard without `max_tenants` is taken to hold."
    )
    health_shard_vectors: int = Field(
        default=Thresholds().shard_vectors, ge=1, description="What a shard without `max_vectors` is taken to hold."
    )
    health_least_tenants: int = Field(
        default=Thresholds().least_tenants,
        ge=1,
        description="With fewer tenants a shard, or sizes of tenants, are not called uneven.",
    )
    health_least_vectors: int = Field(
        default=Thresholds().least_vectors, ge=1, description="With fewer vectors likewise."
    )
    health_least_operations: int = Field(
        default=Thresholds().least_operations,
        ge=1,
        description="With fewer operations in the window nothing is said of latencies, failures or searches.",
    )
    health_band: float = Field(
        default=Thresholds().band,
        ge=0,
        lt=1,
        description="How far a value must go back, as share of its threshold, before a warning goes.",
    )
    health_raise_after: int = Field(
        default=Thresholds().raise_after,
        ge=1,
        description="Checks in a row that must find a warning before somebody is told.",
    )
    health_clear_after: int = Field(
        default=Thresholds().clear_after, ge=1, description="Checks in a row that must not find it before it goes."
    )
    metrics_top_tenants: int = Field(
        default=20,
        ge=0,
        le=1_000,
        description="Tenants with metrics of their own, and in reports of health: the busiest; 0 for none.",
    )
    tracing: bool = Field(
        default=False,
        description="Whether OpenTelemetry spans are sent; its own OTEL_... variables say where to, and which.",
    )
    autopilot_check_s: float = Field(
        default=60.0,
        ge=0,
        description="Pause between a gateway's looks for work of the auto-pilot, seconds; 0 for none.",
    )
    backup_url: str | None = Field(
        default=None, description="Where backups are kept: a folder, or s3://bucket/prefix; S3 takes AWS_... variables."
    )
    backup_key: SecretStr | None = Field(
        default=None, description="Key that encrypts backups; `tenantry backup key` makes one. Keep it elsewhere too."
    )
    deleted_retention_s: float = Field(
        default=604_800.0,
        ge=0,
        description="How long the data of a deleted tenant are kept, seconds; 0 for not at all.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, ``.env``; then a folder of files, one for each secret (``tenantry_catalog_url``)."""
        folder = os.environ.get(SECRETS_VARIABLE) or None
        return init_settings, env_settings, dotenv_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    def thresholds(self) -> Thresholds:
        """The thresholds of warnings among the settings."""
        return Thresholds(**{name: getattr(self, f"health_{name}") for name in Thresholds.__struct_fields__})

    def service(self) -> ServiceOptions:
        """What holds tenants to their plans and shares."""
        return ServiceOptions(
            plans_s=self.plans_s,
            gate=GateOptions(width=self.shard_concurrency, target_s=self.queue_target_ms / 1_000),
            usage_s=self.usage_flush_s,
            searches_per_minute=self.searches_per_minute,
        )

    def moving(self) -> MovingLimits:
        """The bounds of moves among the settings."""
        return MovingLimits(
            at_once=self.moves_at_once,
            per_shard=self.moves_per_shard,
            call_s=self.move_call_timeout_s,
            request_s=self.request_timeout_s,
            log_bytes=self.move_log_mb * 2**20,
        )

    def searching(self) -> SearchLimits:
        """The bounds of cross-tenant searches among the settings."""
        return SearchLimits(
            deadline_s=self.search_deadline_s,
            per_shard=self.search_per_shard,
            hedge_share=self.search_hedge_share,
            cache_s=self.search_cache_s,
            cache_bytes=self.search_cache_mb * 2**20,
            rollup_lag_s=self.search_rollup_lag_s,
        )

    def limits(self) -> Limits:
        """The request limits among the settings."""
        return Limits(
            metadata_bytes=self.max_metadata_bytes,
            top_k=self.max_top_k,
            batch_records=self.max_batch_records,
            batch_bytes=self.max_batch_bytes,
            body_bytes=self.max_body_bytes,
        )

    def catalog(self) -> str:
        """The catalog's URL."""
        if self.catalog_url is not None:
            return self.catalog_url.get_secret_value()
        return f"sqlite:///{(self.data / CATALOG_FILE).resolve()}"
