/*
 * daemon: puts the agent together, runs the loop, takes it apart in reverse order. Tasks are not touched by a stop:
 * their keepers go on without us.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <event2/event.h>
#include <event2/thread.h>
#include <event2/util.h>

#include "agent/link_http.h"
#include "agent/self_drain.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "daemon/consul_rights.h"
#include "daemon/link_local.h"
#include "daemon/members.h"
#include "daemon/notify.h"
#include "daemon/peer.h"
#include "daemon/reload.h"
#include "daemon/server.h"
#include "daemon/sweep.h"
#include "discovery/fetch.h"

#define N_SIGNALS 3
#define LEAVE_SECONDS 5
#define TASK_SECONDS  10 /* more, for the tasks of an agent that keeps nothing: twice the usual kill_timeout */

struct running {
	struct daemon d;
	struct event *signals[N_SIGNALS];
	struct event *leaving; /* bounds an orderly end; NULL while nobody asked for it */
	struct event *emptying; /* the node is being emptied first */
	int lock_fd;
	int exit_code;
};

/* ---- data folder ---- */

/* Locks <data_dir>/agent.lock for the life of the process: one agent for each data folder. The lock is the process' own: a
 * child that it was just about to start when it was killed does not hold it. */
static int lock_data_dir(struct running *r, const char *dir, struct err *e)
{
	cleanup_free char *path = path_join(dir, "agent.lock");
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char pid[24] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0)
		return err_set(e, -errno, "%s: %s", path, strerror(errno));
	if (fcntl(fd, F_SETLK, &whole) < 0) {
		n = pread(fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
		close(fd);
		return err_set(e, -EBUSY, "data_dir %s is in use by another agent (pid %s)", dir, *pid ? pid : "unknown");
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
		n = errno;
		close(fd);
		return err_set(e, (int)-n, "%s: %s", path, strerror((int)n));
	}
	r->lock_fd = fd;
	return 0;
}

/* Nobody else lists it. Tasks of other users, which only root can start, pass through it to their own folders. */
static int open_data_dir(struct running *r, const char *dir, struct err *e)
{
	mode_t mode = geteuid() == 0 ? 0711 : 0700;
	struct stat st;

	if (dir_make(dir, mode, e) < 0)
		return err_wrap(e, "data_dir");
	if (stat(dir, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 0777) != mode && chmod(dir, mode) < 0)
		return err_set(e, -errno, "data_dir %s: %s", dir, strerror(errno));
	if (access(dir, W_OK | X_OK) < 0)
		return err_set(e, -errno, "data_dir %s is not writable for this user: %s", dir, strerror(errno));
	return lock_data_dir(r, dir, e);
}

/* ---- signals ---- */

static void on_left(void *arg)
{
	struct running *r = arg;

	event_base_loopbreak(r->d.base);
}

static void leave_consul(void *arg)
{
	struct running *r = arg;

	members_leave(r->d.members, on_left, r);
}

static void on_leave_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	on_left(arg);
}

static void leave_servers(void *arg)
{
	struct running *r = arg;

	if (r->d.server)
		server_leave(r->d.server, leave_consul, r);
	else
		leave_consul(r);
}

static void leave_now(struct running *r)
{
	const struct timeval most = {LEAVE_SECONDS + (r->d.config->temporary_data ? TASK_SECONDS : 0), 0};

	evtimer_add(r->leaving, &most);
	if (r->d.config->temporary_data && r->d.client)
		client_end(r->d.client, leave_servers, r);
	else
		leave_servers(r);
}

/* A stop that empties the node first takes as long as that does: the service manager is asked for more time again and again. */
static void on_emptying(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	notify_send("STOPPING=1\nSTATUS=emptying the node before the agent stops\nEXTEND_TIMEOUT_USEC=120000000\n");
}

static void on_drained(void *arg, bool complete)
{
	struct running *r = arg;

	(void)complete;
	event_free(STEAL(r->emptying));
	leave_now(r);
}

static void empty_node(struct running *r, const struct self_drain_config *drain)
{
	const struct timeval every = {20, 0};

	r->emptying = event_new(r->d.base, -1, EV_PERSIST, on_emptying, NULL);
	if (!r->emptying)
		die("out of memory");
	evtimer_add(r->emptying, &every);
	event_active(r->emptying, EV_TIMEOUT, 0);
	client_drain(r->d.client, drain, on_drained, r);
}

