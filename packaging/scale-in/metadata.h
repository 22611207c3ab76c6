/*
 * metadata: an EC2 instance's own metadata, by version 2 of its service: each read bears a token that was asked for with PUT
 * and is renewed before it ends. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-v2-how-it-works.html
 */
#ifndef PACKAGING_SCALE_IN_METADATA_H
#define PACKAGING_SCALE_IN_METADATA_H

#include "base/buf.h"
#include "base/err.h"

struct metadata;

struct metadata *metadata_new(const char *address); /* kept by the caller */
void metadata_free(struct metadata *m);
/*
 * Reads below /latest/meta-data/ ("placement/region"). -ENOENT: the instance has no such item; other errors: there is no
 * answer, and whether it has one is not known. Blocks for some seconds at most.
 */
int metadata_get(struct metadata *m, const char *item, struct buf *out, struct err *e);

/* What the instance's role may sign with. */
struct credentials {
	char *key_id, *secret, *session; /* owned; NULL until first read */
	int64_t until;                   /* wall clock, ns */
};
/* Reads them when they are missing or end within five minutes, which is when the service has the next ones. */
int credentials_renew(struct credentials *c, struct metadata *m, struct err *e);
void credentials_clear(struct credentials *c);
/* Of the JSON text that the service gives for a role. */
int credentials_parse(const char *text, struct credentials *out, struct err *e);

#endif
