/*
 * gzip: one zlib stream, kept between answers because setting one up costs more than a small body. For the loop's thread
 * alone.
 */
#include "daemon/gzip.h"

#include <strings.h>

#include <zlib.h>

#define LEVEL     1  /* JSON shrinks to a seventh; higher levels cost several times as much for a tenth of the rest */
#define WITH_GZIP 31 /* 32 KiB window, gzip header */

bool gzip_is_accepted(const char *header)
{
	for (const char *p = header; p && *p;) {
		size_t n;
		const char *q;

		p += strspn(p, " \t,");
		n = strcspn(p, ",; \t");
		q = p + n + strspn(p + n, " \t;");
		if ((n == 4 && strncasecmp(p, "gzip", 4) == 0) || (n == 1 && *p == '*'))
			return strncasecmp(q, "q=", 2) != 0 || strtod(q + 2, NULL) > 0;
		p += strcspn(p, ",");
	}
	return false;
}

bool gzip_put(struct buf *out, const struct buf *in)
{
	static z_stream z;
	static bool ready;
	size_t before = out->len;
	int rc;

	if (!ready && deflateInit2(&z, LEVEL, Z_DEFLATED, WITH_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	ready = true;
	deflateReset(&z);
	z.next_in = (Bytef *)in->data;
	z.avail_in = (uInt)in->len;
	z.avail_out = (uInt)in->len;
	z.next_out = (Bytef *)buf_room(out, in->len);
	rc = deflate(&z, Z_FINISH);
	if (rc != Z_STREAM_END)
		return false;
	out->len = before + in->len - z.avail_out;
	return true;
}
