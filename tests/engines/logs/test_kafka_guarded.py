"""E1: the logs on a broker that asks who comes, by TLS, and what he may do; and what is said to who may not come in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from servers.kafka import Guard, Kafka
from tests.engines.logs.conftest import SOURCES, jars
from tests.engines.logs.owner import CAMPUSES, Diary
from tests.engines.logs.test_command_log import bodies, reading
from tuanzi.engines.logs.kafka import KafkaCommandLog, KafkaEventLog, KafkaSettings, sign_in_options
from tuanzi.installation import kafka_refusal
from tuanzi.machinery.problems import Unavailable
from tuanzi.settings import read_settings

BEIJING = CAMPUSES[0]
PASSWORD = "eight dumplings"
# As docs/kafka.md says.
RIGHTS = {
    ResourceType.TOPIC: (AclOperation.CREATE, AclOperation.DESCRIBE, AclOperation.READ, AclOperation.WRITE),
    ResourceType.GROUP: (AclOperation.READ,),
}
EVENT = (1, "orders.paid", 1, 1_795_000_000_000, "{}")
_numbers = count(1)


@dataclass(frozen=True)
class Papers:
    """A broker that asks for papers, and the certificates of who signed its own, and of somebody else."""

    broker: Kafka
    ca: Path
    other_ca: Path
    admin: AdminClient  # who may do all

    def settings(
        self, user: str, *, mechanism: str = "PLAIN", prefix: str = "", ca: Path | None = None
    ) -> KafkaSettings:
        """How an account comes."""
        options = sign_in_options(user=user, password=PASSWORD, mechanism=mechanism, ca_file=str(ca or self.ca))
        prefix = f"guarded{next(_numbers)}"
        return KafkaSettings(servers=self.broker.guarded, prefix=prefix, send_s_max=3.0, options=options)

    def allow(self, user: str, prefix: str, *, without: AclOperation | None = None) -> None:
        """An administrator lets an account do what docs/kafka.md says, but for one thing."""
        for kind, operations in RIGHTS.items():
            for operation in operations:
                if operation is not without:
                    self.allow_one(user, prefix, kind, operation)

    def allow_one(self, user: str, prefix: str, kind: ResourceType, operation: AclOperation) -> None:
        """An administrator lets an account do one thing."""
        allowed = AclPermissionType.ALLOW
        acl = AclBinding(kind, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation, allowed)
        for done in self.admin.create_acls([acl]).values():
            done.result()


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Papers]:
    """A broker that takes in who is known."""
    folder = tmp_path_factory.mktemp("guarded")
    key, ca = _authority("ours")
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    (folder / "other.pem").write_bytes(_authority("others")[1].public_bytes(Encoding.PEM))
    (folder / "broker.pem").write_bytes(_key_of_a_broker(key, ca))
    guard = Guard(folder / "broker.pem", {"plain": PASSWORD, "stranger": PASSWORD, "reader": PASSWORD})
    broker = Kafka(folder / "broker", libs=jars(), guard=guard)
    broker.start()
    admin = AdminClient({"bootstrap.servers": broker.servers, "log_level": 0})
    yield Papers(broker, folder / "ca.pem", folder / "other.pem", admin)
    broker.stop()


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Who signs certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    basics = x509.BasicConstraints(ca=True, path_length=None)
    return key, _unsigned(subject, subject, key).add_extension(basics, critical=True).sign(key, hashes.SHA256())


def _key_of_a_broker(signer: ec.EllipticCurvePrivateKey, ca: x509.Certificate) -> bytes:
    """A key and its certificate, of this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    made = _unsigned(subject, ca.subject, key).add_extension(names, critical=False).sign(signer, hashes.SHA256())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)


def _unsigned(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
    )


@asynccontextmanager
async def logs(settings: KafkaSettings) -> AsyncIterator[tuple[KafkaCommandLog, KafkaEventLog]]:
    """Both logs, ready."""
    commands, events = KafkaCommandLog(settings, campuses=CAMPUSES), KafkaEventLog(settings, sources=SOURCES)
    try:
        await asyncio.gather(commands.ensure(), events.ensure())
        yield commands, events
    finally:
        await commands.close()
        await events.close()


