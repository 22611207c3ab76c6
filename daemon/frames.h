/*
 * frames: what /v1/client/fs/stream, fs/logs and the monitor send: JSON objects without a separator, each with a piece of
 * a file in base64; {} is a heartbeat. Pieces may be cut anywhere.
 */
#ifndef DAEMON_FRAMES_H
#define DAEMON_FRAMES_H

#include "base/buf.h"
#include "base/err.h"

struct frames {
	void (*on_data)(void *arg, const void *p, size_t n);
	void (*on_event)(void *arg, const char *event); /* "file deleted", "file truncated"; may be NULL */
	void *arg;
	/* inside */
	struct buf pending; /* the beginning of a frame */
	int depth;
	bool in_string, escaped;
};

/* Hands on what n more bytes complete. -EPROTO: they are no frames, or one is larger than 4 MiB. */
int frames_feed(struct frames *f, const void *p, size_t n, struct err *e);
void frames_clear(struct frames *f);

#endif
