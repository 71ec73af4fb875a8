/* FastCGI from the web server's side of the socket, in a time that runs
 * faster: the limits of a connection are minutes. */
#include <fastcgi.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fcgi.h"
#include "stop.h"
#include "testlib.h"

/* How much faster; not so much that a busy machine, whose real time it is that
 * passes, uses up what is to be measured. */
#define SPEED 50
/* Of src/fcgi.c. */
#define MAX_RECEIVE_MS (20 * 1000)
#define RECORD_BYTES   65528
/* Real seconds after which a test hangs. */
#define MAX_TEST_S 60
/* Bytes that no socket holds. */
#define MUCH (8 * 1024 * 1024)

/* How often the worker waited for the web server to take more, and to send
 * more.  Both processes see it. */
static struct waits {
	int out;
	int in;
} *waits;

/* In the place of src/clock.c and of the C library's. */
int64_t
clock_monotonic_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return SPEED * (now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int64_t
clock_now_ms(void)
{
	return 0;
}

void
clock_format_seconds(int64_t ms, char text[CLOCK_TEXT_BYTES])
{
	(void)ms;
	text[0] = '\0';
}

/* By its name for the linker alone: that of the C library's header says that
 * it only writes to fds. */
int faster_poll(struct pollfd *fds, nfds_t n_fds, int ms) __asm__("poll");

int
faster_poll(struct pollfd *fds, nfds_t n_fds, int ms)
{
	struct timespec time = { .tv_sec = ms / SPEED / 1000,
		.tv_nsec = ms / SPEED % 1000 * 1000000L };

	*(fds->events == POLLOUT ? &waits->out : &waits->in) += 1;
	return ppoll(fds, n_fds, &time, NULL);
}

/* Sleeps for so much of the faster time. */
static void
pass(int ms)
{
	struct timespec time = { .tv_sec = ms / SPEED / 1000,
		.tv_nsec = ms / SPEED % 1000 * 1000000L };

	(void)nanosleep(&time, NULL);
}

/* The worker, and where it listens. */
static pid_t		  worker;
static struct sockaddr_un address;
static socklen_t	  address_len;
static cgi_fn		  answer;

static void
work(int fd)
{
	struct error err;

	if (stop_init(0, &err) == -1 || fcgi_serve(fd, answer, NULL, &err) ==
	    -1)
		_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
}

static void
start(cgi_fn fn)
{
	int fd;

	answer = fn;
	waits = mmap(NULL, sizeof(*waits), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(waits, MAP_FAILED);
	/* A name that the kernel chooses. */
	address.sun_family = AF_UNIX;
	address_len = sizeof(address);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address,
	    sizeof(address.sun_family)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address,
	    &address_len), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	worker = fork();
	ck_assert_int_ne(worker, -1);
	if (worker == 0) {
		/* When a test fails, nobody else ends it. */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		work(fd);
	}
	close(fd);
}

static void
stop(void)
{
	int status;

	ck_assert_int_eq(kill(worker, SIGTERM), 0);
	ck_assert_int_eq(waitpid(worker, &status, 0), worker);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EXIT_SUCCESS);
	ck_assert_int_eq(munmap(waits, sizeof(*waits)), 0);
}

static int
connect_worker(void)
{
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address,
	    address_len), 0);
	return fd;
}

static void
append_record(struct buf *out, int type, const void *data, size_t len)
{
	FCGI_Header header = {
		.version = FCGI_VERSION_1,
		.type = (unsigned char)type,
		.requestIdB0 = 1,
		.contentLengthB1 = (unsigned char)(len >> 8),
		.contentLengthB0 = (unsigned char)len,
	};

	buf_append(out, &header, sizeof(header));
	buf_append(out, data, len);
}

/* Sends it in one piece.  False: nobody takes it. */
static bool
send_all(int fd, struct buf *out)
{
	bool is_sent;

	is_sent = send(fd, out->data, out->len, MSG_NOSIGNAL) ==
	    (ssize_t)out->len;
	buf_clear(out);
	return is_sent;
}

/* A request up to its body; length NULL: it has none. */
static void
append_head(struct buf *out, const char *length)
{
	static const FCGI_BeginRequestBody begin = {
		.roleB0 = FCGI_RESPONDER };
	static const char name[] = "CONTENT_LENGTH";
	struct buf	  pair = { 0 };

	append_record(out, FCGI_BEGIN_REQUEST, &begin, sizeof(begin));
	if (length != NULL) {
		buf_append_byte(&pair, sizeof(name) - 1);
		buf_append_byte(&pair, (uint8_t)strlen(length));
		buf_print(&pair, "%s%s", name, length);
		append_record(out, FCGI_PARAMS, pair.data, pair.len);
	}
	append_record(out, FCGI_PARAMS, NULL, 0);
	buf_clear(&pair);
}

