#include <strings.h>

#include "testlib.h"
#include "url.h"

#define BASE "http://h/a/b?q=1#f"
#define FOLDER "file:///data/HreseptGuidelines/PlanDefinition"

static const struct {
	const char *one;
	const char *other;
	bool	    is_same;
} origins[] = {
	{ "http://h/a", "http://h/b?c#d", true },
	{ "http://h", "http://h/", true },
	{ "HTTP://H/", "http://h/", true },
	{ "https://Example.COM/", "https://example.com/", true },
	/* default ports */
	{ "http://h/", "http://h:80/", true },
	{ "https://h/", "https://h:443/", true },
	{ "http://h/", "http://h:/", true },
	{ "http://h:8080/", "http://h:08080/", true },
	{ "http://h/", "http://h:443/", false },
	{ "https://h/", "https://h:80/", false },
	{ "http://h:8080/", "http://h:8081/", false },
	{ "http://h:8080/", "http://h/", false },
	{ "http://h/", "http://h:0/", false },
	{ "http://h/", "http://h:65536/", false },
	/* schemes */
	{ "http://h/", "https://h/", false },
	{ "http://h:443/", "https://h:443/", false },
	{ "http://h/", "ftp://h/", false },
	{ "http://h/", "ftp://h:80/", false },
	{ "http://h/", "file:///h", false },
	{ "http://h/", "javascript:alert(1)", false },
	/* a folder has no origin to keep a key in */
	{ "file:///a", "file:///a", false },
	/* hosts */
	{ "http://h/", "http://g/", false },
	{ "http://h/", "http://hh/", false },
	{ "http://h/", "http://h.x/", false },
	{ "http://h/", "http://x.h/", false },
	{ "http://h/", "http://h./", false },
	{ "http://h./", "http://h./", true },
	{ "http://a.b/", "http://a%2eb/", true },
	{ "http://a.b/", "http://a.b%00.c/", false },
	{ "http://h/", "http://h%20/", false },
	{ "http://h/", "http://h@x/", false },
	{ "http://h/", "http://h:80@x/", false },
	{ "http://h/", "http://x/@h/", false },
	{ "http://h/", "http://x#@h/", false },
	{ "http://h/", "http://x?@h/", false },
	{ "http://h/", "http://h\\@x/", false },
	{ "http://h/", "http://x\\.h/", false },
	{ "http://[::1]/", "http://[::1]:80/", true },
	{ "http://[FE80::A]/", "http://[fe80::a]/", true },
	{ "http://[::1]/", "http://[::2]/", false },
	{ "http://[::1]/", "http://[::1]:81/", false },
	{ "http://[::1]/", "http://[::1/", false },
	{ "http://127.0.0.1/", "http://127.0.0.2/", false },
	/* no URLs */
	{ "h/", "h/", false },
	{ "", "", false },
	{ "http://h/", "/", false },
	{ "http://h/", "", false },
	{ "http://", "http://", false },
};

static const struct {
	const char *url;
	bool	    is_loopback;
} hosts[] = {
	{ "http://localhost/fhir", true },
	{ "http://LOCALHOST:8080/fhir", true },
	{ "https://localhost", true },
	{ "http://127.0.0.1:1/", true },
	{ "http://127.255.0.9/", true },
	{ "http://127.1/", true },
	{ "http://0x7f000001/", true },
	{ "http://[::1]:8080/", true },
	{ "http://[0:0:0:0:0:0:0:1]/", true },
	{ "http://[::2]/", false },
	{ "http://[::]/", false },
	{ "http://0.0.0.0/", false },
	{ "http://128.0.0.1/", false },
	{ "http://10.127.0.0/", false },
	{ "http://127.0.0.1.example.com/", false },
	{ "http://localhost.example.com/", false },
	{ "http://example.com/localhost", false },
	{ "http://example.com/@127.0.0.1", false },
	{ "http://localhost@example.com/", false },
	{ "http://example.com#localhost", false },
	{ "localhost", false },
	{ "", false },
};