static void leave(struct running *r)
{
	const struct config *c = r->d.config;
	const struct self_drain_config drain = {c->client.drain.deadline, c->client.drain.force, c->client.drain.ignore_system_jobs};

	r->leaving = evtimer_new(r->d.base, on_leave_timer, r);
	if (!r->leaving)
		die("out of memory");
	if (r->d.client && c->client.drain.enabled)
		empty_node(r, &drain);
	else
		leave_now(r);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct running *r = arg;

	(void)what;
	if (number == SIGHUP) {
		reload_config(&r->d);
		return;
	}
	printf("==> Caught signal: %s\n", number == SIGINT ? "interrupt" : "terminated");
	fflush(stdout);
	if (r->leaving) { /* asked twice */
		event_base_loopbreak(r->d.base);
		return;
	}
	log_info("agent", "requesting shutdown");
	leave(r);
}

static void on_fatal(void *arg)
{
	struct running *r = arg;

	r->exit_code = 1;
	event_base_loopbreak(r->d.base);
}

static void on_newer(void *arg, const char *why)
{
	struct running *r = arg;

	if (r->d.config->client.enabled) {
		log_error("agent", "the server role stays down: %s; the client role goes on", why);
		return;
	}
	log_error("agent", "%s; stopping", why);
	r->exit_code = EXIT_NEWER;
	leave(r);
}

static void catch_signals(struct running *r)
{
	static const int numbers[N_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < N_SIGNALS; i++) {
		r->signals[i] = evsignal_new(r->d.base, numbers[i], on_signal, r);
		if (!r->signals[i] || event_add(r->signals[i], NULL) < 0)
			die("out of memory");
	}
}

/* ---- roles ---- */

static void set_http_port(struct config *c, int port)
{
	const char *colon = strrchr(c->advertise_http, ':');

	if (c->http_port == 0)
		c->advertise_http = arena_printf(c->arena, "%.*s:%d", (int)(colon - c->advertise_http), c->advertise_http, port);
	c->http_port = port;
}

static int start_http(struct daemon *d, struct err *e)
{
	struct config *c = d->config;
	struct httpd_config hc = {.bind_addr = c->bind_addr, .port = c->http_port};
	struct tls *tls = NULL;
	int rc;

	reload_http_limits(c, &hc);
	if (c->tls.http) {
		rc = reload_tls(c, &tls, e);
		if (rc < 0)
			return rc;
	}
	rc = httpd_start(d->base, &hc, d, &d->httpd, e);
	if (rc < 0) {
		tls_free(tls);
		return rc;
	}
	httpd_set_tls(d->httpd, tls);
	set_http_port(c, httpd_port(d->httpd));
	return 0;
}

static int read_id(struct daemon *d, struct err *e)
{
	cleanup_free char *path = path_join(d->config->data_dir, "agent-id");
	cleanup_buf struct buf text = BUF_INIT;
	int rc = file_read(path, 256, &text, e);

	if (rc == 0) {
		text.data[strcspn(text.data, "\n")] = '\0';
		if (uuid_parse(text.data, &d->id) < 0)
			return err_set(e, -EINVAL, "%s: \"%s\" is no id; remove the file, and a new one is made", path, text.data);
	} else if (rc == -ENOENT) {
		d->id = uuid_random();
		uuid_format(d->id, d->id_text);
		rc = file_write_atomic(path, d->id_text, strlen(d->id_text), 0600, true, e);
	}
	uuid_format(d->id, d->id_text);
	return rc;
}

/* ---- Consul ---- */

static void on_service(void *arg, const char *id, enum services_event event, const struct err *e)
{
	struct running *r = arg;

	if (event == SERVICES_FAILED)
		log_warn("consul", "service %s: %s; trying again", id, err_str(e));
	else
		log_debug("consul", "service %s is %s", id, event == SERVICES_REGISTERED ? "registered" : "removed");
	members_on_service(r->d.members, id, event);
	client_on_service(r->d.client, id, event, e);
}

static void on_consul_trouble(void *arg, const struct err *e)
{
	(void)arg;
	if (e)
		log_warn("consul", "%s; trying again", err_str(e));
	else
		log_info("consul", "Consul answers again");
}

static int start_consul(struct running *r, struct err *e)
{
	static const struct services_ops ops = {.on_event = on_service, .on_trouble = on_consul_trouble};
	struct daemon *d = &r->d;
	struct config *c = d->config;
	struct consul_config cc;
	const struct services_config sc = {
	    .owner = d->id_text, .agent = c->name, .address = c->advertise_http, .folder = c->data_dir};
	int rc;

	if (!c->consul.configured)
		return 0;
	config_consul(c, c->arena, &cc);
	rc = consul_new(d->fetcher, &cc, &d->consul, e);
	if (rc < 0)
		return err_wrap(e, "consul");
	d->services = services_new(d->base, d->consul, &sc, &ops, r);
	return 0;
}

