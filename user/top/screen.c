/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal, through curses, without ever waiting for it.
 *
 * Curses writes into a file in memory; what it wrote is one record of the session's
 * sink, which hands the terminal as much as it takes. A picture is only made when the
 * one before is out, so a slow line gets fewer pictures and the tracing goes on. The
 * terminal's modes are ours alone: curses never sees a terminal on its output.
 *
 * Never: a byte on stdout by another way; a handler for a signal that ends the run
 * (those come by the session's descriptor); a wait for a key.
 */
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "cells.h"
#include "guard.h"
#include "screen.h"

struct screen {
	SCREEN *curses;
	FILE *memory, *keyboard;
	int memory_fd, key_fd;
	struct sink *out;
	struct termios before, ours;
	struct guard *guard;
	bool on, color, utf8, keyboard_opened;
	int rows, cols;
};

enum { PAIR_GOOD = 1, PAIR_WARN, PAIR_BAD, ESCAPE_MS = 25 };

/* ---- before it is taken over -------------------------------------------------------------- */

static int refuse(char *msg, size_t len, const char *what, const char *why)
{
	snprintf(msg, len, "top: %s%s", what, why);
	return -1;
}

static bool terminal_knows(const char *capability)
{
	const char *s = tigetstr(capability);

	return s && s != (const char *)-1;
}

static int check_terminal(char *msg, size_t len)
{
	const char *term = getenv("TERM");
	int err;

	if (!isatty(STDOUT_FILENO))
		return refuse(msg, len, "stdout is not a terminal",
			      " (watch and stuck --watch write to anything)");
	if (!term || !*term || setupterm(NULL, STDOUT_FILENO, &err))
		return refuse(msg, len, "TERM is not set to a terminal that terminfo knows", "");
	if (!terminal_knows("cup") || !terminal_knows("clear"))
		return refuse(msg, len, "this terminal (TERM) cannot move its cursor", "");
	return 0;
}

/* A recording may come on stdin: the keyboard is the terminal's then. */
static int open_keyboard(struct screen *s, char *msg, size_t len)
{
	s->keyboard = stdin;
	if (!isatty(STDIN_FILENO)) {
		int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

		s->keyboard = fd < 0 ? NULL : fdopen(fd, "r");
		if (!s->keyboard)
			return refuse(msg, len, "no keyboard: stdin is not a terminal", "");
		s->keyboard_opened = true;
	}
	s->key_fd = fileno(s->keyboard);
	if (tcgetattr(s->key_fd, &s->before))
		return refuse(msg, len, "the terminal's modes: ", strerror(errno));
	return 0;
}

static void choose_alphabet(struct screen *s)
{
	const char *now = setlocale(LC_CTYPE, "");

	/* A locale that is named and not installed; the terminal is one of UTF-8 all the same. */
	if (!now)
		now = setlocale(LC_CTYPE, "C.UTF-8");
	s->utf8 = now && !strcmp(nl_langinfo(CODESET), "UTF-8");
}

int screen_new(struct screen **out, bool color, char *msg, size_t len)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (!s)
		return refuse(msg, len, "out of memory", "");
	s->memory_fd = -1;
	s->color = color;
	if (check_terminal(msg, len) || open_keyboard(s, msg, len))
		goto fail;
	choose_alphabet(s);
	s->memory_fd = memfd_create("tcptrail-screen", MFD_CLOEXEC);
	s->memory = s->memory_fd < 0 ? NULL : fdopen(s->memory_fd, "r+");
	if (!s->memory || guard_start(&s->guard, s->key_fd)) {
		refuse(msg, len, "the screen: ", strerror(errno));
		goto fail;
	}
	*out = s;
	return 0;
fail:
	screen_free(s);
	return -1;
}

/* ---- the modes ------------------------------------------------------------------------------- */

static void on_winch(int signal_no)
{
	/* only so that poll() comes back */
}

static void take_signals(void)
{
	struct sigaction winch = {.sa_handler = on_winch}, ignore = {.sa_handler = SIG_IGN};

	/* Before curses looks: it leaves alone what is not the default. */
	sigaction(SIGWINCH, &winch, NULL);
	sigaction(SIGTSTP, &ignore, NULL);
}

static void take_modes(struct screen *s)
{
	s->ours = s->before;
	s->ours.c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	s->ours.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IGNCR | IXON | BRKINT | ISTRIP);
	s->ours.c_oflag &= (tcflag_t)~OPOST;
	s->ours.c_cc[VMIN] = 1;
	s->ours.c_cc[VTIME] = 0;
	tcsetattr(s->key_fd, TCSANOW, &s->ours);
}

