/*
 * http_load: what the load generators share: keep-alive connections with one request outstanding each, and the times that
 * answers took. A connection that breaks ends the program.
 */
#ifndef TESTS_LIB_HTTP_LOAD_H
#define TESTS_LIB_HTTP_LOAD_H

#include "base/buf.h"
#include "base/clock.h"

struct load_conn {
	int fd;
	struct buf in, out;
	size_t sent;
	int64_t started;
	size_t need; /* bytes of the answer, 0 = header not complete */
	bool chunked;
	int status;
};

struct load_times {
	uint32_t *micros;
	size_t n, cap;
};

int load_connect(int port);
void load_request(struct load_conn *c, const char *method, const char *path, const char *token, const char *body);
void load_send(struct load_conn *c);
/* Takes what the socket holds. True: a whole answer is in c->in. */
bool load_receive(struct load_conn *c);
/* One exchange, waiting. */
void load_call(struct load_conn *c, const char *method, const char *path, const char *token, const char *body);
/* X-Nomad-Index of the answer in c->in. */
unsigned long long load_index(struct load_conn *c);
void load_close(struct load_conn *c);

void load_note(struct load_times *t, int64_t started);
/* Prints "<n> <seconds> <per second> <p50 us> <p99 us> <max us> <errors>" without a newline; frees the times. */
void load_report(struct load_times *t, double seconds, uint64_t errors);

/* Of the process that is asked. */
double load_rss_kb(int pid);
double load_cpu_ns(int pid); /* of its main thread */
void load_until_idle(int pid);

#endif
