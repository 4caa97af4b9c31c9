"""The secret with which a cluster signs the places that it gives to clients."""

from __future__ import annotations

from collections.abc import Callable

from tenantry.ports import SettingCatalog

SETTING = "cursors.secret"
SECRET_BYTES = 32


class ClusterSecret:
    """The same for all processes of a cluster; made when it is first wanted, and read once.

    Args:
        token: that many random bytes as hexadecimal.
    """

    def __init__(self, settings: SettingCatalog, token: Callable[[int], str]) -> None:
        self._settings = settings
        self._token = token
        self._secret = b""

    async def get(self) -> bytes:
        """Raises what the catalog raises."""
        if not self._secret:
            made = await self._settings.put_if_absent(SETTING, self._token(SECRET_BYTES))
            self._secret = bytes.fromhex(made)
        return self._secret