START_TEST(loopback)
{
	if (url_is_loopback(hosts[_i].url) != hosts[_i].is_loopback)
		ck_abort_msg("%s", hosts[_i].url);
}
END_TEST

START_TEST(https)
{
	ck_assert(url_is_https("https://h/"));
	ck_assert(url_is_https("HTTPS://h/"));
	ck_assert(!url_is_https("http://h/"));
	ck_assert(!url_is_https("httpsx://h/"));
	ck_assert(!url_is_https("h/https:"));
}
END_TEST

START_TEST(origin)
{
	ck_assert_int_eq(url_is_same_origin(origins[_i].one,
	    origins[_i].other), origins[_i].is_same);
	ck_assert_int_eq(url_is_same_origin(origins[_i].other,
	    origins[_i].one), origins[_i].is_same);
}
END_TEST

static const struct {
	const char *base;
	const char *reference;
	const char *resolved; /* NULL: refused, and then ... */
	const char *message;  /* ... with this in the sentence */
} references[] = {
	/* relative */
	{ BASE, "c", "http://h/a/c", NULL },
	{ BASE, "./c", "http://h/a/c", NULL },
	{ BASE, "../c", "http://h/c", NULL },
	{ BASE, "../../../c", "http://h/c", NULL },
	{ BASE, "c?d=e&f=/../g", "http://h/a/c?d=e&f=/../g", NULL },
	{ BASE, "c#part", "http://h/a/c", NULL },
	{ BASE, "/c", "http://h/c", NULL },
	{ BASE, "?page=2", "http://h/a/b?page=2", NULL },
	{ BASE, "?u=http://x/y", "http://h/a/b?u=http://x/y", NULL },
	{ "http://h", "c", "http://h/c", NULL },
	{ "http://h", "?page=2", "http://h/?page=2", NULL },
	{ "http://h/a/", "c", "http://h/a/c", NULL },
	{ "http://h/a?x=1/2", "c", "http://h/c", NULL },
	{ "http://h:81/a", "c", "http://h:81/c", NULL },
	{ "https://[::1]:81/a", "c", "https://[::1]:81/c", NULL },
	/* another host */
	{ BASE, "//x/c", "http://x/c", NULL },
	{ "https://h/", "//x:81/c", "https://x:81/c", NULL },
	/* absolute */
	{ BASE, "http://h/c", "http://h/c", NULL },
	{ BASE, "https://x/c?d#e", "https://x/c?d", NULL },
	{ BASE, "http://h:80/c", "http://h:80/c", NULL },
	{ BASE, "http://[::1]:81/c", "http://[::1]:81/c", NULL },
	/* what a URL may not hold is escaped, what is escaped stays so */
	{ BASE, "a b", "http://h/a/a%20b", NULL },
	{ BASE, "?name=a b", "http://h/a/b?name=a+b", NULL },
	{ BASE, "http://h/a b?c d", "http://h/a%20b?c+d", NULL },
	{ BASE, "a%20b%2Fc", "http://h/a/a%20b%2fc", NULL },
	{ BASE, "\xc3\xa6", "http://h/a/%c3%a6", NULL },
	/* user names and passwords */
	{ BASE, "http://u:p@h/c", NULL, "user name or password" },
	{ BASE, "http://u@h/c", NULL, "user name or password" },
	{ BASE, "http://:p@h/c", NULL, "user name or password" },
	{ BASE, "//u@h/c", NULL, "user name or password" },
	{ "http://u:p@h/", "c", NULL, "user name or password" },
	/* no URLs of ours */
	{ BASE, "javascript:alert(1)", NULL, "no http(s) URL" },
	{ BASE, "mailto:a@b", NULL, "no http(s) URL" },
	/* What may be a signature is not shown. */
	{ BASE, "http://[x/f?sig=s3cret", NULL, ": http://[x/f" },
	{ BASE, "x:y", NULL, "no http(s) URL" },
	{ BASE, "http://", NULL, "no http(s) URL" },
	{ BASE, "http://h:65536/", NULL, "no http(s) URL" },
	{ BASE, "http://h:x/", NULL, "no http(s) URL" },
	{ BASE, "http://[::1/", NULL, "no http(s) URL" },
	{ BASE, "http://a b/", NULL, "no http(s) URL" },
	{ BASE, "http://h\n/", NULL, "no http(s) URL" },
	{ "h", "c", NULL, "no http(s) URL" },
	{ "", "c", NULL, "no http(s) URL" },
	/* pages in a folder */
	{ FOLDER, "page-2.json",
	    "file:///data/HreseptGuidelines/page-2.json", NULL },
	{ FOLDER, "../page-2", "file:///data/page-2", NULL },
	{ FOLDER, "//h/c", NULL, "no http(s) URL" },
};

