#include "request.h"
#include "testlib.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16

/* Bytes of a header's value that a test makes up. */
#define MAX_TEST_VALUE (2 * MAX_VALIDATOR_BYTES)

/* The variables of a web server: name, value, name, value, NULL. */
static const char *
find_param(void *ctx, const char *name)
{
	const char *const *pair;

	for (pair = ctx; *pair != NULL; pair += 2) {
		if (strcmp(pair[0], name) == 0)
			return pair[1];
	}
	return NULL;
}

static void
read_request(struct request *request, const char **params)
{
	const struct cgi cgi = { .param = find_param, .ctx = params };

	memset(request, 'x', sizeof(*request));
	request_read(request, &cgi);
}

START_TEST(all_is_read)
{
	static const char *params[] = {
		"REQUEST_METHOD", "GET",
		"PATH_INFO", "/api/v1/treatmentGroup",
		"SCRIPT_NAME", "/medicine",
		"QUERY_STRING", "sinceVersion=5",
		"HTTP_X_API_KEY", "k3y",
		"HTTP_IF_NONE_MATCH", "W/\"5\"",
		"HTTP_X_REQUEST_ID", "r-1", NULL };
	struct request	   request;

	read_request(&request, params);
	ck_assert_str_eq(request.method, "GET");
	ck_assert_str_eq(request.path, "/api/v1/treatmentGroup");
	ck_assert_str_eq(request.query, "sinceVersion=5");
	ck_assert_str_eq(request.key, "k3y");
	ck_assert_str_eq(request.validator, "W/\"5\"");
	ck_assert_str_eq(request.id, "r-1");
	ck_assert_str_eq(request.holder.name, "");
	/* Borrowed, as it is. */
	ck_assert_ptr_eq(request.key, params[9]);
	ck_assert_ptr_eq(request.query, params[7]);
}
END_TEST

START_TEST(nothing_is_there)
{
	static const char *params[] = { NULL };
	struct request	   request;

	read_request(&request, params);
	ck_assert_str_eq(request.method, "");
	ck_assert_str_eq(request.path, "");
	ck_assert_str_eq(request.query, "");
	ck_assert_ptr_null(request.key);
	ck_assert_ptr_null(request.validator);
	ck_assert_str_eq(request.holder.name, "");
	ck_assert_uint_gt(strlen(request.id), 0);
}
END_TEST

static const struct {
	const char *path_info;	 /* NULL: not there */
	const char *script_name;
	const char *path;
} paths[] = {
	{ "/a", "/b", "/a" },
	{ "/a", "", "/a" },
	{ "/a", NULL, "/a" },
	{ "", "/b", "/b" },
	{ NULL, "/b", "/b" },
	{ "", "", "" },
	{ NULL, NULL, "" },
	{ "", NULL, "" },
	/* What it is mounted below is not in it. */
	{ "/health/live", "/medicine/nompd", "/health/live" },
	/* As it comes: the routes judge it. */
	{ "/API/v1/x/", "/b", "/API/v1/x/" },
	{ "/", "/b", "/" },
	{ "/a?b", "", "/a?b" },
};

START_TEST(path_values)
{
	const char    *params[5] = { NULL };
	struct request request;
	int	       n = 0;

	if (paths[_i].path_info != NULL) {
		params[n++] = "PATH_INFO";
		params[n++] = paths[_i].path_info;
	}
	if (paths[_i].script_name != NULL) {
		params[n++] = "SCRIPT_NAME";
		params[n++] = paths[_i].script_name;
	}
	read_request(&request, params);
	ck_assert_str_eq(request.path, paths[_i].path);
}
END_TEST

#define S16  "/abcdefghijklmno"
#define S256 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16 S16

static const struct {
	const char *path_info;
	const char *script_name; /* NULL: not there */
	const char *prefix;
} prefixes[] = {
	{ "/a", "/medicine", "/medicine" },
	{ "/a", "/Medicine/nompd-1.0_x", "/Medicine/nompd-1.0_x" },
	{ "/a", S256 S256 S256 S256, S256 S256 S256 S256 },
	{ "/a", "", "" },
	{ "/a", NULL, "" },
	/* The name is the path. */
	{ "", "/a", "" },
	/* What does not stand in a URL as it is, or would be another. */
	{ "/a", S256 S256 S256 S256 "/", "" },
	{ "/a", S256 S256 S256 S256 "x", "" },
	{ "/a", "/", "" },
	{ "/a", "/b/", "" },
	{ "/a", "//b", "" },
	{ "/a", "b", "" },
	{ "/a", "b/c", "" },
	{ "/a", "/b c", "" },
	{ "/a", "/b\r\nSet-Cookie: c", "" },
	{ "/a", "/b%0a", "" },
	{ "/a", "/b?c", "" },
	{ "/a", "/\xc3\xa5", "" },
	{ "/a", "http://b/c", "" },
};

