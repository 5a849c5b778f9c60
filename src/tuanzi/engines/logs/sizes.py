"""How large a record each topic takes: those made by an early release took 1 MB, and an import may be longer."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tuanzi.engines.logs.sender import RECORD_BYTES_MAX

log = logging.getLogger("tuanzi.logs")

_LIMIT = "max.message.bytes"
# A hundred campuses have 500 topics; brokers answer for so many at once within a second.
_AT_ONCE = 200


def limits_of(options: Mapping[str, Any], topics: Sequence[str], *, within_s: float) -> dict[str, int | None]:
    """The largest record of each topic, in bytes; None where this account may not ask, or nobody answers. Blocks.

    options: of a client, as `KafkaSettings.client_options`.
    """
    admin = AdminClient({**options, "log_level": 0})
    limits: dict[str, int | None] = {}
    for i in range(0, len(topics), _AT_ONCE):
        asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics[i : i + _AT_ONCE]]
        for resource, answer in admin.describe_configs(asked, request_timeout=within_s).items():
            try:
                limits[resource.name] = int(answer.result()[_LIMIT].value)
            except (KafkaException, KeyError, TypeError, ValueError):
                limits[resource.name] = None
    return limits


def raise_limits(options: Mapping[str, Any], topics: Sequence[str], *, within_s: float) -> None:
    """Let topics take records of RECORD_BYTES_MAX that took only smaller ones; harmless twice and at once. Blocks.

    Where this account may not, it is told, with what an administrator has to do: all but the longest imports work.
    """
    limits = limits_of(options, topics, within_s=within_s)
    small = [topic for topic, limit in limits.items() if limit is not None and limit < RECORD_BYTES_MAX]
    if not small:
        return
    admin = AdminClient({**options, "log_level": 0})
    entry = ConfigEntry(_LIMIT, str(RECORD_BYTES_MAX), incremental_operation=AlterConfigOpType.SET)
    wanted = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in small]
    for resource, done in admin.incremental_alter_configs(wanted, request_timeout=within_s).items():
        facts = {"topic": resource.name, "bytes": limits[resource.name]}
        try:
            done.result()
            log.info("logs.topic_limit_raised", extra=facts)
        except KafkaException as error:
            log.warning("logs.topic_too_small", extra={**facts, "reason": error.args[0].name()})


def command_for(servers: str, topic: str) -> str:
    """What an administrator calls to raise the limit of a topic."""
    return (
        f"kafka-configs.sh --bootstrap-server {servers} --alter --entity-type topics --entity-name {topic}"
        f" --add-config {_LIMIT}={RECORD_BYTES_MAX}"
    )