START_TEST(resolve)
{
	struct error err;
	char	    *url;
	int	     rc;

	rc = url_resolve(references[_i].base, references[_i].reference, &url,
	    &err);
	if (references[_i].resolved != NULL) {
		ck_assert_int_eq(rc, 0);
		/* libcurl's versions differ in the case of an escape. */
		ck_assert_msg(strcasecmp(url, references[_i].resolved) == 0,
		    "%s", url);
		free(url);
		return;
	}
	ck_assert_int_eq(rc, -1);
	ck_assert_ptr_null(url);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(err.text, references[_i].message));
	ck_assert_ptr_null(strstr(err.text, "s3cret"));
}
END_TEST

/* Those that http may follow. */
static const struct {
	const char *base;
	const char *reference;
	const char *message; /* NULL: none */
} links[] = {
	{ "http://h/a", "b", NULL },
	{ "http://h/a", "https://x/b", NULL },
	{ "https://h/a", "https://x/b", NULL },
	{ "HTTPS://h/a", "HTTPS://x/b", NULL },
	{ "https://h/a", "//x/b", NULL },
	{ "http://h/a", "http://x/b", NULL },
	{ "https://h/a", "http://h/b?secret",
	    "a link from https to http (http://h/b), where anybody could read"
	    " it" },
	{ "HTTPS://h/a", "http://h/", "a link from https to http"
	    " (http://h/), where anybody could read it" },
	{ "http://h/a", "ftp://h/b?secret",
	    "a link that is no http(s) URL: ftp://h/b" },
	{ "http://h/a", "file:///b", "a link that is no http(s) URL:"
	    " file:///b" },
};

START_TEST(resolve_http)
{
	struct error err;
	char	    *url;

	ck_assert_int_eq(url_resolve_http(links[_i].base,
	    links[_i].reference, &url, &err),
	    links[_i].message == NULL ? 0 : -1);
	if (links[_i].message == NULL) {
		ck_assert_ptr_nonnull(url);
		free(url);
		return;
	}
	ck_assert_ptr_null(url);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_str_eq(err.text, links[_i].message);
}
END_TEST

START_TEST(escaped)
{
	struct buf out = { 0 };

	url_append_escaped(&out, "aZ09-._~");
	url_append_escaped(&out, "");
	url_append_escaped(&out, "+ ,%&=?/\xc3\xa6");
	buf_append_byte(&out, 0);
	ck_assert_str_eq((char *)out.data,
	    "aZ09-._~%2B%20%2C%25%26%3D%3F%2F%C3%A6");
	buf_clear(&out);
}
END_TEST

START_TEST(resolve_long)
{
	/* The limit is that of the whole URL. */
	static const size_t room = MAX_URL_BYTES - sizeof("http://h/") + 1;
	const size_t	    lens[] = { room, room + 1, MAX_URL_BYTES + 1,
		1000000 };
	struct error	    err;
	char		   *text, *url;
	int		    i, rc;

	for (i = 0; i < LENGTH_OF(lens); i++) {
		text = xcalloc(1, lens[i] + 1);
		memset(text, 'x', lens[i]);
		rc = url_resolve("http://h/a", text, &url, &err);
		ck_assert_int_eq(rc, i == 0 ? 0 : -1);
		if (i == 0)
			ck_assert_str_eq(url + strlen("http://h/"), text);
		else
			ck_assert_str_eq(err.text,
			    "a link over the limit of 8192 bytes");
		free(url);
		free(text);
	}
}
END_TEST

