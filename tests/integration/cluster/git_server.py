"""A git repository behind HTTP with a password, as a forge serves it: git's own backend."""

import os
import subprocess
import threading
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

USER, PASSWORD = "modelmend", "s3cret: with a colon"
BACKEND = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"


def git(folder: Path, *arguments: str) -> str:
    """What git prints; it reads nobody's configuration."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    who = ("-c", "user.name=team", "-c", "user.email=team@example.com")
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, env=own, check=True, capture_output=True, text=True
    ).stdout.strip()


def repository(folder: Path, files: dict[str, str]) -> Path:
    """A bare repository with one commit of these files on `main`."""
    work = folder / "work"
    work.mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch=main")
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(content)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message=what the team has")
    bare = folder / "repository.git"
    git(folder, "clone", "--quiet", "--bare", str(work), str(bare))
    git(bare, "config", "http.receivepack", "true")
    return bare


class Backend(BaseHTTPRequestHandler):
    """One request, handed to git http-backend as CGI wants it."""

    root: Path

    def do_GET(self) -> None:
        expected = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environment = {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "REMOTE_USER": USER,
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "PATH": os.environ["PATH"],
        }
        answer = subprocess.run([BACKEND], input=body, env=environment, capture_output=True, check=True).stdout
        head, _, content = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815  (a name that http.server looks up)

    def log_message(self, *_: object) -> None:
        """Not in a test's output."""


@contextmanager
def serving(root: Path, host: str):
    """Serve the repositories in `root`; the address."""
    handler = type("Handler", (Backend,), {"root": root})
    with ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{host}:{server.server_port}"
        server.shutdown()
        thread.join()
