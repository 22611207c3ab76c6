/* err: a code and a sentence. The struct is its holder's; the sentence is the struct's. */
#include "base/err.h"

#include <assert.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	char *msg = NULL;
	va_list ap;

	assert(code < 0);
	if (!e)
		return code;
	/* The earlier sentence may be one of the arguments: it goes only after formatting. */
	va_start(ap, fmt);
	if (vasprintf(&msg, fmt, ap) < 0)
		die("out of memory while an error was written down");
	va_end(ap);
	free(e->msg);
	*e = (struct err){.code = code, .msg = msg};
	return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char *front = NULL, *msg;
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	if (vasprintf(&front, fmt, ap) < 0)
		die("out of memory while an error was written down");
	va_end(ap);
	msg = xasprintf("%s: %s", front, err_str(e));
	free(front);
	free(e->msg);
	e->msg = msg;
	return e->code;
}

const char *err_str(const struct err *e)
{
	return e->msg ? e->msg : strerror(-e->code);
}

void err_clear(struct err *e)
{
	free(e->msg);
	*e = ERR_INIT;
}
