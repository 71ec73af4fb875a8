#include "optionslib.h"
#include "words.h"

/* A command line of the bulk mode that is good as it stands. */
#define BULK "--mode bulk --no-upstream-key --upstream https://h/fhir "
#define KEY  "--client-id c --private-key-file k "
/* The largest text that goes into a URL, and one byte more. */
#define MAX_PARAMETER 4096

static void
words_are(char *const *words, const char *expected)
{
	char   text[MAX_TEXT] = "";
	size_t i, len = 0;

	for (i = 0; i < words_count(words); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
		    "%s%s", i > 0 ? "|" : "", words[i]);
	ck_assert_str_eq(text, expected);
}

START_TEST(defaults)
{
	assert_good("--upstream=file:///u");
	ck_assert_int_eq(opts.mode, MODE_API);
	assert_good(BULK);
	ck_assert_int_eq(opts.mode, MODE_BULK);
	ck_assert_ptr_null(opts.bulk.types);
	ck_assert(!opts.bulk.patients);
	ck_assert_ptr_null(opts.bulk.group);
	ck_assert_ptr_null(opts.bulk.filters);
	ck_assert_ptr_null(opts.bulk.elements);
	ck_assert_int_eq(opts.bulk.kick_off, BULK_KICK_OFF_AUTO);
	ck_assert_uint_eq(opts.bulk.max_downloads, 4);
	ck_assert_int_eq(opts.bulk.max_poll_wait_ms, 10 * 60 * 1000);
	ck_assert_int_eq(opts.bulk.save, SAVE_BY_EXPORT);
	ck_assert_ptr_null(opts.bulk.since);
	ck_assert(!opts.bulk.full_refresh);
	ck_assert_int_eq(opts.bulk.overlap_ms, 10 * 60 * 1000);
	ck_assert_uint_eq(opts.bulk.reconcile_every, 0);
	ck_assert(!opts.bulk.quarantines);
	ck_assert_uint_eq(opts.bulk.max_bad, 100);
	ck_assert(!opts.bulk.no_resume);
	ck_assert_ptr_null(opts.bulk.spool);
	ck_assert_ptr_null(opts.bulk.client_id);
	ck_assert_ptr_null(opts.bulk.private_key_file);
	ck_assert_ptr_null(opts.bulk.token_url);
	ck_assert_ptr_null(opts.bulk.token_scope);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

/* What the flags and the variables below both say. */
static void
assert_all_set(void)
{
	ck_assert_int_eq(opts.mode, MODE_BULK);
	words_are(opts.bulk.types, "Condition|Patient");
	words_are(opts.bulk.filters, "Patient?active=true");
	words_are(opts.bulk.elements, "id|Patient.name");
	ck_assert_int_eq(opts.bulk.kick_off, BULK_KICK_OFF_POST);
	ck_assert_uint_eq(opts.bulk.max_downloads, 7);
	ck_assert_int_eq(opts.bulk.max_poll_wait_ms, 5000);
	ck_assert_int_eq(opts.bulk.save, SAVE_MERGE);
	ck_assert_str_eq(opts.bulk.since, "auto");
	ck_assert(opts.bulk.full_refresh);
	ck_assert_int_eq(opts.bulk.overlap_ms, 3600000);
	ck_assert_uint_eq(opts.bulk.reconcile_every, 9);
	ck_assert(opts.bulk.quarantines);
	ck_assert_uint_eq(opts.bulk.max_bad, 3);
	ck_assert(opts.bulk.no_resume);
	ck_assert_str_eq(opts.bulk.spool, "/s");
	ck_assert_str_eq(opts.bulk.client_id, "c");
	ck_assert_str_eq(opts.bulk.private_key_file, "k");
	ck_assert_str_eq(opts.bulk.token_url, "https://h/token");
	ck_assert_str_eq(opts.bulk.token_scope, "system/Patient.rs");
}

/* Each option of the bulk mode; NULL: a switch. */
static const struct {
	const char *flag;
	const char *variable;
	const char *value;
} options[] = {
	{ "--type", "NOMPD_TYPE", "Patient,Condition" },
	{ "--patients", "NOMPD_PATIENTS", NULL },
	{ "--group", "NOMPD_GROUP", "g1" },
	{ "--type-filter", "NOMPD_TYPE_FILTER", "Patient?active=true" },
	{ "--elements", "NOMPD_ELEMENTS", "id,Patient.name" },
	{ "--kick-off", "NOMPD_KICK_OFF", "post" },
	{ "--max-downloads", "NOMPD_MAX_DOWNLOADS", "7" },
	{ "--max-poll-wait", "NOMPD_MAX_POLL_WAIT", "5s" },
	{ "--save", "NOMPD_SAVE", "merge" },
	{ "--since", "NOMPD_SINCE", "auto" },
	{ "--full-refresh", "NOMPD_FULL_REFRESH", NULL },
	{ "--overlap", "NOMPD_OVERLAP", "1h" },
	{ "--reconcile-every", "NOMPD_RECONCILE_EVERY", "9" },
	{ "--on-bad-record", "NOMPD_ON_BAD_RECORD", "quarantine" },
	{ "--max-bad", "NOMPD_MAX_BAD", "3" },
	{ "--no-resume", "NOMPD_NO_RESUME", NULL },
	{ "--spool", "NOMPD_SPOOL", "/s" },
	{ "--client-id", "NOMPD_CLIENT_ID", "c" },
	{ "--private-key-file", "NOMPD_PRIVATE_KEY_FILE", "k" },
	{ "--token-url", "NOMPD_TOKEN_URL", "https://h/token" },
	{ "--token-scope", "NOMPD_TOKEN_SCOPE", "system/Patient.rs" },
};

/* --patients and --group do not go together. */
static bool
is_level(int i)
{
	return strcmp(options[i].flag, "--patients") == 0 ||
	    strcmp(options[i].flag, "--group") == 0;
}

START_TEST(all_flags)
{
	char   words[MAX_TEXT] = "--mode=bulk --upstream https://h/";
	size_t len = strlen(words);
	int    i;

	for (i = 0; i < LENGTH(options); i++) {
		if (!is_level(i))
			len += (size_t)snprintf(words + len,
			    sizeof(words) - len, " %s %s", options[i].flag,
			    options[i].value != NULL ? options[i].value : "");
	}
	assert_good(words);
	assert_all_set();
}
END_TEST

START_TEST(all_variables)
{
	int i;

	setenv("NOMPD_MODE", "bulk", 1);
	setenv("NOMPD_UPSTREAM_URL", "https://h/", 1);
	for (i = 0; i < LENGTH(options); i++) {
		if (!is_level(i))
			setenv(options[i].variable, options[i].value != NULL ?
			    options[i].value : "yes", 1);
	}
	assert_good("");
	assert_all_set();
	ck_assert_str_eq(read_log(), "");
}
END_TEST

START_TEST(levels)
{
	assert_good(BULK "--patients");
	ck_assert(opts.bulk.patients);
	assert_good(BULK "--group Ab-9.z");
	ck_assert_str_eq(opts.bulk.group, "Ab-9.z");
	setenv("NOMPD_PATIENTS", "0", 1);
	assert_good(BULK "--group g");
	ck_assert(!opts.bulk.patients);
	setenv("NOMPD_PATIENTS", "1", 1);
	assert_fault(BULK "--group g", "--group: ", "without --patients");
}
END_TEST

/* As a flag it is a slip; as a variable it waits for the bulk mode. */
START_TEST(not_for_api)
{
	const char *value = options[_i].value;
	char	    words[256];

	(void)snprintf(words, sizeof(words), GOOD "%s %s", options[_i].flag,
	    value != NULL ? value : "");
	assert_fault(words, options[_i].flag, ": want --mode bulk with it");
	(void)snprintf(words, sizeof(words), "--mode api " GOOD "%s %s",
	    options[_i].flag, value != NULL ? value : "");
	assert_fault(words, options[_i].flag, ": want --mode bulk with it");
	setenv(options[_i].variable, value != NULL ? value : "1", 1);
	assert_good(GOOD);
	assert_good("--mode=api " GOOD);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

/* Nor do other commands know them. */
START_TEST(not_for_others)
{
	char words[256];

	(void)snprintf(words, sizeof(words), "reconvert %s %s",
	    options[_i].flag, options[_i].value != NULL ? options[_i].value :
	    "");
	assert_fault(words, options[_i].flag,
	    " does not apply to 'reconvert'");
}
END_TEST

START_TEST(type_values)
{
	assert_good(BULK "--type Patient");
	words_are(opts.bulk.types, "Patient");
	/* Sorted, and each once. */
	assert_good(BULK "--type Patient,Group,Condition,Patient,Group");
	words_are(opts.bulk.types, "Condition|Group|Patient");
	assert_good(BULK "--type PlanDefinition --type Observation");
	words_are(opts.bulk.types, "Observation");
}
END_TEST

START_TEST(filter_values)
{
	setenv("NOMPD_TYPE_FILTER", " Patient?active=true\tObservation?code="
	    "a%7Cb,c&x=?\n", 1);
	assert_good(BULK);
	words_are(opts.bulk.filters,
	    "Patient?active=true|Observation?code=a%7Cb,c&x=?");
	setenv("NOMPD_TYPE_FILTER", "[\"Patient?a=1\",\"Patient?b=2\"]", 1);
	assert_good(BULK);
	words_are(opts.bulk.filters, "Patient?a=1|Patient?b=2");
	/* The last one counts, also of those that are lists. */
	assert_good(BULK "--type-filter A?b=1 --type-filter C?d=2");
	words_are(opts.bulk.filters, "C?d=2");
	assert_good(BULK "--elements id --elements a,b,a");
	words_are(opts.bulk.elements, "a|b|a");
}
END_TEST

START_TEST(instants)
{
	static const char *const good[] = { "2025-04-10T08:30:00Z",
		"2025-04-10T08:30:00.123+02:00" };
	static const char *const bad[] = { "2025-04-10",
		"2025-04-10T08:30:00", "Auto", "yesterday", "2025-02-30T0:0:0Z",
		"1744273800" };
	char words[256];
	int  i;

	for (i = 0; i < LENGTH(good); i++) {
		(void)snprintf(words, sizeof(words), BULK "--since %s",
		    good[i]);
		assert_good(words);
		ck_assert_str_eq(opts.bulk.since, good[i]);
	}
	for (i = 0; i < LENGTH(bad); i++) {
		(void)snprintf(words, sizeof(words), BULK "--since %s",
		    bad[i]);
		assert_fault(words, "--since: ", "want auto, or an instant");
	}
}
END_TEST

static const char *const good_words[] = {
	/* Borders. */
	BULK "--max-downloads 1",
	BULK "--max-downloads 32",
	BULK "--max-poll-wait 1ms",
	BULK "--max-poll-wait 1d",
	BULK "--overlap 0",
	BULK "--overlap 30d",
	BULK "--since auto --reconcile-every 10000",
	BULK "--reconcile-every 0",
	BULK "--max-bad 0",
	BULK "--max-bad 1000000",
	BULK "--kick-off auto --on-bad-record fail --save auto",
	BULK "--kick-off get",
	BULK "--group a234567890123456789012345678901234567890"
	    "123456789012345678901234",
	/* What goes together. */
	BULK "--since auto --save merge",
	BULK "--since auto --save auto",
	BULK "--save overwrite",
	BULK "--since auto --save overwrite --full-refresh",
	BULK "--since auto --reconcile-every 5",
	BULK KEY,
	BULK KEY "--token-url https://h/token?x=1 --token-scope system/*.rs",
	BULK KEY "--token-url http://localhost:8080/token",
	/* With a client's key there need be none for the API. */
	("--mode bulk --upstream https://h/ " KEY),
};

START_TEST(good)
{
	assert_good(good_words[_i]);
	ck_assert_str_eq(read_log(), "");
}
END_TEST

static const struct {
	const char *words;
	const char *name;
	const char *part;
} faults[] = {
	{ GOOD "--mode Bulk", "--mode: ", "want api or bulk; have \"Bulk\"" },
	{ BULK "--type patient", "--type: ", "FHIR resource types" },
	{ BULK "--type Patient,", "--type: ", "Patient,Condition" },
	{ BULK "--type ,Patient", "--type: ", "between commas" },
	{ BULK "--type Patient,,Group", "--type: ", "between commas" },
	{ BULK "--type ,", "--type: ", "between commas" },
	{ BULK "--type Patient/1", "--type: ", "between commas" },
	{ BULK "--type Patient,Quarantine", "--type: ", "have \"Patient,Q" },
	{ BULK "--type SyncHistory", "--type: ", "between commas" },
	{ BULK "--type PlanDefinitions", "--type: ", "between commas" },
	{ BULK "--patients=1", "--patients: want no value", "" },
	{ BULK "--patients --group g", "--group: ", "want it without --pat" },
	{ BULK "--group a/b", "--group: ", "want the id of a Group" },
	{ BULK "--group a_b", "--group: ", "1 to 64 letters" },
	{ BULK "--group a%2Fb", "--group: ", "1 to 64 letters" },
	{ BULK "--group \xc3\xb8", "--group: ", "1 to 64 letters" },
	{ BULK "--group a2345678901234567890123456789012345678901"
	    "234567890123456789012345", "--group: ", "1 to 64 letters" },
	{ BULK "--type-filter Patient", "--type-filter: ", "FHIR searches" },
	{ BULK "--type-filter ?a=b", "--type-filter: ", "FHIR searches" },
	{ BULK "--type-filter Patient?", "--type-filter: ", "between blanks" },
	{ BULK "--type-filter P?\xc3\xb8", "--type-filter: ", "FHIR" },
	{ BULK "--type-filter [\"P?a=1\",1]", "--type-filter: ", "FHIR" },
	{ BULK "--type-filter []", "--type-filter: ", "FHIR searches" },
	{ BULK "--elements id,", "--elements: ", "names of elements" },
	{ BULK "--elements a,\xc3\xb8", "--elements: ", "id,Patient.name" },
	{ BULK "--elements a\tb", "--elements: ", "between commas" },
	{ BULK "--kick-off GET", "--kick-off: ", "want auto, get or post" },
	{ BULK "--max-downloads 0", "--max-downloads: ", "from 1 to 32" },
	{ BULK "--max-downloads 33", "--max-downloads: ", "from 1 to 32" },
	{ BULK "--max-poll-wait 0", "--max-poll-wait: ", "1ms to 1d" },
	{ BULK "--max-poll-wait 86400001ms", "--max-poll-wait: ", "1d" },
	{ BULK "--save append", "--save: ", "auto, overwrite or merge" },
	{ BULK "--overlap -1", "--overlap: ", "from 0s to 30d" },
	{ BULK "--overlap 31d", "--overlap: ", "from 0s to 30d" },
	{ BULK "--since auto --reconcile-every 10001", "--reconcile-every: ",
	    "from 0 to 10000" },
	{ BULK "--since never --reconcile-every 5", "--since: ", "want auto" },
	{ BULK "--on-bad-record skip", "--on-bad-record: ", "quarantine" },
	{ BULK "--max-bad 1000001", "--max-bad: ", "from 0 to 1000000" },
	{ BULK "--max-bad -1", "--max-bad: ", "from 0 to 1000000" },
	{ BULK "--no-resume=1", "--no-resume: want no value", "" },
	{ BULK "--spool ''", "--spool: want a value", "have none" },
	{ BULK KEY "--client-id \xc3\xb8", "--client-id: ", "registered" },
	{ BULK "--client-id \xc3\xb8 --token-url https://h/ "
	    "--private-key-file k", "--client-id: ", "registered" },
	{ "--mode bulk --upstream https://h/ --client-id \xc3\xb8 "
	    "--private-key-file k", "--client-id: ", "registered" },
	{ BULK KEY "--token-url h/token", "--token-url: ", "want the URL" },
	{ BULK KEY "--token-url file:///t", "--token-url: ", "https" },
	{ BULK KEY "--token-url //h/t", "--token-url: ", "want the URL" },
	{ BULK KEY "--token-url https://h/#f", "--token-url: ", "fragment" },
	{ BULK KEY "--token-url https://u:tOpSeCrEt@h/", "--token-url: ",
	    "without user, password" },
	{ BULK KEY "--token-scope a\tb", "--token-scope: ", "between blanks" },
	/* What does not go together. */
	{ "--mode bulk --upstream file:///u", "--upstream: ",
	    "http or https for --mode bulk" },
	{ BULK "--since auto --save overwrite", "--save overwrite: ",
	    "a full export" },
	{ BULK "--since 2025-04-10T08:30:00Z --save overwrite",
	    "--save overwrite: ", "--reconcile-every" },
	{ BULK "--reconcile-every 5", "--reconcile-every: ", "--since auto" },
	{ BULK "--since 2025-04-10T08:30:00Z --reconcile-every 5",
	    "--reconcile-every: ", "--since auto with it" },
	{ BULK "--client-id c", "--private-key-file: ", "keygen" },
	{ BULK "--private-key-file k", "--client-id: ", "registered" },
	{ BULK "--token-url https://h/t", "--token-url: ",
	    "want --client-id with it" },
	{ BULK "--token-scope system/*.rs", "--token-scope: ",
	    "want --client-id with it" },
	{ BULK "--token-url https://h/t --token-scope s", "--token-url: ",
	    "want --client-id with it" },
	{ "--mode bulk --upstream https://h/", "NOMPD_UPSTREAM_API_KEY: ",
	    "--no-upstream-key" },
	/* keygen. */
	{ "keygen --alg ES256", "--alg: ", "want ES384, RS384 or Ed25519" },
	{ "keygen --client-id c", "--client-id does not apply", "keygen" },
	{ BULK "--alg ES384", "--alg does not apply", "a run" },
	{ BULK "--public-jwks-file f", "--public-jwks-file does not", "" },
};

START_TEST(one_fault)
{
	assert_fault(faults[_i].words, faults[_i].name, faults[_i].part);
	ck_assert_ptr_null(strstr(err.text, "tOpSeCrEt"));
	ck_assert_str_eq(read_log(), "");
}
END_TEST

/* A client's key is none for the three lists. */
START_TEST(api_key_in_api_mode)
{
	setenv("NOMPD_CLIENT_ID", "c", 1);
	setenv("NOMPD_PRIVATE_KEY_FILE", "k", 1);
	assert_fault("--upstream https://h/", "NOMPD_UPSTREAM_API_KEY: ",
	    "--no-upstream-key");
	assert_good("--mode bulk --upstream https://h/");
	ck_assert_ptr_null(opts.upstream_key);
}
END_TEST

static const struct {
	const char *start;
	const char *name;
} longest[] = {
	{ BULK "--elements ", "--elements: " },
	{ BULK "--type-filter P?", "--type-filter: " },
	{ BULK "--private-key-file k --client-id ", "--client-id: " },
	{ BULK KEY "--token-url https://h/", "--token-url: " },
};

START_TEST(longest_parameter)
{
	char   words[MAX_TEXT];
	size_t len, value;

	len = (size_t)snprintf(words, sizeof(words), "%s",
	    longest[_i].start);
	/* What stands before the last blank is none of the value. */
	value = (size_t)(strrchr(words, ' ') + 1 - words);
	memset(words + len, 'x', value + MAX_PARAMETER - len);
	words[value + MAX_PARAMETER] = '\0';
	assert_good(words);
	words[value + MAX_PARAMETER] = 'x';
	words[value + MAX_PARAMETER + 1] = '\0';
	assert_fault(words, longest[_i].name, "want ");
}
END_TEST

START_TEST(keygen)
{
	assert_good("keygen");
	ck_assert_int_eq(opts.command, COMMAND_KEYGEN);
	ck_assert_str_eq(opts.bulk.alg, "ES384");
	ck_assert_str_eq(opts.bulk.public_jwks_file, "nompd-jwks.json");
	assert_good("keygen --alg RS384 --private-key-file p "
	    "--public-jwks-file q");
	ck_assert_str_eq(opts.bulk.alg, "RS384");
	ck_assert_str_eq(opts.bulk.private_key_file, "p");
	ck_assert_str_eq(opts.bulk.public_jwks_file, "q");
}
END_TEST

START_TEST(all_faults_at_once)
{
	ck_assert_int_eq(parse("--mode bulk --upstream file:///u --patients "
	    "--group g --since auto --save overwrite --client-id c "
	    "--max-bad x"), -1);
	ck_assert_int_eq(count_lines(err.text), 5);
	ck_assert_ptr_nonnull(strstr(err.text, "--max-bad: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--upstream: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--group: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--save overwrite: "));
	ck_assert_ptr_nonnull(strstr(err.text, "\n--private-key-file: "));
}
END_TEST

static TCase *
cases(void)
{
	TCase *tcase = tcase_create("options_bulk");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults);
	tcase_add_test(tcase, all_flags);
	tcase_add_test(tcase, all_variables);
	tcase_add_test(tcase, levels);
	tcase_add_loop_test(tcase, not_for_api, 0, LENGTH(options));
	tcase_add_loop_test(tcase, not_for_others, 0, LENGTH(options));
	tcase_add_test(tcase, type_values);
	tcase_add_test(tcase, filter_values);
	tcase_add_test(tcase, instants);
	tcase_add_loop_test(tcase, good, 0, LENGTH(good_words));
	tcase_add_loop_test(tcase, one_fault, 0, LENGTH(faults));
	tcase_add_test(tcase, api_key_in_api_mode);
	tcase_add_loop_test(tcase, longest_parameter, 0, LENGTH(longest));
	tcase_add_test(tcase, keygen);
	tcase_add_test(tcase, all_faults_at_once);
	return tcase;
}

int
main(void)
{
	Suite *suite = suite_create("options_bulk");

	suite_add_tcase(suite, cases());
	return test_run(suite);
}