static void ask_size(const struct screen *s, int *rows, int *cols)
{
	struct winsize w = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && ioctl(s->key_fd, TIOCGWINSZ, &w))
		w.ws_row = 0;
	*rows = w.ws_row ? w.ws_row : 24;
	*cols = w.ws_col ? w.ws_col : 80;
}

/* Curses cannot ask: its output is no terminal. It reads these. */
static void tell_size(struct screen *s)
{
	char number[12];

	ask_size(s, &s->rows, &s->cols);
	snprintf(number, sizeof(number), "%d", s->rows);
	setenv("LINES", number, 1);
	snprintf(number, sizeof(number), "%d", s->cols);
	setenv("COLUMNS", number, 1);
	use_env(TRUE);
}

/* What curses wrote, as one record; the file begins anew. */
static void send(struct screen *s)
{
	off_t len = lseek(s->memory_fd, 0, SEEK_CUR);
	struct buf *b = sink_begin(s->out);

	if (len > 0 && buf_room(b, (size_t)len)) {
		ssize_t n = pread(s->memory_fd, b->data + b->len, (size_t)len, 0);

		b->len += n > 0 ? (size_t)n : 0;
	}
	sink_commit(s->out);
	lseek(s->memory_fd, 0, SEEK_SET);
}

int screen_open(struct screen *s, struct sink *out)
{
	static const short colors[] = {
		[PAIR_GOOD] = COLOR_GREEN, [PAIR_WARN] = COLOR_YELLOW, [PAIR_BAD] = COLOR_RED};

	s->out = out;
	take_signals();
	tell_size(s);
	s->curses = newterm(NULL, s->memory, s->keyboard);
	if (!s->curses)
		return -ENOMEM;
	take_modes(s);
	s->on = true;
	guard_screen(s->guard, true);
	set_escdelay(ESCAPE_MS);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	leaveok(stdscr, FALSE);
	intrflush(stdscr, FALSE);
	s->color = s->color && has_colors() && start_color() != ERR;
	if (s->color) {
		use_default_colors();
		for (int i = PAIR_GOOD; i <= PAIR_BAD; i++)
			init_pair((short)i, colors[i], -1);
	}
	send(s);
	return 0;
}

void screen_leave(struct screen *s)
{
	if (!s->on)
		return;
	s->on = false;
	curs_set(1);
	endwin();
	send(s);
}

void screen_free(struct screen *s)
{
	if (!s)
		return;
	if (s->curses) {
		tcsetattr(s->key_fd, TCSANOW, &s->before);
		guard_screen(s->guard, false);
		delscreen(s->curses);
	}
	guard_end(s->guard);
	if (s->memory)
		fclose(s->memory);
	else if (s->memory_fd >= 0)
		close(s->memory_fd);
	if (s->keyboard_opened)
		fclose(s->keyboard);
	free(s);
}

void screen_note(struct screen *s, const char *text, size_t len)
{
	guard_say(s->guard, text, len);
}

void screen_suspend(struct screen *s)
{
	endwin();
	send(s);
	sink_drain(s->out, 1000);
	tcsetattr(s->key_fd, TCSANOW, &s->before);
	guard_screen(s->guard, false);
}

void screen_resume(struct screen *s)
{
	tcgetattr(s->key_fd, &s->before);
	take_modes(s);
	guard_screen(s->guard, true);
	screen_repaint(s);
}

/* ---- size and keys ---------------------------------------------------------------------------- */

int screen_fd(const struct screen *s)
{
	return s->on ? s->key_fd : -1;
}

