/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to cells. The writers escaped what names hold; whatever is left that a terminal
 * would obey, or that is no UTF-8, or that it cannot show, is a question mark here.
 *
 * Never: a sequence but paint's own colours passes.
 */
#include "cells.h"

#include "../core/write/buf.h"

size_t cell_ink(const char *s, size_t n, unsigned *ink)
{
	unsigned v = 0;

	if (n < 4 || s[0] != 27 || s[1] != '[')
		return 0;
	for (size_t i = 2; i < n && i < 5; i++) {
		if (s[i] == 'm' && i > 2) {
			*ink = v;
			return i + 1;
		}
		if (s[i] < '0' || s[i] > '9')
			return 0;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	return 0;
}

size_t cell_next(const char *s, size_t n, bool utf8, wchar_t *wc, int *cells)
{
	static const unsigned char lead[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	unsigned len = utf8_length(s, n);
	wchar_t c;

	*wc = '?';
	*cells = 1;
	if (!len)
		return 1;
	c = (wchar_t)((unsigned char)s[0] & lead[len]);
	for (unsigned i = 1; i < len; i++)
		c = (wchar_t)(c << 6 | ((unsigned char)s[i] & 0x3f));
	if (c < 32 || c == 127 || (c > 127 && (!utf8 || utf8_deceives(s, len))))
		return len;
	if (c > 127)
		*cells = wcwidth(c);
	if (*cells < 0)
		*cells = 1;
	else
		*wc = c;
	return len;
}