static void
send_head(int fd, const char *length)
{
	struct buf out = { 0 };

	append_head(&out, length);
	ck_assert(send_all(fd, &out));
}

/* A piece of the body; an empty one ends it.  False: nobody takes it. */
static bool
send_body(int fd, const char *text)
{
	struct buf out = { 0 };

	append_record(&out, FCGI_STDIN, text, strlen(text));
	return send_all(fd, &out);
}

/* All of a request at once; length as above, body "" when there is none. */
static void
send_request(int fd, const char *length, const char *body)
{
	struct buf out = { 0 };

	append_head(&out, length);
	if (*body != '\0')
		append_record(&out, FCGI_STDIN, body, strlen(body));
	append_record(&out, FCGI_STDIN, NULL, 0);
	ck_assert(send_all(fd, &out));
}

/* All that comes until the worker closes. */
static void
read_all(int fd, struct buf *out)
{
	ssize_t n;

	while ((n = read(fd, buf_reserve(out, 65536), 65536)) > 0)
		out->len += (size_t)n;
}

/* What came, record by record. */
struct found {
	struct buf output;
	int	   ends;	/* of the output */
	int	   finished;	/* the request */
	bool	   is_whole;	/* no record is cut */
};

static void
parse(const struct buf *in, struct found *found)
{
	FCGI_Header header;
	size_t	    at = 0, len;

	*found = (struct found){ .is_whole = true };
	while (at < in->len) {
		found->is_whole = in->len - at >= sizeof(header);
		if (!found->is_whole)
			return;
		memcpy(&header, in->data + at, sizeof(header));
		at += sizeof(header);
		len = (size_t)header.contentLengthB1 << 8 |
		    header.contentLengthB0;
		found->is_whole = in->len - at >= len + header.paddingLength;
		if (!found->is_whole)
			return;
		ck_assert_uint_eq(header.requestIdB0, 1);
		/* Nothing stands behind an end. */
		ck_assert_int_eq(found->finished, 0);
		if (header.type == FCGI_END_REQUEST) {
			found->finished++;
		} else {
			ck_assert_int_eq(header.type, FCGI_STDOUT);
			ck_assert_int_eq(found->ends, 0);
			found->ends += len == 0;
			buf_append(&found->output, in->data + at, len);
		}
		at += len + header.paddingLength;
	}
}

/* The worker answers a request that comes with its end. */
static void
is_served(void)
{
	struct buf   in = { 0 };
	struct found found;
	int	     fd = connect_worker();

	send_request(fd, NULL, "");
	read_all(fd, &in);
	parse(&in, &found);
	ck_assert_int_eq(found.finished, 1);
	close(fd);
	buf_clear(&in);
	buf_clear(&found.output);
}

/* Bytes of a pattern in which none stands where another could. */
static void
append_pattern(struct buf *out, size_t from, size_t len)
{
	for (; len > 0; len--, from++)
		buf_append_byte(out, (uint8_t)(from ^ from >> 8 ^ from >> 16));
}

/* Sizes of pieces, one after the other, as an answer gives them. */
static const size_t pieces[][6] = {
	{ 0 },
	{ 1 },
	{ 16383 },
	{ 16384 },
	{ 16383, 1 },
	{ 16383, 1, 1 },
	{ 16383, 16383 },
	{ 100, 16384 },
	{ 100, 16384, 100 },
	{ RECORD_BYTES },
	{ RECORD_BYTES + 1 },
	{ RECORD_BYTES - 1, 5, RECORD_BYTES + 1, 7 },
	{ 1, 2 * RECORD_BYTES, 3, 16000, 4000, 10 },
	{ 100, 3000000, 100, 20000, 8000, 8000 },
};
static int pieces_case;

static void
answer_pieces(void *ctx, struct cgi *cgi)
{
	struct buf data = { 0 };
	size_t	   sent = 0;
	int	   i;

	(void)ctx;
	for (i = 0; i < LENGTH_OF(pieces[0]); i++) {
		data.len = 0;
		append_pattern(&data, sent, pieces[pieces_case][i]);
		if (data.len > 0)
			(void)cgi->write(cgi->ctx, data.data, data.len);
		sent += data.len;
	}
	buf_clear(&data);
}

