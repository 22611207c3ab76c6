/*
 * api_consul: what drover has in Consul: services and checks of one allocation, as the client that runs it knows them; and the
 * audit of all of it.
 */
#include <errno.h>

#include "base/codec.h"
#include "daemon/audit.h"
#include "daemon/daemon.h"
#include "daemon/jwriter.h"
#include "daemon/logs.h"

/* False: the call is answered, or passed on to the node that has the allocation. */
static bool read_services(struct call *c, struct objs *out)
{
	cleanup_free char *dir = NULL;
	cleanup_err struct err e = ERR_INIT;
	const char *id = call_param(c, "id");

	if (!client_has_alloc(c, id, &dir))
		return false;
	if (client_alloc_services(call_daemon(c)->client, id, call_arena(c), out, &e) >= 0)
		return true;
	call_fail(c, &e);
	return false;
}

static void put_object(struct jwriter *w, const struct type *t, const void *obj)
{
	codec_to_json(w->b, t, obj, CODEC_API, w->indent, w->depth);
}

static void get_services(struct call *c)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct objs list = {0};

	if (!read_services(c, &list))
		return;
	jw_begin(&w, '[');
	OBJS_EACH(&list, struct service_registration, s)
	{
		jw_item(&w);
		put_object(&w, &type_service_registration, s);
	}
	jw_end(&w, ']');
	call_json(c, 200);
}

/* By their ids, as Nomad's own checks. */
static void get_checks(struct call *c)
{
	struct jwriter w = jw_new(call_out(c), call_indent(c));
	struct objs list = {0};
	struct objmap checks = {0};

	if (!read_services(c, &list))
		return;
	OBJS_EACH(&list, struct service_registration, s)
		OBJS_EACH(&s->checks, struct check_result, r)
			objmap_set(call_arena(c), &checks, r->id, r);
	jw_begin(&w, '{');
	for (uint32_t i = 0; i < checks.n; i++) {
		jw_key(&w, checks.v[i].key);
		put_object(&w, &type_check_result, checks.v[i].value);
	}
	jw_end(&w, '}');
	call_json(c, 200);
}

/* ---- the audit: an answer that comes when it is done ---- */

struct auditing {
	struct call *call;
	struct audit *audit; /* NULL once it is done */
};

static void on_audit_closed(void *arg)
{
	struct auditing *x = arg;

	audit_cancel(x->audit);
	free(x);
}

static void on_audited(void *arg, const struct audit_report *report, const struct err *e)
{
	struct auditing *x = arg;
	cleanup_buf struct buf b = BUF_INIT;

	x->audit = NULL;
	if (report)
		codec_to_json(&b, &type_audit_report, report, CODEC_API, call_indent(x->call), 0);
	else
		buf_puts(&b, err_str(e));
	call_set_stream_header(x->call, report ? 200 : e->code == -ENOTSUP ? 501 : e->code == -EACCES ? 403 : 500,
	    report ? "application/json" : "text/plain; charset=utf-8");
	call_stream_put(x->call, b.data, b.len);
	call_stream_end(x->call); /* frees x */
}

static void get_audit(struct call *c)
{
	struct auditing *x = xcalloc(1, sizeof(*x));

	x->call = c;
	x->audit = audit_start(call_daemon(c), on_audited, x);
	call_stream_hold(c, on_audit_closed, x);
}

static const char services_help[] = "services of an allocation in Consul, as its client knows them";
static const char checks_help[] = "checks of an allocation's services by id, with status and output";

const struct route routes_consul[] = {
    {ROUTE_GET | ROUTE_CLIENT, "/v1/allocation/:id/services", get_services, NULL, NULL, services_help},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/allocation/:id/checks", get_checks, NULL, NULL, checks_help},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/allocation/:id/services", get_services, NULL, NULL, services_help},
    {ROUTE_GET | ROUTE_CLIENT, "/v1/client/allocation/:id/checks", get_checks, NULL, NULL, checks_help},
    {ROUTE_GET | ROUTE_SERVER, "/v1/operator/consul/audit", get_audit, NULL, NULL,
        "what should stand in Consul against what does: every difference"},
    {.pattern = NULL},
};
