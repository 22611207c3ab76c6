/*
 * http_peer: a real HTTP server on a real core, and a test that is its peer. One thread: the test turns the loop itself
 * while it waits for bytes. Failures fail the test.
 */
#ifndef TESTS_LIB_HTTP_PEER_H
#define TESTS_LIB_HTTP_PEER_H

#include "daemon/daemon.h"
#include "tests/lib/test.h"

struct fixture {
	struct daemon d;
	bool died;             /* the journal cannot be trusted any more */
	char got[1024 * 1024]; /* of the last hear() */
	size_t n;
};

/* journal: "memory", or "file" below data_dir. Small limits: 16 KiB of header, 64 KiB of body, 300 ms for a request. */
struct fixture *http_start(const char *journal, const char *data_dir);
void http_stop(struct fixture *f);
void turn(struct fixture *f); /* of the loop, without waiting */
int open_conn(struct fixture *f);
void say(struct fixture *f, int fd, const char *text);
/* Turns the loop until `text` was received, the peer closed (returns false), or 3 s have passed. */
bool hear(struct fixture *f, int fd, const char *text);
/* Turns the loop for so long and fails if anything is received. */
void hear_nothing(struct fixture *f, int fd, int64_t ns);
/* One exchange on a connection of its own: the answer holds both texts. */
void expect(struct fixture *f, const char *request, const char *status, const char *body);

#endif
