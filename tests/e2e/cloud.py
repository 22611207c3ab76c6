"""A small stand-in of what AWS shows to an instance of an auto scaling group, for tests of drover-scale-in: the instance
metadata (version 2: with tokens) and two actions of the auto scaling API. It is as strict as the real ones in form, and
computes the signature of each request (Signature Version 4) from what came over the wire, with the standard library alone.
What is wrong with a request is answered as AWS does, and kept in `wrong`: tests look there at the end.
"""
import datetime
import hashlib
import hmac
import http.server
import json
import re
import secrets
import threading
import time
import urllib.parse

REGION, ROLE, INSTANCE = "eu-test-1", "build-machine", "i-0a1b2c3d4e5f60718"
GROUP, HOOK = "ci & more", "drover-drain"


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(method, path, headers, signed, body, secret, date, scope):
    """headers: (name, value) as received; signed: their names, in order."""
    lines = []
    for name in signed:
        values = [" ".join(v.split()) for k, v in headers if k.lower() == name]
        lines.append("%s:%s\n" % (name, ",".join(values)))
    target = urllib.parse.urlsplit(path)
    query = "&".join(sorted("%s=%s" % (urllib.parse.quote(k, "-_.~"), urllib.parse.quote(v, "-_.~"))
                            for k, v in urllib.parse.parse_qsl(target.query, keep_blank_values=True)))
    canonical = "\n".join([method, target.path, query, "".join(lines), ";".join(signed), hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = mac(key, part)
    return mac(key, text).hex()


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__("%s: %s" % (code, message))
        self.status, self.code, self.message = status, code, message


class Cloud:
    """state: lifecycle, spot, rebalance, tags, role as the metadata shows them; None = 404."""

    def __init__(self):
        self.lock = threading.RLock()
        self.lifecycle, self.spot, self.rebalance, self.role = "InService", None, None, ROLE
        self.tokens, self.token_ttl, self.tokens_given = {}, 21600, 0
        self.keys, self.key_life = {}, 3600  # key id -> (secret, session, end)
        self.active = False                  # the lifecycle action waits
        self.calls = []                      # (when, action, outcome), outcome "ok" or an error code
        self.failures = []                   # [(status, code)]: the next calls fail so
        self.on_complete = None              # called when a good completion has arrived
        self.hold = None                     # an Event that the answer to a completion waits for
        self.wrong, self.gets = [], []
        self.metadata = self.serve(self.answer_metadata)
        self.api = self.serve(self.answer_api)

    def serve(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, kind, text, more = answer(self.command, self.path, self.headers, body)
                data = text.encode()
                try:
                    self.send_response(status)
                    for k, v in [("Content-Type", kind), ("Content-Length", str(len(data)))] + more:
                        self.send_header(k, v)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    self.close_connection = True  # who asked was killed

            do_GET = do_PUT = do_POST = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a peer that was killed

        server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def close(self):
        for server in (self.metadata, self.api):
            server.shutdown()
            server.server_close()

    @staticmethod
    def url(server):
        return "http://127.0.0.1:%d" % server.server_address[1]

    def terminate(self):
        with self.lock:
            self.lifecycle, self.active = "Terminated", True

    def return_to_service(self):
        with self.lock:
            self.lifecycle, self.active = "InService", False

    def ok(self, action):
        return [when for when, name, outcome in list(self.calls) if name == action and outcome == "ok"]

    @property
    def heartbeats(self):
        return self.ok("RecordLifecycleActionHeartbeat")

    @property
    def completions(self):
        return self.ok("CompleteLifecycleAction")

    # ---- metadata ----
    def answer_metadata(self, method, path, headers, body):
        with self.lock:
            if headers.get("X-Forwarded-For"):
                return 403, "text/plain", "", []
            if path == "/latest/api/token":
                ttl = headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
                if method != "PUT" or body or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                    self.wrong.append("%s %s with TTL %r and a body of %d" % (method, path, ttl, len(body)))
                    return 400, "text/plain", "", []
                token, ttl = secrets.token_urlsafe(40), min(int(ttl), self.token_ttl)
                self.tokens[token] = time.monotonic() + ttl
                self.tokens_given += 1
                return 200, "text/plain", token, [("X-aws-ec2-metadata-token-ttl-seconds", str(ttl))]
            if method != "GET":
                self.wrong.append("%s %s" % (method, path))
                return 405, "text/plain", "", []
            if self.tokens.get(headers.get("X-aws-ec2-metadata-token"), 0) < time.monotonic():
                self.wrong.append("GET %s without a token that is good" % path)
                return 401, "text/plain", "", []
            self.gets.append(path)
            text = self.item(path)
            return (404, "text/plain", "", []) if text is None else (200, "text/plain", text, [])

    def item(self, path):
        prefix = "/latest/meta-data/"
        items = {
            "instance-id": INSTANCE, "placement/region": REGION, "tags/instance/aws:autoscaling:groupName": GROUP,
            "autoscaling/target-lifecycle-state": self.lifecycle, "spot/instance-action": self.spot,
            "events/recommendations/rebalance": self.rebalance, "iam/security-credentials/": self.role,
        }
        if self.role and path == prefix + "iam/security-credentials/" + self.role:
            return self.make_key()
        return items.get(path[len(prefix):]) if path.startswith(prefix) else None

    def make_key(self):
        key, secret, session = "ASIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30), secrets.token_urlsafe(200)
        end = time.time() + self.key_life
        self.keys[key] = (secret, session, end)
        return json.dumps({"Code": "Success", "LastUpdated": stamp(time.time()), "Type": "AWS-HMAC", "AccessKeyId": key,
                           "SecretAccessKey": secret, "Token": session, "Expiration": stamp(end)}, indent=2)

    def secrets(self):
        return [text for secret, session, _ in self.keys.values() for text in (secret, session)] + list(self.tokens)

    # ---- the auto scaling API ----
    def answer_api(self, method, path, headers, body):
        action = "?"
        try:
            with self.lock:
                form = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
                action = form.get("Action", "?")
                self.check_form(method, path, headers, form)
                self.check_signature(method, path, headers, body)
                if self.failures:
                    status, code = self.failures.pop(0)
                    raise Refused(status, code, "Rate exceeded" if code == "Throttling" else "as the test wants it")
                if not self.active:
                    raise Refused(400, "ValidationError", "No active Lifecycle Action found with instance ID " + INSTANCE)
                if action == "CompleteLifecycleAction":
                    if self.on_complete:
                        self.on_complete()
                    self.active = False
                self.calls.append((time.monotonic(), action, "ok"))
            if action == "CompleteLifecycleAction" and self.hold:
                self.hold.wait(30)
            text = ('<%sResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><%sResult/><ResponseMetadata>'
                    '<RequestId>7c6e177f</RequestId></ResponseMetadata></%sResponse>' % (action, action, action))
            return 200, "text/xml", text, []
        except Refused as e:
            self.calls.append((time.monotonic(), action, e.code))
            return e.status, "text/xml", (
                '<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>%s'
                '</Code><Message>%s</Message></Error><RequestId>7c6e177f</RequestId></ErrorResponse>' % (e.code, e.message)), []

    def refuse(self, status, code, message):
        self.wrong.append("%s: %s" % (code, message))
        raise Refused(status, code, message)

    def check_form(self, method, path, headers, form):
        wanted = {"Version": "2011-01-01", "AutoScalingGroupName": GROUP, "LifecycleHookName": HOOK, "InstanceId": INSTANCE}
        if form.get("Action") == "CompleteLifecycleAction":
            wanted["LifecycleActionResult"] = "CONTINUE"
        elif form.get("Action") != "RecordLifecycleActionHeartbeat":
            self.refuse(400, "InvalidAction", str(form.get("Action")))
        given = {k: v for k, v in form.items() if k != "Action"}
        if given != wanted:
            self.refuse(400, "ValidationError", "parameters are %r" % given)
        if method != "POST" or path != "/" or not headers["Content-Type"].startswith("application/x-www-form-urlencoded"):
            self.refuse(400, "InvalidQueryParameter", "%s %s %s" % (method, path, headers["Content-Type"]))
        if headers["Host"] != "127.0.0.1:%d" % self.api.server_address[1]:
            self.refuse(400, "InvalidQueryParameter", "Host is %s" % headers["Host"])

    def check_signature(self, method, path, headers, body):
        m = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/(\w+)/aws4_request, ?SignedHeaders=([\w;-]+), ?"
                         r"Signature=([0-9a-f]{64})", headers.get("Authorization", ""))
        if not m:
            self.refuse(400, "IncompleteSignature", "Authorization: %r" % headers.get("Authorization"))
        key, day, region, service, signed, given = m.groups()
        date, signed = headers.get("X-Amz-Date", ""), signed.split(";")
        if key not in self.keys:
            self.refuse(403, "InvalidClientTokenId", "no such key: %s" % key)
        secret, session, end = self.keys[key]
        if time.time() > end:
            raise Refused(403, "ExpiredToken", "The security token included in the request is expired")
        if headers.get("X-Amz-Security-Token") != session:
            self.refuse(403, "InvalidClientTokenId", "not the session's token")
        if (region, service, date[:8]) != (REGION, "autoscaling", day) or signed != sorted(signed):
            self.refuse(403, "SignatureDoesNotMatch", "scope %s/%s/%s, headers %s" % (day, region, service, signed))
        if not {"host", "x-amz-date", "x-amz-security-token"} <= set(signed):
            self.refuse(403, "SignatureDoesNotMatch", "only %s are signed" % signed)
        when = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
        if abs(when - time.time()) > 300:
            self.refuse(403, "RequestExpired", date)
        scope = "%s/%s/%s/aws4_request" % (day, region, service)
        wanted = signature(method, path, headers.items(), signed, body, secret, date, scope)
        if not hmac.compare_digest(wanted, given):
            self.refuse(403, "SignatureDoesNotMatch", "expected %s, got %s over %s" % (wanted, given, signed))
