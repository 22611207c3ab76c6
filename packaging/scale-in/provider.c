#include "packaging/scale-in/provider.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "discovery/fetch.h"

static const struct provider_ops *const providers[] = {&provider_aws, &provider_exec, &provider_http};

const struct provider_ops *provider_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(providers); i++)
		if (str_eq(providers[i]->name, name))
			return providers[i];
	return NULL;
}

void peer_tls_of(const struct peer_tls *from, struct fetch_tls *to)
{
	*to = (struct fetch_tls){.ca_file = from->ca_file,
	    .cert_file = from->cert_file,
	    .key_file = from->key_file,
	    .server_name = from->server_name};
}

int secret_read(const char *path, char **out, struct err *e)
{
	struct buf b = BUF_INIT;
	int rc = file_read(path, 65536, &b, e);

	if (rc >= 0)
		*out = xstrndup(str_or(b.data, ""), strcspn(str_or(b.data, ""), "\r\n"));
	if (b.data)
		explicit_bzero(b.data, b.len);
	buf_free(&b);
	return rc;
}

void provider_put_news(struct buf *out, const struct course *c, const char *event, int64_t remaining)
{
	char text[TIME_STR];

	buf_puts(out, "{\"Event\": ");
	json_put_str(out, event);
	buf_puts(out, ", \"NodeID\": ");
	json_put_str(out, c->node);
	buf_puts(out, ", \"Phase\": ");
	json_put_str(out, phase_name(c->phase));
	buf_puts(out, ", \"Reason\": ");
	json_put_str(out, c->reason);
	buf_puts(out, ", \"Since\": ");
	json_put_str(out, time_format_rfc3339(c->since, text));
	buf_puts(out, ", \"Remaining\": ");
	json_put_int(out, remaining);
	buf_puts(out, "}\n");
}