START_TEST(prefix_values)
{
	const char    *params[] = { "PATH_INFO", prefixes[_i].path_info,
		"SCRIPT_NAME", prefixes[_i].script_name, NULL };
	struct request request;

	if (prefixes[_i].script_name == NULL)
		params[2] = NULL;
	read_request(&request, params);
	ck_assert_str_eq(request.prefix, prefixes[_i].prefix);
}
END_TEST

static const struct {
	const char *id;
	bool	    is_taken;
} ids[] = {
	{ "a", true },
	{ "0", true },
	{ ".", true },
	{ "_", true },
	{ "-", true },
	{ "abcdefghijklmnopqrstuvwxyz", true },
	{ "ABCDEFGHIJKLMNOPQRSTUVWXYZ", true },
	{ "0123456789._-", true },
	{ "1b4e28ba-2fa1-11d2-883f-0016d3cca427", true },
	{ A64, true },
	{ A64 "a", false },
	{ A64 A64, false },
	{ "", false },
	{ " ", false },
	{ " a", false },
	{ "a ", false },
	{ "a b", false },
	{ "a\nb", false },
	{ "a\n", false },
	{ "a\r", false },
	{ "a\tb", false },
	{ "a\x1b", false },
	{ "a\x7f", false },
	{ "a\"b", false },
	{ "a/b", false },
	{ "a:b", false },
	{ "a,b", false },
	{ "a=b", false },
	{ "a+b", false },
	{ "a@b", false },
	{ "a%62", false },
	{ "\xc3\xb8", false },
	/* A key in the wrong header is in no log. */
	{ "nompd_", false },
	{ "nompd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },
	{ "x-nompd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },
	{ "NOMPD_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },
	{ "x.NomPd_a", false },
	{ "nompd-1", true },
};

START_TEST(id_values)
{
	const char    *params[] = { "HTTP_X_REQUEST_ID", ids[_i].id, NULL };
	struct request request;

	read_request(&request, params);
	if (ids[_i].is_taken) {
		ck_assert_str_eq(request.id, ids[_i].id);
	} else {
		ck_assert_str_ne(request.id, ids[_i].id);
		ck_assert_uint_eq(strlen(request.id), 16);
		ck_assert_uint_eq(strspn(request.id, "0123456789abcdef"), 16);
	}
}
END_TEST

START_TEST(new_ids_differ)
{
	static const char *params[] = { NULL };
	struct request	   request[50];
	int		   i, j;

	for (i = 0; i < LENGTH_OF(request); i++) {
		read_request(&request[i], params);
		for (j = 0; j < i; j++)
			ck_assert_str_ne(request[i].id, request[j].id);
	}
}
END_TEST

static const struct {
	size_t len;
	bool   is_there;
} validators[] = {
	{ 0, true },
	{ 1, true },
	{ MAX_VALIDATOR_BYTES - 1, true },
	{ MAX_VALIDATOR_BYTES, true },
	{ MAX_VALIDATOR_BYTES + 1, false },
	{ MAX_TEST_VALUE, false },
};

START_TEST(validator_values)
{
	char	       value[MAX_TEST_VALUE + 1];
	const char    *params[] = { "HTTP_IF_NONE_MATCH", value, NULL };
	struct request request;

	memset(value, '"', sizeof(value));
	value[validators[_i].len] = '\0';
	read_request(&request, params);
	if (validators[_i].is_there)
		ck_assert_str_eq(request.validator, value);
	else
		ck_assert_ptr_null(request.validator);
}
END_TEST

/* An empty key is one that was given; apikey_check() judges it. */
START_TEST(empty_key)
{
	static const char *params[] = { "HTTP_X_API_KEY", "", NULL };
	struct request	   request;

	read_request(&request, params);
	ck_assert_ptr_nonnull(request.key);
	ck_assert_str_eq(request.key, "");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("request");
	TCase *tests = tcase_create("request");

	tcase_add_test(tests, all_is_read);
	tcase_add_test(tests, nothing_is_there);
	tcase_add_loop_test(tests, path_values, 0, LENGTH_OF(paths));
	tcase_add_loop_test(tests, prefix_values, 0, LENGTH_OF(prefixes));
	tcase_add_loop_test(tests, id_values, 0, LENGTH_OF(ids));
	tcase_add_test(tests, new_ids_differ);
	tcase_add_loop_test(tests, validator_values, 0, LENGTH_OF(validators));
	tcase_add_test(tests, empty_key);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