START_TEST(below)
{
	static const char *const cases[][3] = {
		{ "http://h", "a/b", "http://h/a/b" },
		{ "http://h/", "a/b", "http://h/a/b" },
		{ "http://h/x", "a", "http://h/x/a" },
		{ "http://h/x///", "a", "http://h/x/a" },
		{ "file:///d", "a/b", "file:///d/a/b" },
		{ "file:///", "a", "file:/a" },
		{ "", "a", "/a" },
	};
	char *url;
	int   i;

	for (i = 0; i < LENGTH_OF(cases); i++) {
		url = url_below(cases[i][0], cases[i][1]);
		ck_assert_str_eq(url, cases[i][2]);
		free(url);
	}
}
END_TEST

START_TEST(scheme)
{
	static const char *const with[] = {
		"http://h/", "HTTPS://h/", "file:///a", "x:y", "a.b+c-d:", ":",
		"//h/a", "//",
	};
	static const char *const without[] = {
		"", "a", "a/b:c", "?u=http://h/", "#a:b", "/a:b", "/", "./a:b",
		"?", "../x",
	};
	int i;

	for (i = 0; i < LENGTH_OF(with); i++)
		ck_assert_msg(url_has_scheme(with[i]), "%s", with[i]);
	for (i = 0; i < LENGTH_OF(without); i++)
		ck_assert_msg(!url_has_scheme(without[i]), "%s", without[i]);
	ck_assert(url_is_file("file:///a"));
	ck_assert(url_is_file("FILE:/a"));
	ck_assert(!url_is_file("http://h/file:"));
	ck_assert(!url_is_file("files://h/"));
	ck_assert(!url_is_file("file"));
	ck_assert(!url_is_file(""));
}
END_TEST

static const struct {
	const char *url;
	const char *path; /* NULL: refused */
} files[] = {
	{ "file:///a/b", "/a/b" },
	{ "file:/a/b", "/a/b" },
	{ "FILE:///a", "/a" },
	{ "file://localhost/a", "/a" },
	{ "file://127.0.0.1/a", "/a" },
	{ "file:///", "/" },
	{ "file:///a%20b/c%C3%A6", "/a b/c\xc3\xa6" },
	{ "file:///a%2Fb", "/a/b" },
	{ "file:///a%25b", "/a%b" },
	{ "file:///a%", "/a%" },
	{ "file:///a%zz", "/a%zz" },
	{ "file:///a+b", "/a+b" },
	{ "file:///a?b#c", "/a" },
	{ "file:///a%3Fb%23c", "/a?b#c" },
	{ "file:///a%00b", NULL },
	{ "file:///%00", NULL },
	{ "file:///a b", NULL },
	{ "file://h/a", NULL },
	{ "file://h", NULL },
	{ "file://", NULL },
	{ "file:a", NULL },
	{ "a", NULL },
	{ "/a", NULL },
	{ "", NULL },
};

START_TEST(file_path)
{
	struct error err;
	char	    *path;
	int	     rc;

	rc = url_file_path(files[_i].url, &path, &err);
	if (files[_i].path != NULL) {
		ck_assert_int_eq(rc, 0);
		ck_assert_str_eq(path, files[_i].path);
		free(path);
		return;
	}
	ck_assert_int_eq(rc, -1);
	ck_assert_ptr_null(path);
	ck_assert_int_eq(err.status, STATUS_USAGE);
	ck_assert_ptr_nonnull(strstr(err.text, files[_i].url));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("url");
	TCase *tests = tcase_create("url");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, origin, 0, LENGTH_OF(origins));
	tcase_add_loop_test(tests, resolve, 0, LENGTH_OF(references));
	tcase_add_loop_test(tests, resolve_http, 0, LENGTH_OF(links));
	tcase_add_test(tests, escaped);
	tcase_add_test(tests, resolve_long);
	tcase_add_test(tests, below);
	tcase_add_test(tests, scheme);
	tcase_add_loop_test(tests, file_path, 0, LENGTH_OF(files));
	tcase_add_loop_test(tests, loopback, 0, LENGTH_OF(hosts));
	tcase_add_test(tests, https);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