bool screen_gone(const struct screen *s)
{
	struct pollfd p = {.fd = s->key_fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

bool screen_color(const struct screen *s)
{
	return s->color;
}

bool screen_utf8(const struct screen *s)
{
	return s->utf8;
}

int screen_rows(const struct screen *s)
{
	return s->rows;
}

int screen_cols(const struct screen *s)
{
	return s->cols;
}

bool screen_resized(struct screen *s)
{
	int rows, cols;

	ask_size(s, &rows, &cols);
	if (rows == s->rows && cols == s->cols)
		return false;
	s->rows = rows;
	s->cols = cols;
	resizeterm(rows, cols);
	/* The terminal has moved what was there, and scrolls within what was its height. */
	if (change_scroll_region)
		putp(tiparm(change_scroll_region, 0, rows - 1));
	screen_repaint(s);
	return true;
}

static const struct {
	int curses, ours;
} keys[] = {
	{KEY_UP, KEY_IS_UP},
	{KEY_DOWN, KEY_IS_DOWN},
	{KEY_LEFT, KEY_IS_LEFT},
	{KEY_RIGHT, KEY_IS_RIGHT},
	{KEY_PPAGE, KEY_IS_PAGE_UP},
	{KEY_NPAGE, KEY_IS_PAGE_DOWN},
	{KEY_HOME, KEY_IS_HOME},
	{KEY_END, KEY_IS_END},
	{KEY_FIND, KEY_IS_HOME},
	{KEY_SELECT, KEY_IS_END},
	{KEY_BACKSPACE, KEY_IS_BACKSPACE},
	{KEY_DC, KEY_IS_DELETE},
	{KEY_BTAB, KEY_IS_BACKTAB},
	{KEY_ENTER, KEY_IS_ENTER},
};

int screen_key(struct screen *s)
{
	wint_t key;
	int kind = wget_wch(stdscr, &key);

	if (kind == ERR)
		return KEY_IS_NONE;
	if (kind != KEY_CODE_YES && key == '\n')
		return KEY_IS_ENTER;
	if (kind != KEY_CODE_YES && (key == '\b' || key == 127))
		return KEY_IS_BACKSPACE;
	if (kind != KEY_CODE_YES)
		return (int)key;
	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i].curses == (int)key)
			return keys[i].ours;
	return KEY_IS_OTHER;
}

/* ---- a picture --------------------------------------------------------------------------------- */

bool screen_ready(const struct screen *s)
{
	return s->on && !sink_pending(s->out);
}

void screen_begin(struct screen *s)
{
	erase();
}

void screen_end(struct screen *s, int y, int x)
{
	curs_set(y >= 0);
	move(y >= 0 ? y : s->rows - 1, y >= 0 ? x : 0);
	wnoutrefresh(stdscr);
	doupdate();
	send(s);
}

void screen_repaint(struct screen *s)
{
	clearok(curscr, TRUE);
}

static attr_t attributes(const struct screen *s, unsigned look, unsigned ink, short *pair)
{
	attr_t a = 0;

	*pair = 0;
	if (look & LOOK_BOLD || ink == 1)
		a |= WA_BOLD;
	if (look & LOOK_REVERSE)
		a |= WA_REVERSE;
	if (look & LOOK_DIM || ink == 2)
		a |= s->color ? WA_DIM : 0;
	if (!s->color)
		return a;
	if (look & LOOK_BAD || ink == 31)
		*pair = PAIR_BAD;
	else if (look & LOOK_WARN || ink == 33)
		*pair = PAIR_WARN;
	else if (ink == 32)
		*pair = PAIR_GOOD;
	return a;
}

int screen_columns(const struct screen *s, const char *text, size_t len)
{
	int total = 0, cells;
	unsigned ink;
	wchar_t wc;

	for (size_t i = 0, n; i < len; i += n) {
		n = cell_ink(text + i, len - i, &ink);
		if (n)
			continue;
		n = cell_next(text + i, len - i, s->utf8, &wc, &cells);
		total += cells;
	}
	return total;
}

static void put_cell(const struct screen *s, int y, int x, wchar_t wc, unsigned look, unsigned ink)
{
	wchar_t chars[] = {wc, 0};
	cchar_t cell;
	short pair;
	attr_t a = attributes(s, look, ink, &pair);

	if (setcchar(&cell, chars, a, pair, NULL) != ERR)
		mvadd_wch(y, x, &cell);
}

int screen_text(struct screen *s, int y, int x, int width, const char *text, size_t len,
		unsigned look)
{
	int at = 0, cells;
	unsigned ink = 0;
	bool cut;
	wchar_t wc;

	if (y < 0 || y >= s->rows || x < 0 || x >= s->cols)
		return 0;
	width = x + width > s->cols ? s->cols - x : width;
	cut = screen_columns(s, text, len) > width;
	for (size_t i = 0, n; i < len && width > 0; i += n) {
		n = cell_ink(text + i, len - i, &ink);
		if (n)
			continue;
		n = cell_next(text + i, len - i, s->utf8, &wc, &cells);
		if (at + cells > width - cut) {
			put_cell(s, y, x + at++, s->utf8 ? L'…' : '.', look, ink);
			break;
		}
		if (cells)
			put_cell(s, y, x + at, wc, look, ink);
		at += cells;
	}
	return at;
}

void screen_fill(struct screen *s, int y, int x, int width, unsigned look)
{
	for (int i = 0; i < width && x + i < s->cols && y < s->rows; i++)
		put_cell(s, y, x + i, ' ', look, 0);
}
