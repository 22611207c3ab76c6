/*
 * provider: who says whether this machine is to stay or to go, asks for more time on its behalf, and is told when it is
 * empty. One table of functions for each; all may block, each for a bounded time.
 */
#ifndef PACKAGING_SCALE_IN_PROVIDER_H
#define PACKAGING_SCALE_IN_PROVIDER_H

#include "packaging/scale-in/course.h"
#include "packaging/scale-in/settings.h"

struct provider {
	const struct provider_ops *ops;
	const struct settings *settings;
};

/*
 * Errors: -ENOENT of extend and release: nobody waits for this machine (any more); -EAGAIN: too much, or a moment's
 * trouble; everything else is a sentence for a person. All are tried again.
 */
struct provider_ops {
	const char *name;
	struct provider *(*open)(const struct settings *s);
	void (*close)(struct provider *p);
	/* Its name for this machine, valid until the next call; "" when it has none. */
	int (*machine)(struct provider *p, const char **out, struct err *e);
	int (*look)(struct provider *p, struct wish *out, struct err *e);
	int (*extend)(struct provider *p, const struct course *c, int64_t remaining, struct err *e);
	int (*release)(struct provider *p, const struct course *c, struct err *e);
};

extern const struct provider_ops provider_aws, provider_exec, provider_http;
const struct provider_ops *provider_find(const char *name); /* NULL: there is none */

struct fetch_tls;
void peer_tls_of(const struct peer_tls *from, struct fetch_tls *to);
/* The first line of a file that holds a secret. */
int secret_read(const char *path, char **out, struct err *e);
/* What hooks are told, as one JSON object. */
void provider_put_news(struct buf *out, const struct course *c, const char *event, int64_t remaining);

#endif
