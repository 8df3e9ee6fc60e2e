"""Serve a page at this machine's own address, until Ctrl-C."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Code that a file name might smuggle into the page can reach nothing.
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
}


def serve(document: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer requests for `/` with the document until interrupted.

    Args:
        port: to listen on; 0 takes a free one.
        ready: is told the address.

    Raises:
        OSError: the port is taken or not allowed.
    """
    body = document.encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Another site can point a name of its own at this address: its pages must not read ours.
            if re.sub(r":\d+$", "", self.headers.get("Host", "")) not in _NAMES:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            else:
                self.send_response(HTTPStatus.OK)
                for name, value in _HEADERS.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: requests are no news."""

    with ThreadingHTTPServer((HOST, port), Handler) as server:
        ready(f"http://{HOST}:{server.server_port}/")
        server.serve_forever()
