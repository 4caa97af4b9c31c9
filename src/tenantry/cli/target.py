"""What a command talks to: a gateway by its URL, or a data folder opened in this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tenantry.cli.failures import from_settings, usage

if TYPE_CHECKING:
    from tenantry.settings import Settings

LOOPBACK = "http://in-process"


class ClientSettings(BaseSettings):
    """What the command line itself reads from the environment and ``.env``."""

    model_config = SettingsConfigDict(env_prefix="TENANTRY_", env_file=".env", extra="ignore", frozen=True)

    url: str | None = None
    admin_key: SecretStr | None = None


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    url: str
    key: str | None

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Folder:
    """A data folder, with the settings to open it by."""

    settings: Settings

    def __str__(self) -> str:
        return f"data folder {self.settings.data}"


def choose_target(data: Path | None, url: str | None, key: str | None) -> Gateway | Folder:
    """Options before environment; of two variables in the environment, TENANTRY_URL.

    Raises Failure when both options are given, or a setting does not hold.
    """
    if data is not None and url is not None:
        raise usage("--data and --url cannot be given together", "--data opens a folder, --url asks a running gateway")
    if data is None:
        mine = ClientSettings()
        address = url if url is not None else mine.url
        if address:
            stored = mine.admin_key.get_secret_value() if mine.admin_key else None
            return Gateway(_normal_url(address), key or stored)
    return Folder(load_settings(data=data))


def load_settings(**given: object) -> Settings:
    """The settings, with the options that were given (not None) on top. Raises Failure."""
    from tenantry.settings import Settings

    chosen = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**chosen)  # type: ignore[arg-type]
    except ValidationError as error:
        raise from_settings(error, {name: "--" + name.replace("_", "-") for name in chosen}) from None


def _normal_url(given: str) -> str:
    from urllib.parse import urlsplit

    address = given.strip()
    if "://" not in address:
        address = "http://" + address
    try:
        parts = urlsplit(address)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment:
        raise usage(f"--url {given!r} is not the address of a gateway", "it looks like http://127.0.0.1:8080")
    return address.rstrip("/")


def debugging(flag: bool) -> bool:
    """Whether tracebacks are wanted."""
    return flag or os.environ.get("TENANTRY_DEBUG", "").lower() in ("1", "true", "yes", "on")
