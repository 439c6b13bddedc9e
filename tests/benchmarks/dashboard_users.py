"""Somebody at the dashboard without a browser: opens pages over Streamlit's own stream, and times their answers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from tests.infra.browsing import Server

WAIT = 60.0  # seconds for an answer


@dataclass
class User:
    """One session. A question is a page and what its address says, as a click that changes the address asks it."""

    connection: ClientConnection
    errors: list[str] = field(default_factory=list)
    title: str = ""  # of the page that answered last

    def ask(self, page: str, **address: str) -> float:
        """Seconds until the page has all that was asked for; what it says of errors is kept."""
        message = BackMsg()
        message.rerun_script.page_name = page
        message.rerun_script.query_string = urlencode(address)
        self.title, start = "", time.perf_counter()
        self.connection.send(message.SerializeToString())
        while not self._heard(page):
            pass
        return time.perf_counter() - start

    def _heard(self, page: str) -> bool:
        """Whether the next message ends the answer."""
        found = ForwardMsg()
        found.ParseFromString(self.connection.recv(WAIT))  # type: ignore[arg-type]
        kind = found.WhichOneof("type")
        if kind == "page_not_found":
            self.errors.append(f"no page {page!r}")
        element = found.delta.new_element if kind == "delta" else None
        if element is not None and element.WhichOneof("type") in ("exception", "alert"):
            self.errors.append(f"{page}: {element.exception.message or element.alert.body}")
        if element is not None and element.heading.tag == "h1":
            self.title = element.heading.body
        return kind == "script_finished" and found.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN


def visit(server: Server) -> User:
    """A new session."""
    address = f"ws://{server.address.removeprefix('http://')}/_stcore/stream"
    return User(connect(address, subprotocols=["streamlit"], max_size=None, ping_timeout=None))  # type: ignore[list-item]