/* The web server takes its time now and then, and gets every byte. */
static void
check_pieces(int pause_ms)
{
	struct buf   in = { 0 }, want = { 0 };
	struct found found;
	size_t	     total = 0;
	int	     i, fd;

	start(answer_pieces);
	for (i = 0; i < LENGTH_OF(pieces[0]); i++)
		total += pieces[pieces_case][i];
	fd = connect_worker();
	send_request(fd, NULL, "");
	pass(pause_ms);
	read_all(fd, &in);
	parse(&in, &found);
	ck_assert(found.is_whole);
	ck_assert_int_eq(found.ends, 1);
	ck_assert_int_eq(found.finished, 1);
	append_pattern(&want, 0, total);
	ck_assert_uint_eq(found.output.len, total);
	ck_assert(total == 0 || memcmp(found.output.data, want.data,
	    total) == 0);
	close(fd);
	is_served();
	stop();
	buf_clear(&in);
	buf_clear(&want);
	buf_clear(&found.output);
}

START_TEST(answers_are_whole)
{
	pieces_case = _i;
	check_pieces(0);
}
END_TEST

START_TEST(reader_that_pauses)
{
	pieces_case = LENGTH_OF(pieces) - 1;
	check_pieces(MAX_SEND_MS / 3);
}
END_TEST

/* To the first request; to the next ones nothing. */
static void
answer_much(void *ctx, struct cgi *cgi)
{
	static const char piece[65536];
	static size_t	  sent;

	(void)ctx;
	if (sent > 0)
		return;
	while (sent < MUCH && cgi->write(cgi->ctx, piece, sizeof(piece)) == 0)
		sent += sizeof(piece);
	/* Who goes on all the same is not waited for again. */
	ck_assert_int_eq(cgi->write(cgi->ctx, piece, sizeof(piece)), -1);
	ck_assert_int_eq(cgi->write(cgi->ctx, "x", 1), -1);
}

/* It holds the worker for the time limit, once; then the connection ends in
 * the middle of a record. */
START_TEST(reader_that_stops)
{
	struct buf   in = { 0 };
	struct found found;
	int64_t	     started, took_ms;
	int	     fd;

	start(answer_much);
	fd = connect_worker();
	started = clock_monotonic_ms();
	send_head(fd, _i == 0 ? NULL : "1000");
	ck_assert(send_body(fd, _i == 0 ? "" : "x"));
	is_served();
	took_ms = clock_monotonic_ms() - started;
	ck_assert_int_ge(took_ms, MAX_SEND_MS - 1000);
	ck_assert_int_lt(took_ms, 2 * MAX_SEND_MS);
	ck_assert_int_eq(waits->out, 1);
	read_all(fd, &in);
	parse(&in, &found);
	ck_assert_uint_gt(in.len, 0);
	ck_assert_uint_lt(in.len, MUCH);
	ck_assert(!found.is_whole);
	ck_assert_int_eq(found.finished, 0);
	close(fd);
	stop();
	buf_clear(&in);
	buf_clear(&found.output);
}
END_TEST

static void
answer_little(void *ctx, struct cgi *cgi)
{
	(void)ctx;
	(void)cgi->write(cgi->ctx, "x", 1);
}

/* The answer does not wait for the body; then the worker takes what comes of
 * it, for so long and no longer. */
START_TEST(body_that_never_ends)
{
	char	in[8 + 1 + 8 + 16];
	int64_t started, took_ms;
	int	fd;

	start(answer_little);
	fd = connect_worker();
	started = clock_monotonic_ms();
	send_head(fd, "1000000");
	ck_assert_int_eq(recv(fd, in, sizeof(in), MSG_WAITALL), sizeof(in));
	ck_assert_int_eq(in[sizeof(in) - 16 + 1], FCGI_END_REQUEST);
	ck_assert_int_lt(clock_monotonic_ms() - started, MAX_RECEIVE_MS);
	started = clock_monotonic_ms();
	while (send_body(fd, "y"))
		pass(200);
	took_ms = clock_monotonic_ms() - started;
	ck_assert_int_ge(took_ms, MAX_RECEIVE_MS / 2);
	ck_assert_int_lt(took_ms, 10 * MAX_RECEIVE_MS);
	is_served();
	close(fd);
	stop();
}
END_TEST

/* What has come with the request needs no waiting, nor does the web server
 * have to close first. */
START_TEST(body_that_is_there)
{
	static const struct {
		const char *length, *body;
	} cases[] = { { NULL, "" }, { "0", "" }, { "4", "body" } };
	int fd;

	start(answer_little);
	fd = connect_worker();
	send_request(fd, cases[_i].length, cases[_i].body);
	is_served();
	ck_assert_int_eq(waits->in, 0);
	close(fd);
	stop();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("fcgi");
	TCase *tests = tcase_create("fcgi");

	tcase_set_timeout(tests, MAX_TEST_S);
	tcase_add_loop_test(tests, answers_are_whole, 0, LENGTH_OF(pieces));
	tcase_add_test(tests, reader_that_pauses);
	tcase_add_loop_test(tests, reader_that_stops, 0, 2);
	tcase_add_test(tests, body_that_never_ends);
	tcase_add_loop_test(tests, body_that_is_there, 0, 3);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
