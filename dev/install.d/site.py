# Owns: the HTTP server of the local release site, started by dev/releases: `site.py FOLDER http://ADDRESS:PORT`.
# Must not: write, or listen anywhere else. Invariant: it ends by itself when the folder is gone, so a removed checkout leaves no server.
"""Serves a folder on one address until the folder is gone."""

import functools
import http.server
import os
import signal
import sys
import threading
import urllib.parse


def main():
    folder, url = sys.argv[1:]
    place = urllib.parse.urlsplit(url)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer((place.hostname, place.port), handler)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.path.isdir(folder) and not stop.wait(5):
        pass


main()
