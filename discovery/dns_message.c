#include "discovery/dns_message.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <strings.h>

enum { TYPE_A = 1, TYPE_CNAME = 5, TYPE_AAAA = 28, TYPE_SRV = 33, CLASS_IN = 1 };

struct reader {
	const uint8_t *begin, *at, *end;
	bool bad;
};

static uint32_t take(struct reader *r, int bytes)
{
	uint32_t v = 0;

	if (r->bad || r->end - r->at < bytes) {
		r->bad = true;
		return 0;
	}
	while (bytes--)
		v = v << 8 | *r->at++;
	return v;
}

/* A name, without its final dot; one that does not fit is bad. */
static void take_name(struct reader *r, char out[256])
{
	char *name;
	long n;

	*out = 0;
	if (r->bad || ares_expand_name(r->at, r->begin, (int)(r->end - r->begin), &name, &n) != ARES_SUCCESS) {
		r->bad = true;
		return;
	}
	if (strlen(name) < 256 && n <= r->end - r->at)
		strcpy(out, name);
	else
		r->bad = true;
	r->at += n;
	ares_free_string(name);
}

/* RFC 2181, 8: a TTL with its highest bit set is zero. */
static uint32_t take_ttl(struct reader *r)
{
	uint32_t ttl = take(r, 4);

	return ttl > INT32_MAX ? 0 : ttl;
}

static void take_service(struct reader *r, uint32_t ttl, struct dns_records *out)
{
	struct dns_service s = {.ttl = ttl};

	s.priority = (uint16_t)take(r, 2);
	s.weight = (uint16_t)take(r, 2);
	s.port = (uint16_t)take(r, 2);
	take_name(r, s.host);
	/* The root as target says that there is no such service. */
	if (!r->bad && *s.host && out->n_services < ARRAY_LEN(out->services))
		out->services[out->n_services++] = s;
}

static void take_address(struct reader *r, int family, size_t size, const char *owner, uint32_t ttl, struct dns_records *out)
{
	struct dns_address *a = &out->addresses[out->n_addresses];

	if (size != (family == AF_INET ? 4 : 16) || out->n_addresses == ARRAY_LEN(out->addresses))
		return;
	memcpy(a->host, owner, sizeof(a->host));
	inet_ntop(family, r->at, a->address, sizeof(a->address));
	a->ttl = ttl;
	out->n_addresses++;
}

/* The record's end is where its length says, whatever is in it. */
static void take_record(struct reader *r, bool is_answer, char alias[256], const char *asked, struct dns_records *out)
{
	char owner[256], target[256];

	take_name(r, owner);
	uint32_t type = take(r, 2), class = take(r, 2), ttl = take_ttl(r), size = take(r, 2);

	if (r->bad || r->end - r->at < (ptrdiff_t)size) {
		r->bad = true;
		return;
	}
	struct reader data = {.begin = r->begin, .at = r->at, .end = r->at + size};
	const char *name = *alias && strcasecmp(owner, alias) == 0 ? asked : owner;

	if (class == CLASS_IN && type == TYPE_SRV && is_answer)
		take_service(&data, ttl, out);
	if (class == CLASS_IN && type == TYPE_A)
		take_address(&data, AF_INET, size, name, ttl, out);
	if (class == CLASS_IN && type == TYPE_AAAA)
		take_address(&data, AF_INET6, size, name, ttl, out);
	if (class == CLASS_IN && type == TYPE_CNAME && is_answer) {
		take_name(&data, target);
		if (strcasecmp(name, asked) == 0)
			memcpy(alias, target, sizeof(target));
	}
	r->bad = data.bad;
	r->at += size;
}

int dns_message_read(const uint8_t *p, size_t n, struct dns_records *out)
{
	struct reader r = {.begin = p, .at = p, .end = p + n};
	char asked[256] = "", alias[256] = "";

	take(&r, 4); /* id, flags: c-ares has looked at them */
	uint32_t questions = take(&r, 2), answers = take(&r, 2), others = take(&r, 2) + take(&r, 2);

	for (; questions && !r.bad; questions--) {
		take_name(&r, asked);
		take(&r, 4);
	}
	for (; answers && !r.bad; answers--)
		take_record(&r, true, alias, asked, out);
	for (; others && !r.bad; others--)
		take_record(&r, false, alias, asked, out);
	return r.bad ? -EPROTO : 0;
}
