/* gotmpl: */
#include "daemon/gotmpl.h"

#include <errno.h>

int gotmpl_run(const char *text UNUSED, const struct value *v UNUSED, struct arena *a UNUSED, struct buf *out UNUSED, struct err *e)
{
	return err_set(e, -EINVAL, "-t is not there yet");
}
