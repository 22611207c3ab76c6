#include "tests/lib/consul_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/lib/test.h"

struct consul_server {
	pid_t pid;
	FILE *to, *from;
	char answers[8][512];
	int n;
};

static const char *read_answer(struct consul_server *s, const char *asked)
{
	char *answer = s->answers[s->n++ % ARRAY_LEN(s->answers)];

	if (!fgets(answer, sizeof(s->answers[0]), s->from))
		fail_msg("tests/e2e/consul.py ended (run tests from the top folder); it was asked: %s", asked);
	answer[strcspn(answer, "\n")] = 0;
	return answer;
}

struct consul_server *consul_server_start(const char *options)
{
	struct consul_server *s = xcalloc(1, sizeof(*s));
	cleanup_free char *command = xasprintf("exec python3 tests/e2e/consul.py %s", options);
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		fail_msg("pipe: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	s->pid = fork();
	if (s->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s->to = fdopen(in[1], "w");
	s->from = fdopen(out[0], "r");
	assert_string_equal(read_answer(s, "to start"), "ready");
	return s;
}

void consul_server_stop(struct consul_server *s)
{
	if (!s)
		return;
	fclose(s->to);
	waitpid(s->pid, NULL, 0);
	fclose(s->from);
	free(s);
}

const char *consul_server_ask(struct consul_server *s, const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	fprintf(s->to, "%s\n", command);
	fflush(s->to);
	return read_answer(s, command);
}