static void on_missing_check(void *arg)
{
	struct running *r = arg;

	if (r->d.services)
		services_kick(r->d.services);
}

/* The cluster is known: what this agent registers bears its mark. */
static void on_role(void *arg)
{
	struct running *r = arg;
	const struct state *s = r->d.server ? core_state(server_core(r->d.server)) : NULL;
	char id[UUID_STR];

	if (s && r->d.services && !uuid_is_nil(s->cluster_id))
		services_set_cluster(r->d.services, uuid_format(s->cluster_id, id));
	witness_on_role(r->d.witness);
}

static void on_question(void *arg, struct uuid node)
{
	const struct running *r = arg;

	if (r->d.witness)
		witness_ask(r->d.witness, node);
}

static int start_server(struct running *r, struct err *e)
{
	struct daemon *d = &r->d;
	cleanup_arena struct arena *a = arena_new();
	const struct server_config sc = {
	    .config = d->config,
	    .consul = d->consul,
	    .id = d->id,
	    .check_id = members_session_check(d, a),
	    .check_ttl = MEMBERS_SESSION_TTL,
	    .on_fatal = on_fatal,
	    .on_newer = on_newer,
	    .on_missing_check = on_missing_check,
	    .on_role = on_role,
	    .on_question = on_question,
	    .arg = r,
	};

	if (server_start(d->base, &sc, &d->server, e) < 0)
		return err_wrap(e, "server");
	on_role(r);
	return 0;
}

/* A server that always leads is reached directly; one that may follow passes on what it is asked over HTTP. */
static int make_link(struct daemon *d, struct err *e)
{
	struct config *c = d->config;
	struct link_http_config lc = {
	    .sources = {
	        .own = d->server ? c->advertise_http : NULL,
	        .configured = &c->client.servers,
	        .disk = arena_printf(c->arena, "%s/servers.json", c->client.state_dir),
	        .consul = d->consul,
	        .dns = c->consul.dns,
	        .service = c->consul.server_service_name,
	        .domain = c->consul.dns_domain,
	        .region = c->region,
	        .log = config_given(c, "consul.kv_prefix") ? c->consul.kv_prefix : NULL,
	        .consul_off = c->consul.client_auto_join ? NULL : "consul { client_auto_join = false }",
	        .secure = c->tls.http,
	    },
	};

	if (d->server && !server_replica(d->server)) {
		d->link = link_local_new(d->server, c->advertise_http);
		return 0;
	}
	lc.tls = peer_tls(c);
	evutil_secure_rng_get_bytes(&lc.seed, sizeof(lc.seed));
	return link_http_new(d->fetcher, &lc, &d->link, e);
}

static int start_client(struct daemon *d, struct err *e)
{
	struct config *c = d->config;
	const char *colon = strrchr(c->advertise_http, ':'), *from = c->advertise_http + (*c->advertise_http == '[');
	size_t len = colon ? (size_t)(colon - from) : strlen(from);
	cleanup_free char *bind_ip = xstrndup(from, len && from[len - 1] == ']' ? len - 1 : len);
	const struct client_config cc = {
	    .region = c->region,
	    .datacenter = c->datacenter,
	    .name = c->name,
	    .node_class = c->client.node_class,
	    .node_pool = c->client.node_pool,
	    .data_dir = c->data_dir,
	    .alloc_dir = c->client.alloc_dir,
	    .state_dir = c->client.state_dir,
	    .task_files = d->task_files,
	    .http_addr = c->advertise_http,
	    .bind_ip = bind_ip,
	    .meta = c->client.meta,
	    .drivers_enabled = c->drivers_enabled,
	    .options = c->client.options,
	    .total = {c->client.cpu_total_compute, c->client.memory_total_mb, c->client.disk_total_mb},
	    .reserved = {c->client.reserved_cpu, c->client.reserved_memory, c->client.reserved_disk},
	    .reserved_ports = c->client.reserved_ports,
	    .network_interface = c->client.network_interface,
	    .min_dynamic_port = c->client.min_dynamic_port,
	    .max_dynamic_port = c->client.max_dynamic_port,
	    .max_kill_timeout = c->client.max_kill_timeout,
	    .gc_interval = c->client.gc_interval,
	    .gc_max_allocs = c->client.gc_max_allocs,
	    .gc_disk_usage_threshold = c->client.gc_disk_usage_threshold,
	    .gc_inode_usage_threshold = c->client.gc_inode_usage_threshold,
	    .gc_max_age = c->client.gc_max_age,
	    .cgroup_parent = c->client.cgroup_parent,
	    .consul = d->consul,
	    .services = d->services,
	    .service_name = d->services && c->consul.auto_advertise ? c->consul.client_service_name : NULL,
	};

	if (make_link(d, e) < 0)
		return e->code;
	return client_start(d->base, &cc, d->link, &d->client, e);
}

