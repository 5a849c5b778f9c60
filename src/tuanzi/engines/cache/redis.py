"""The shared cache in a Redis Cluster (A2, L2)."""

from __future__ import annotations

from tuanzi.engines.redis.cluster import Cluster
from tuanzi.engines.redis.connection import reply_of
from tuanzi.machinery.sharedcache import Claim, Shared

CLAIM_MS = 100
# A value is kept with its version before it, so wide; without a body it says that older ones are not to be kept.
_WIDTH = 16

# The value, or 1 for the first who asks within CLAIM_MS and 0 for others.
_FIND = """
local known = redis.call('GET', KEYS[1])
if known and #known > 16 then return known end
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
"""
# ARGV: the version, the body, how long it is kept in ms. Of two equal versions the one with a body stays.
_PUT = """
local known = redis.call('GETRANGE', KEYS[1], 0, 15)
if known ~= '' and tonumber(known) > tonumber(ARGV[1]) then return 0 end
if ARGV[2] == '' and known ~= '' and tonumber(known) == tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1
"""


class RedisCache:
    """Keeps values in a cluster that something else runs; see SharedCache for the promises.

    A key's value and its claim are in one slot. What is put goes out on the connection on which the next find of this
    process goes out too, so that it is found.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.finds = 0
        self.hits = 0
        self.lost = 0

    async def find(self, key: str) -> Shared | Claim:
        """The value, or who is to load it; MINE when Redis does not answer in time."""
        self.finds += 1
        key = f"{{{key}}}"
        reply = await reply_of(self._cluster.ask(key, "EVAL", _FIND, 2, key, f"{key}!", CLAIM_MS))
        if isinstance(reply, bytes) and reply[:_WIDTH].isdigit():
            self.hits += 1
            return Shared(int(reply[:_WIDTH]), reply[_WIDTH:])
        if reply == 0:
            return Claim.OTHERS
        self.lost += reply != 1
        return Claim.MINE

    def put(self, key: str, value: Shared, *, keep_s: float) -> None:
        """Keep a value, unless a newer one is known."""
        self._keep(key, value.version, value.body, keep_s=keep_s)

    def forget(self, key: str, *, version: int, keep_s: float) -> None:
        """Values below this version are of no use any more."""
        self._keep(key, version, b"", keep_s=keep_s)

    def _keep(self, key: str, version: int, body: bytes, *, keep_s: float) -> None:
        key = f"{{{key}}}"
        self._cluster.ask(key, "EVAL", _PUT, 1, key, f"{version:0{_WIDTH}d}", body, int(keep_s * 1000))
