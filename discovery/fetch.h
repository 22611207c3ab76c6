/*
 * fetch: HTTP requests, asynchronous on the libevent loop (libcurl's multi interface) or blocking for a thread of its own,
 * with deadlines, cancel, body limits, keep-alive, unix sockets and TLS. libcurl is loaded when the first request is
 * made (discovery/libcurl.h): a one-machine cluster without Consul never needs it, and its 35 libraries would be most of
 * the agent's memory.
 *
 * Redirects are answers like others, never followed. Proxies of the environment are not used. HTTP/1.1, and 1.0 of peers.
 * A request with a body is sent at most once. One without is sent again by libcurl when a kept connection turns out
 * to have been closed by the peer before any byte of an answer came.
 */
#ifndef DISCOVERY_FETCH_H
#define DISCOVERY_FETCH_H

#include "base/buf.h"
#include "base/err.h"

struct event_base;
struct fetcher;       /* one for each loop */
struct fetch;         /* one request under way */
struct fetch_channel; /* one for each thread that may block */

struct fetch_tls {
	const char *ca_file, *ca_path, *cert_file, *key_file;
	const char *server_name; /* asked for and verified instead of the host of the URL; also the Host header */
	bool skip_verify;
	bool any_name; /* the certificate must be of the CA, but may be for any name */
};

/* Signs the request (AWS Signature Version 4, over its headers and body), as libcurl from 7.87 does it. */
struct fetch_aws {
	const char *region, *service;   /* "eu-west-1", "autoscaling" */
	const char *key_id, *secret;
	const char *session; /* token of temporary credentials, or NULL */
};

struct fetch_request {
	const char *method;         /* "GET" when NULL */
	const char *url;            /* http:// or https://; with unix_socket the host part is only a name */
	const char *unix_socket;    /* path, or NULL */
	const char *const *headers; /* "Name: value", ended by NULL; may be NULL */
	const void *body;           /* copied; sent as application/json unless a header says otherwise */
	size_t body_len;
	int64_t timeout;         /* whole request, ns; 0 = 10 s, NEVER = none; a negative one is over at once */
	int64_t connect_timeout; /* 0 = 3 s */
	int64_t idle_timeout;    /* -ETIMEDOUT when nothing comes for so long, in whole seconds; 0 = no limit */
	size_t max_body;         /* of the answer; 0 = 16 MiB. More is -EFBIG */
	const struct fetch_tls *tls;
	const struct fetch_aws *aws; /* NULL: not signed */
	/* Streaming answers: called with each piece as it comes; the answer's body then stays empty. Other requests, and
	 * this one, may be started, paused and cancelled inside. */
	void (*on_data)(void *arg, const void *p, size_t n);
	bool only_success; /* on_data gets what a 2xx answer brings; another answer's body is gathered */
	void *on_data_arg; /* of blocking requests; fetch_start gives its own arg */
};

#define FETCH_MAX_HEADERS 65536 /* bytes of an answer's header lines; more is -EFBIG */

struct fetch_answer {
	int status;     /* HTTP status, 0 when there was none */
	struct err err; /* code != 0: transport failed, or the answer is cut; the sentence names url and cause */
	bool sent;      /* some of the request may have reached the peer */
	struct buf body;
	uint64_t index;     /* X-Nomad-Index or X-Consul-Index, 0 when absent or no number */
	struct buf headers; /* raw header lines of the final answer, without those of 1xx before it */
};

/* Called once, from the loop, never from inside fetch_start. The answer is valid during the call only. */
typedef void fetch_done_fn(void *arg, struct fetch_answer *answer);

struct fetcher *fetcher_new(struct event_base *base);
struct event_base *fetcher_base(const struct fetcher *f);
void fetcher_free(struct fetcher *f); /* cancels what is under way; not from a callback */
/* Never NULL: what cannot even start is reported through done with an error. */
struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *r, fetch_done_fn *done, void *arg);
/* Neither done nor on_data is called any more. NULL is fine. Once done has been called there is nothing to cancel. */
void fetch_cancel(struct fetch *f);
/* From on_data: the HTTP status and the raw header lines of the answer that is coming in. */
int fetch_head(const struct fetch *f, const struct buf **headers);
/* Stops and resumes the flow of on_data. A paused request's timeout goes on. */
void fetch_pause(struct fetch *f, bool pause);

/* One blocking request on a connection of its own. */
int fetch_now(const struct fetch_request *r, struct fetch_answer *out);
void fetch_answer_free(struct fetch_answer *a);
/* Copies the value of a header line, cut to size; false (and "") when there is none. Names in any case. */
bool fetch_header(const struct buf *headers, const char *name, char *out, size_t size);

/* Blocking requests of one thread, on a connection that is kept between them. */
struct fetch_channel *fetch_channel_new(void);
void fetch_channel_free(struct fetch_channel *c);
int fetch_channel_do(struct fetch_channel *c, const struct fetch_request *r, struct fetch_answer *out);
/* From any thread: a request under way, and all later ones, end with -ECANCELED, within about a second. */
void fetch_channel_stop(struct fetch_channel *c);

#endif
