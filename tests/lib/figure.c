#include "tests/lib/figure.h"

#include <stdarg.h>
#include <stdio.h>

void figure(const struct figure *f, const char *conditions, ...)
{
	va_list ap;

	printf("%s\t%.10g\t%s\t%s\t%.10g\t%s\t", f->name, f->value, f->unit, f->aim ? f->aim : "", f->beside, f->floor ? f->floor : "");
	va_start(ap, conditions);
	vprintf(conditions, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}
