#!/usr/bin/python3
# The example's service: answers /health and /, as its settings file says. Keeps no state.
"""A small HTTP service."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

with open(sys.argv[1], encoding="utf-8") as file:
    SETTINGS = json.load(file)

PAGES = {"/health": {"status": "ok"}, "/": {"greeting": SETTINGS["greeting"]}}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        page = PAGES.get(self.path)
        body = json.dumps(page if page is not None else {"error": "not found"}).encode() + b"\n"
        self.send_response(200 if page is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", SETTINGS["port"]), Handler).serve_forever()
