/*
 * reload: on SIGHUP the configuration is read again as it was read at the start. What can change while the agent runs does;
 * of everything else that differs the log says that it takes a restart.
 */
#include "daemon/reload.h"

#include "base/log.h"

#define HEADER_MAX (64 * 1024) /* bytes */

struct reload {
	uint32_t taken, left;
};

static void on_changed_option(void *arg, const char *name, const char *value, bool taken)
{
	struct reload *r = arg;

	if (taken) {
		r->taken++;
		log_info("agent", "reload: %s = %s: applied", name, value);
	} else {
		r->left++;
		log_warn("agent", "reload: %s = %s: takes a restart of the agent, which leaves tasks running", name, value);
	}
}

void reload_http_limits(const struct config *c, struct httpd_config *out)
{
	out->max_header = HEADER_MAX;
	out->max_body = (size_t)c->limits.max_body;
	out->header_timeout = c->limits.header_timeout;
	out->idle_timeout = c->limits.idle_timeout;
	out->max_connections = (int)c->limits.http_max_connections;
	out->max_per_client = (int)c->limits.http_max_conns_per_client;
}

int reload_tls(const struct config *c, struct tls **out, struct err *e)
{
	const struct tls_config tc = {
	    .cert_file = c->tls.cert_file,
	    .key_file = c->tls.key_file,
	    .ca_file = c->tls.ca_file,
	    .verify_client = c->tls.verify_https_client,
	    .min_version = c->tls.min_version,
	};

	return tls_new(&tc, out, e);
}

/* The files may be new ones under the same names. */
static void renew_tls(struct daemon *d)
{
	cleanup_err struct err e = ERR_INIT;
	struct tls *tls;

	if (!d->config->tls.http)
		return;
	if (reload_tls(d->config, &tls, &e) < 0) {
		log_error("agent", "reload: %s; the certificates that were read before stay", err_str(&e));
		return;
	}
	httpd_set_tls(d->httpd, tls);
	log_info("agent", "reload: certificates were read again");
}

void reload_config(struct daemon *d)
{
	struct config *next;
	struct reload r = {0};
	struct httpd_config limits = {0};
	cleanup_err struct err e = ERR_INIT;

	if (config_read_again(d->config, &next, &e) < 0) {
		log_error("agent", "reload: %s; nothing was changed", err_str(&e));
		return;
	}
	config_take_changes(d->config, next, on_changed_option, &r);
	config_free(next);
	log_set_level(d->config->log_level);
	log_set_json(d->config->log_json);
	reload_http_limits(d->config, &limits);
	httpd_set_limits(d->httpd, &limits);
	renew_tls(d);
	log_info("agent", "reload: %u applied, %u left for a restart", r.taken, r.left);
}
