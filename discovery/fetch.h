/*
 * fetch: asynchronous HTTP requests: libcurl's multi interface on the libevent loop, with deadlines, cancel,
 * body limits, keep-alive, unix sockets and TLS. libcurl is loaded when the first request is made
 * (discovery/libcurl.h): a one-machine cluster without Consul never needs it, and its 35 libraries would be
 * most of the agent's memory.
 */
#ifndef DISCOVERY_FETCH_H
#define DISCOVERY_FETCH_H

#include "base/buf.h"
#include "base/err.h"

struct event_base;
struct fetcher; /* one per loop */
struct fetch;   /* one request under way */

struct fetch_tls {
	const char *ca_file, *ca_path, *cert_file, *key_file, *server_name;
	bool skip_verify;
};

struct fetch_request {
	const char *method;      /* "GET" when NULL */
	const char *url;         /* http:// or https://; with unix_socket the host part is only a name */
	const char *unix_socket; /* path, or NULL */
	const char *const *headers; /* "Name: value", ended by NULL; may be NULL */
	const void *body;           /* copied */
	size_t body_len;
	int64_t timeout;            /* whole request, ns; 0 = 10 s */
	int64_t connect_timeout;    /* 0 = 3 s */
	int64_t idle_timeout;       /* without a byte for so long, whole seconds; 0 = none */
	size_t max_body;            /* answer; 0 = 16 MiB. More is -EFBIG */
	const struct fetch_tls *tls;
	/* Streaming answers: called with each piece as it comes, the answer's body then stays empty. */
	void (*on_data)(void *arg, const void *p, size_t n);
	bool only_success;   /* on_data gets what a 2xx answer brings; another answer's body is gathered */
	void *on_data_arg; /* of fetch_now; fetch_start gives its own arg */
};

struct fetch_answer {
	int status;       /* HTTP status, 0 when there was none */
	struct err err;   /* code != 0: transport failed; the sentence names url and cause */
	struct buf body;
	uint64_t index;   /* X-Nomad-Index or X-Consul-Index, 0 when absent */
	struct buf headers; /* raw header lines */
};

/* Called once, from the loop, never from inside fetch_start. The answer is valid during the call only. */
typedef void fetch_done_fn(void *arg, struct fetch_answer *answer);

struct fetcher *fetcher_new(struct event_base *base);
void fetcher_free(struct fetcher *f); /* cancels what is under way */
/* Never NULL: what cannot even start is reported through done with an error. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *r, fetch_done_fn *done, void *arg);
void fetch_cancel(struct fetch *f); /* done is not called any more */
/* From on_data: the HTTP status and the raw header lines of the answer that is coming in. */
int fetch_head(const struct fetch *f, const struct buf **headers);
/* Stops and resumes the flow of on_data. Pausing is possible from inside on_data, resuming is not. */
void fetch_pause(struct fetch *f, bool pause);

/* For the command line: one blocking request, no loop. */
int fetch_now(const struct fetch_request *r, struct fetch_answer *out);
void fetch_answer_free(struct fetch_answer *a);

#endif
