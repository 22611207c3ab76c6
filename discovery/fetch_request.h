/* fetch_request: one request on a libcurl handle, shared by the loop (fetch.c) and the blocking form (fetch_request.c). */
#ifndef DISCOVERY_FETCH_REQUEST_H
#define DISCOVERY_FETCH_REQUEST_H

#include <sys/queue.h>

#include "discovery/fetch.h"
#include "discovery/libcurl.h"

struct fetch {
	struct fetcher *owner; /* NULL: a blocking request */
	TAILQ_ENTRY(fetch) all, todo;
	bool queued; /* in todo: the fetcher has something to do for it outside of libcurl */
	enum {
		FETCH_NEW,       /* libcurl does not know it yet */
		FETCH_RUNNING,   /* libcurl works on it */
		FETCH_FINISHED,  /* to be reported */
		FETCH_CANCELLED, /* to be freed */
	} state;
	const struct libcurl *curl;
	CURL *easy;
	bool borrowed; /* easy belongs to a channel */
	struct curl_slist *headers, *connect_to;
	char *url;
	char *body;
	size_t body_len, body_sent, max_body;
	void (*on_data)(void *, const void *, size_t);
	bool only_success;
	fetch_done_fn *done;
	void *arg;
	struct fetch_answer answer;
	bool paused;
	char text[CURL_ERROR_SIZE];
};

struct fetch *fetch_new(const struct fetch_request *r, fetch_done_fn *done, void *arg);
/* Sets up the handle, or makes one. */
void fetch_prepare(struct fetch *f, const struct libcurl *curl, CURL *easy, const struct fetch_request *r);
/* Fills in the answer. */
void fetch_conclude(struct fetch *f, CURLcode code);
void fetch_free(struct fetch *f);

#endif
