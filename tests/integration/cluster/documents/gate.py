"""A door between a server and the API server, which a test opens and closes."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import yaml


class Gate:
    """Forwards connections to where a kubeconfig points; closed, it refuses new ones and cuts those that are there."""

    def __init__(self, kubeconfig: Path, path: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        address = urlsplit(cluster["server"])
        self._behind = (str(address.hostname), address.port or 443)
        self._door: socket.socket | None = None
        self._through: set[socket.socket] = set()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        cluster |= {"server": f"https://127.0.0.1:{self._port}", "tls-server-name": address.hostname}
        path.write_text(yaml.safe_dump(content))
        self.kubeconfig = path

    def open(self) -> None:
        """Let connections through."""
        self._door = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._door,), daemon=True).start()

    def close(self) -> None:
        """Cut all connections, and refuse new ones."""
        door, self._door = self._door, None
        for each in [*([door] if door else []), *self._through]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._through.clear()

    def _accept(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = door.accept()
                far = socket.create_connection(self._behind)
                self._through |= {near, far}
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                other.sendall(piece)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_WR)