static const char *yes_no(bool b)
{
	return b ? "true" : "false";
}

static void print_banner(const struct daemon *d)
{
	const struct config *c = d->config;

	for (uint32_t i = 0; i < c->files.n; i++)
		printf("==> Loaded configuration from %s\n", c->files.v[i]);
	if (!c->files.n)
		printf("==> No configuration files loaded\n");
	printf("==> Starting drover agent...\n"
	       "==> drover agent configuration:\n\n"
	       "       Advertise Addrs: HTTP: %s\n"
	       "            Bind Addrs: HTTP: %s:%d\n"
	       "                Client: %s\n"
	       "             Log Level: %s\n"
	       "                Region: %s (DC: %s)\n"
	       "                Server: %s\n"
	       "               Version: %s\n\n"
	       "==> drover agent started! Log data will stream in below:\n\n",
	    c->advertise_http, c->bind_addr, c->http_port, yes_no(c->client.enabled), log_level_name(c->log_level), c->region,
	    c->datacenter, yes_no(c->server.enabled), DROVER_VERSION);
	fflush(stdout);
}

static int start(struct running *r, struct err *e)
{
	struct daemon *d = &r->d;
	struct config *c = d->config;
	int rc = open_data_dir(r, c->data_dir, e);

	if (rc >= 0)
		rc = read_id(d, e);
	if (rc >= 0)
		rc = start_http(d, e);
	if (rc >= 0)
		rc = start_consul(r, e);
	if (rc >= 0 && c->server.enabled)
		rc = start_server(r, e);
	if (rc >= 0) {
		d->members = members_start(d);
		d->witness = witness_start(d);
		d->sweep = sweep_start(d, d->witness);
		catch_signals(r);
		print_banner(d);
	}
	if (rc >= 0 && c->client.enabled) {
		rc = start_client(d, e);
		if (rc < 0)
			err_wrap(e, "client");
	}
	return rc;
}

static void stop(struct running *r)
{
	struct daemon *d = &r->d;

	if (d->client)
		client_stop(d->client);
	if (d->link)
		d->link->ops->close(d->link);
	httpd_stop(d->httpd);
	sweep_stop(d->sweep);
	witness_stop(d->witness);
	members_stop(d->members);
	server_stop(d->server);
	services_free(d->services);
	consul_free(d->consul);
	fetcher_free(d->fetcher);
	for (int i = 0; i < N_SIGNALS; i++)
		if (r->signals[i])
			event_free(r->signals[i]);
	if (r->leaving)
		event_free(r->leaving);
	if (r->emptying)
		event_free(r->emptying);
	if (r->lock_fd >= 0)
		close(r->lock_fd);
}

static struct event_base *make_base(void)
{
	struct event_config *ec = event_config_new();
	struct event_base *base;

	if (!ec)
		die("out of memory");
	/* Adding and removing the same interest within a turn costs no system call. */
	event_config_set_flag(ec, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(ec);
	event_config_free(ec);
	if (!base)
		die("no event loop on this machine");
	return base;
}

/* Returns the limit as it was: tasks get that, for programs that close all descriptors or use select(). */
static int64_t raise_file_limit(void)
{
	struct rlimit lim;
	int64_t old = 0;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		old = (int64_t)lim.rlim_cur;
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	return old;
}

int daemon_run(struct config *c)
{
	struct running r = {.d = {.config = c, .started_at = clock_now()}, .lock_fd = -1};
	cleanup_err struct err e = ERR_INIT;

	mallopt(M_ARENA_MAX, 1);
	arena_keep_chunks();
	umask(022);
	log_set_level(c->log_level);
	log_set_json(c->log_json);
	signal(SIGHUP, SIG_IGN); /* until there is something to reload; before there is any child */
	r.d.task_files = raise_file_limit();
	r.d.base = make_base();
	r.d.fetcher = fetcher_new(r.d.base);
	if (start(&r, &e) < 0) {
		fprintf(stderr, "==> Error starting agent: %s\n", err_str(&e));
		r.exit_code = 1;
	} else {
		notify_send("READY=1\n");
		event_base_dispatch(r.d.base);
		log_info("agent", c->temporary_data ? "shutting down" : "shutting down; tasks go on");
	}
	stop(&r);
	event_base_free(r.d.base);
	if (c->temporary_data && dir_remove(c->data_dir, &e) < 0)
		log_warn("agent", "%s", err_str(&e));
	return r.exit_code;
}
