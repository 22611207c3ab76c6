/* cmd_operator_api: `operator api`: one request to the agent, with address, token and TLS as every command has them. */
#include <errno.h>
#include <sys/stat.h>

#include "daemon/cli.h"

/* Standard input when it is a file or a pipe. */
static const char *read_body(struct arena *a)
{
	cleanup_buf struct buf b = BUF_INIT;
	struct stat st;
	char piece[65536];
	ssize_t n;

	if (fstat(STDIN_FILENO, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode)))
		return NULL;
	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			buf_put(&b, piece, (size_t)n);
	return b.len ? arena_strdup(a, b.data) : NULL;
}

/* One shell word. */
static void put_word(const char *s)
{
	putchar('\'');
	for (; *s; s++)
		fputs(*s == '\'' ? "'\\''" : (char[]){*s, '\0'}, stdout);
	putchar('\'');
}

/* The same request as a line for the shell; the token stays in its variable. */
static void print_curl(const struct cli *c, const char *method, const char *url, const char *body)
{
	const struct strs *headers = arg_list(c->args, "H");

	printf("curl -X %s", method);
	if (c->unix_socket) {
		fputs(" --unix-socket ", stdout);
		put_word(c->unix_socket);
	}
	if (c->token)
		fputs(" -H \"X-Nomad-Token: ${DROVER_TOKEN:-$NOMAD_TOKEN}\"", stdout);
	for (uint32_t i = 0; i < headers->n; i++) {
		fputs(" -H ", stdout);
		put_word(headers->v[i]);
	}
	if (body)
		fputs(" --data-binary @-", stdout);
	putchar(' ');
	put_word(url);
	putchar('\n');
}

static void print_head(const struct cli_raw *r)
{
	fprintf(stderr, "> %s %s\n", r->method, r->url);
	for (const char *p = r->answer_head; *p; p += strcspn(p, "\n") + (p[strcspn(p, "\n")] == '\n'))
		fprintf(stderr, "< %.*s\n", (int)strcspn(p, "\r\n"), p);
}

static int run_api(struct cmd_args *a)
{
	const char *path = a->pos[0], *method, *filter = arg_str(a, "filter", NULL);
	struct cli_raw r = {.headers = arg_list(a, "H")};
	cleanup_err struct err e = ERR_INIT;
	struct cli c;

	if (cli_open(&c, a) < 0)
		return 1;
	if (strchr(path, ' ') || strstr(path, "://"))
		return cmd_misused(a->cmd, "\"%s\" is no path of the API: expected one such as /v1/jobs", path);
	while (*path == '/')
		path++;
	path = arena_printf(c.arena, str_starts(path, "v1/") ? "/%s" : "/v1/%s", path);
	if (filter)
		path = arena_printf(c.arena, "%s%cfilter=%s", path, strchr(path, '?') ? '&' : '?', cli_escape(&c, filter));
	method = arg_str(a, "X", NULL);
	if (!method || (!str_eq(method, "GET") && !str_eq(method, "HEAD")))
		r.body = read_body(c.arena);
	r.method = method ? method : r.body ? "POST" : "GET";
	r.url = cli_url(&c, path);
	if (arg_bool(a, "dryrun")) {
		print_curl(&c, r.method, r.url, r.body);
		return 0;
	}
	if (cli_raw(&c, &r, &e) < 0)
		return cli_fail("Error performing request", &e);
	if (arg_bool(a, "verbose"))
		print_head(&r);
	fwrite(r.answer, 1, r.answer_len, stdout);
	return r.status >= 200 && r.status < 400 ? 0 : 1;
}

static const struct cmd_flag flags[] = {
    {"X", CMD_STR, "<method>", "Method of the request. Default: POST when there is a body, else GET"},
    {"H", CMD_LIST, "<header>", "Header of the request: 'Name: value'. May be given several times."},
    {"filter", CMD_STR, "<expression>", "Filter of a list, put into the query."},
    {"dryrun", CMD_BOOL, NULL, "Print the request as a line for the shell, and do nothing."},
    {"verbose", CMD_BOOL, NULL, "Print the request line and the answer's head on standard error."},
    {NULL, 0, NULL, NULL},
};

const struct cmd cmds_operator_api[] = {
    {
        .words = "operator api",
        .usage = "[options] <path>",
        .synopsis = "Send a request to the API and print the answer",
        .help = "Sends one request, with address, namespace, token and TLS as all commands have them, and prints the answer's\n"
                "body as it is: `drover operator api /v1/jobs`. A file or pipe on standard input is the body. The exit code\n"
                "is 1 when the answer is an error.\n",
        .flags = flags,
        .min_pos = 1,
        .max_pos = 1,
        .bits = CMD_CLIENT,
        .run = run_api,
    },
    {.words = NULL},
};
