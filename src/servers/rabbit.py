"""One RabbitMQ node, on free ports, with a user and password of its own (E1)."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path

from servers.process import Process, ServerFailed, answers, free_ports

# Debian's /usr/sbin/rabbitmq-server becomes another user and moves to his folder; this is what it calls.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
USER = "tuanzi"
# The greeting of AMQP 0-9-1; whoever speaks it answers with its own.
_HELLO = b"AMQP\x00\x00\x09\x01"
# Two schedulers that sleep when there is nothing to do, and no port open to other machines.
_ERLANG = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"


class Rabbit:
    """A broker, and the `epmd` that Erlang asks for ports; started here, or Erlang would leave one of its own behind.

    A quorum queue needs some three seconds after it was declared before a kill is safe: until then its name is not on
    the disk, and what it confirmed is gone (measured with 3.10.8, 3 of 3 times; after 4 s 0 of 50 were lost).
    """

    def __init__(self, folder: Path, *, password: str) -> None:
        """folder: for all that it keeps; made when absent."""
        if not SERVER.exists() or shutil.which("epmd") is None:
            raise ServerFailed(f"no {SERVER}: run `make servers`, or apt-get install rabbitmq-server")
        self.password = password
        self.port, dist_port, epmd_port = free_ports(3)
        folder.mkdir(parents=True, exist_ok=True)
        environment = self._environment(folder, dist_port=dist_port, epmd_port=epmd_port)
        epmd = ["epmd", "-port", str(epmd_port), "-address", "127.0.0.1", "-relaxed_command_check"]
        self._epmd = Process("epmd", epmd, log=folder / "epmd.log")
        self._epmd_port = epmd_port
        self._broker = Process("rabbitmq-server", [str(SERVER)], log=folder / "out.log", environment=environment)
        self._settings(folder)

    @property
    def url(self) -> str:
        """How a client reaches it, password and all."""
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/"

    def start(self, *, within_s: float = 60.0) -> float:
        """Start it, with what it kept; gives how long that took in seconds. Raises ServerFailed."""
        began = time.monotonic()
        if not self._epmd.is_running:
            self._epmd.start(lambda: answers(self._epmd_port), within_s=within_s)
        self._broker.start(lambda: answers(self.port, _HELLO), within_s=within_s)
        return time.monotonic() - began

    def kill(self) -> None:
        """End the broker at once: SIGKILL."""
        self._broker.kill()

    def pause(self) -> None:
        """Have it stand still; its sockets stay open."""
        self._broker.pause()

    def resume(self) -> None:
        """Have it go on."""
        self._broker.resume()

    def stop(self) -> None:
        """End all of it, nothing is left running. By SIGKILL: asked to end it takes 6 s."""
        self._broker.kill()
        self._epmd.kill()

    def _environment(self, folder: Path, *, dist_port: int, epmd_port: int) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"tuanzi{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": str(folder / "log" / "rabbit.log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.env"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "generated"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _settings(self, folder: Path) -> None:
        (folder / "log").mkdir(exist_ok=True)
        cookie = folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o400)
        # Without plugins: they cost another 2 to 4 s at every start.
        (folder / "enabled_plugins").write_text("[].")
        settings = folder / "rabbitmq.conf"
        settings.write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            f"default_user = {USER}\n"
            f"default_pass = {self.password}\n"
            "vm_memory_high_watermark.absolute = 512MB\n"
            "disk_free_limit.absolute = 200MB\n"
            "heartbeat = 10\n"
            "log.file.level = warning\n"
        )
        settings.chmod(0o600)
