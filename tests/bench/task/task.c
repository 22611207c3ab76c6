/*
 * The task of the benchmarks, static, so that its own start costs next to nothing.
 *
 *   bench-task                       ends at once
 *   bench-task wait                  until it is killed
 *   bench-task write BYTES PIECE     writes that much to stdout: lines of PIECE bytes below 4096, else plain pieces
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "wait") == 0)
		return pause();
	if (argc < 4 || strcmp(argv[1], "write") != 0)
		return argc == 1 ? 0 : 2;
	long long left = atoll(argv[2]);
	size_t piece = (size_t)atoll(argv[3]);
	char *text = malloc(piece);

	if (!text || !piece)
		return 2;
	memset(text, 'x', piece);
	text[piece - 1] = '\n';
	while (left > 0) {
		ssize_t n = write(1, text, left < (long long)piece ? (size_t)left : piece);

		if (n <= 0)
			return 1;
		left -= n;
	}
	return 0;
}
