"""Pictures as a gateway holds them: what a channel looked like last, and who looks at it (A5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuanzi.machinery.push.client import Client


class Picture:
    """An ephemeral channel: who hears it, and what it looked like last."""

    __slots__ = ("clients", "data", "is_due", "people", "sent_at")

    def __init__(self) -> None:
        self.clients: dict[Client, None] = {}  # in the order in which they came
        self.people: dict[str, int] = {}  # who they are, and by how many clients
        self.data = b""
        self.is_due = False
        self.sent_at = 0.0

    def add(self, client: Client) -> None:
        """He hears it, however often he says so."""
        if client not in self.clients:
            self.clients[client] = None
            self.people[client.person_id] = self.people.get(client.person_id, 0) + 1

    def remove(self, client: Client) -> None:
        """He hears it no more."""
        if client in self.clients:
            del self.clients[client]
            left = self.people.pop(client.person_id) - 1
            if left:
                self.people[client.person_id] = left
