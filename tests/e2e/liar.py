"""A TCP proxy in front of a Consul that can be told to lie, one way at a time:

    pass     everything goes through
    garbage  answers bytes that are no HTTP
    error    answers 500 "rpc error: No cluster leader"
    json     answers 200 with JSON of another shape
    broken   answers 200 with JSON that ends in the middle
    huge     answers 200 with a body that never ends
    hang     takes the request and says nothing
    slow     answers a byte a second
    cut      passes the request on, and closes when the answer comes: nobody knows whether it was done
"""
import socket
import socketserver
import threading
import time

LIES = ("garbage", "error", "json", "broken", "huge", "hang", "slow", "cut")
HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Consul-Index: 7\r\n"


class Liar:
    def __init__(self, target):
        self.target = target.rsplit(":", 1)
        self.mode, self.counts, self.open = "pass", {}, set()
        liar = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                liar.serve(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.server.server_address[1]

    def become(self, mode):
        """From here on; connections of before are closed."""
        self.mode = mode
        for s in list(self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.become("closed")
        self.server.shutdown()
        self.server.server_close()

    def serve(self, client):
        self.open.add(client)
        try:
            mode = self.mode
            if mode == "pass":
                self.forward(client)
            elif mode == "cut":
                self.forward(client, answers=False)
            else:
                while self.mode == mode and self.request(client):
                    self.counts[mode] = self.counts.get(mode, 0) + 1
                    getattr(self, mode)(client)
        except OSError:
            pass
        finally:
            self.open.discard(client)

    def request(self, client):
        """Reads one with its body; false at the end."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = client.recv(65536)
            if not more:
                return False
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                size = int(line.split(b":")[1])
            elif line.startswith(b"expect:"):
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(rest) < size:
            more = client.recv(65536)
            if not more:
                return False
            rest += more
        return True

    def forward(self, client, answers=True):
        with socket.create_connection((self.target[0], int(self.target[1])), timeout=10) as consul:
            consul.settimeout(None)
            self.open.add(consul)

            def up():
                try:
                    while True:
                        data = client.recv(65536)
                        if not data:
                            break
                        consul.sendall(data)
                    consul.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            threading.Thread(target=up, daemon=True).start()
            try:
                while True:
                    data = consul.recv(65536)
                    if not data:
                        return
                    if not answers:
                        self.counts["cut"] = self.counts.get("cut", 0) + 1
                        client.shutdown(socket.SHUT_RDWR)
                        return
                    client.sendall(data)
            finally:
                self.open.discard(consul)

    def garbage(self, client):
        client.sendall(b"\x00\xff\x16\x03 this is no HTTP at all\r\n\r\n" * 20)
        raise OSError

    def error(self, client):
        text = b"rpc error: No cluster leader"
        client.sendall(HEAD % b"500 Internal Server Error" + b"Content-Length: %d\r\n\r\n" % len(text) + text)

    def json(self, client):
        text = b'[{"Node": 7, "Checks": "none", "KV": [[]], "ID": {"a": null}, "Value": "%%%"}, null, 3, {}]'
        client.sendall(HEAD % b"200 OK" + b"Content-Length: %d\r\n\r\n" % len(text) + text)

    def broken(self, client):
        text = b'{"Results": [{"KV": {"Key": "drover/global/lock", "Session": "'
        client.sendall(HEAD % b"200 OK" + b"Content-Length: %d\r\n\r\n" % len(text) + text)

    def huge(self, client):
        client.sendall(HEAD % b"200 OK" + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"[" * 65536 + b"\r\n"
        while self.mode == "huge":
            client.sendall(chunk)

    def hang(self, client):
        while self.mode == "hang":
            time.sleep(0.1)

    def slow(self, client):
        client.sendall(HEAD % b"200 OK" + b"Content-Length: 1000\r\n\r\n")
        for _ in range(1000):
            if self.mode != "slow":
                break
            client.sendall(b"[")
            time.sleep(1)
