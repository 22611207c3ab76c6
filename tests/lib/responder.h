/*
 * responder: a TCP or unix-socket server for tests whose peer is to be as bad as a peer can be: each connection is served
 * by a function of the test, in a thread of its own, with blocking calls. The tests' own loop runs beside it.
 */
#ifndef TESTS_LIB_RESPONDER_H
#define TESTS_LIB_RESPONDER_H

#include "base/buf.h"

struct responder;
/* nth: connections before this one. The descriptor is closed afterwards. */
typedef void serve_fn(struct responder *r, int fd, int nth);

struct responder *responder_start(serve_fn *serve, void *arg);
struct responder *responder_start_unix(const char *path, serve_fn *serve, void *arg);
void responder_stop(struct responder *r); /* ends all connections, joins all threads */
void *responder_arg(const struct responder *r);
uint16_t responder_port(const struct responder *r);
int responder_connections(const struct responder *r);
/* "http://127.0.0.1:PORT" and the path; in a buffer of the responder, valid until the fourth next call. */
const char *responder_url(struct responder *r, const char *path);

/* For serve functions. A whole request with its body (by Content-Length); false when the peer has gone. */
bool serve_read(int fd, struct buf *request);
void serve_say(int fd, const char *fmt, ...) PRINTF(2, 3);
void serve_answer(int fd, int status, const char *headers, const char *body); /* with Content-Length */
bool serve_sleep(struct responder *r, int64_t ns); /* false when stopped meanwhile */

#endif