async def use(settings: KafkaSettings) -> None:
    """Everything a house does with its logs."""
    async with logs(settings) as (commands, events):
        owner = Diary()
        async with reading(commands, owner):
            await commands.append(BEIJING, bodies(1, 20))
            await owner.until(lambda: owner.bodies(BEIJING) == bodies(1, 20))
        assert all(entry.mark for entry in owner.kept[BEIJING])
        async with aclosing(events.listen(SOURCES[:1])) as heard:
            assert await anext(heard) == (SOURCES[0], [])
            await events.publish(SOURCES[0], [EVENT])
            assert await anext(heard) == (SOURCES[0], [EVENT])
        assert await events.newest(SOURCES[0]) == 1


@pytest.mark.parametrize("mechanism", [ScramMechanism.SCRAM_SHA_512, ScramMechanism.SCRAM_SHA_256])
async def test_an_account_of_scram_with_the_rights_of_the_manual_does_all_that_a_house_does(
    papers: Papers, mechanism: ScramMechanism
) -> None:
    user, name = f"scram{mechanism.value}", mechanism.name.replace("_", "-")
    credentials = UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), PASSWORD.encode())
    papers.admin.alter_user_scram_credentials([credentials])[user].result()
    settings = papers.settings(user, mechanism=name)
    papers.allow(user, f"{settings.prefix}.")

    await use(settings)


async def test_an_account_with_a_plain_password_does_too(papers: Papers) -> None:
    settings = papers.settings("plain")
    papers.allow("plain", f"{settings.prefix}.")

    await use(settings)


async def test_topics_may_be_made_before_for_an_account_that_may_make_none(papers: Papers) -> None:
    settings = papers.settings("reader")
    papers.allow("reader", f"{settings.prefix}.", without=AclOperation.CREATE)
    with pytest.raises(Unavailable) as refused:
        async with logs(settings):
            raise AssertionError("it may make none")
    names = [settings.topic("commands", campus) for campus in CAMPUSES]
    names += [settings.topic("told", source) for source in SOURCES]
    for made in papers.admin.create_topics([NewTopic(name, 1, 1) for name in names]).values():
        made.result()

    await use(settings)

    assert refused.value.facts["reason"] == "TOPIC_AUTHORIZATION_FAILED"


@pytest.mark.parametrize("may_describe", [False, True])
async def test_an_account_that_may_not_let_topics_take_longer_records_works_and_says_so(
    papers: Papers, caplog: pytest.LogCaptureFixture, may_describe: bool
) -> None:
    settings = papers.settings("reader")
    papers.allow("reader", f"{settings.prefix}.")
    if may_describe:
        papers.allow_one("reader", f"{settings.prefix}.", ResourceType.TOPIC, AclOperation.DESCRIBE_CONFIGS)
    small = settings.topic("commands", BEIJING)
    for made in papers.admin.create_topics([NewTopic(small, 1, 1)]).values():
        made.result()

    await use(settings)

    said = [(record.message, record.__dict__["topic"], record.__dict__["reason"]) for record in caplog.records]
    assert said == [("logs.topic_too_small", small, "TOPIC_AUTHORIZATION_FAILED")] * may_describe


@pytest.mark.parametrize(
    ("user", "is_trusted", "said"),
    [
        ("nobody", True, "TUANZI_KAFKA_USER=nobody: Kafka does not let this account in by its password and"),
        (
            "plain",
            False,
            "TUANZI_KAFKA_CA_FILE={other}: nobody in there signed the certificate of these brokers",
        ),
        ("stranger", True, "TUANZI_KAFKA_USER=stranger: Kafka does not let this account make or see topics that begin"),
    ],
)
async def test_who_is_not_let_in_is_told_which_setting_is_wrong(
    papers: Papers, user: str, is_trusted: bool, said: str, tmp_path: Path
) -> None:
    ca = papers.ca if is_trusted else papers.other_ca
    settings = papers.settings(user, ca=ca)

    with pytest.raises(Unavailable) as refused:
        async with logs(settings):
            raise AssertionError("nobody lets him in")

    (tmp_path / "password").write_text(PASSWORD)
    environment = {
        "TUANZI_KAFKA": settings.servers,
        "TUANZI_KAFKA_PREFIX": settings.prefix,
        "TUANZI_KAFKA_USER": user,
        "TUANZI_KAFKA_PASSWORD_FILE": str(tmp_path / "password"),
        "TUANZI_KAFKA_SASL": "PLAIN",
        "TUANZI_KAFKA_CA_FILE": str(ca),
        "TUANZI_DATA": str(tmp_path),
    }
    told = kafka_refusal(read_settings(environment), str(refused.value.facts["reason"]))
    assert told.startswith(said.format(other=papers.other_ca))
    assert PASSWORD not in told
