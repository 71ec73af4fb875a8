#include "bulk_manifest.h"
#include "testlib.h"

#define URL  "https://h/fhir/jobs/1?x=y"
#define TIME "'transactionTime':'2025-04-10T08:30:00.5Z'"

static struct bulk_manifest manifest;
static struct error	    err;

static int
add(const char *json, const char *url)
{
	char *text = test_quotes(json);
	int   rc;

	rc = bulk_manifest_add(&manifest, (uint8_t *)text, strlen(text), url,
	    &err);
	free(text);
	return rc;
}

static void
is_file(enum bulk_list list, size_t i, const char *url, const char *type,
    int64_t count, int64_t size)
{
	const struct bulk_file *file;

	ck_assert_uint_lt(i, manifest.lists[list].n);
	file = &manifest.lists[list].files[i];
	ck_assert_str_eq(file->url, url);
	if (type == NULL)
		ck_assert_ptr_null(file->type);
	else
		ck_assert_str_eq(file->type, type);
	ck_assert_int_eq(file->count, count);
	ck_assert_int_eq(file->size, size);
}

START_TEST(whole)
{
	ck_assert_int_eq(add("{" TIME ",'request':'https://h/x',"
	    "'requiresAccessToken':true,'extension':[{'url':'u'}],"
	    "'outputFormat':'application/fhir+ndjson','nobody':{'knows':1},"
	    "'output':[{'type':'Patient','url':'../f/1','count':0,"
	    "'fileSize':10,'continuesInFile':'x'},"
	    "{'type':'Observation','url':'https://s/2?sig=s'},"
	    "{'type':'Patient','url':'/f/3','count':7,'size':null}],"
	    "'deleted':[{'type':'Bundle','url':'d'}],"
	    "'error':[{'type':'OperationOutcome','url':'e'}],"
	    "'outcome':[{'url':'o','countSeverity':[]}],"
	    "'link':[{'relation':'self','url':'x'}]}", URL), 0);
	ck_assert_str_eq(manifest.transaction_time, "2025-04-10T08:30:00.5Z");
	ck_assert_int_eq(manifest.transaction_us, INT64_C(1744273800500000));
	ck_assert(manifest.requires_token);
	ck_assert_uint_eq(manifest.lists[BULK_OUTPUT].n, 3);
	is_file(BULK_OUTPUT, 0, "https://h/fhir/f/1", "Patient", 0, 10);
	is_file(BULK_OUTPUT, 1, "https://s/2?sig=s", "Observation", -1, -1);
	is_file(BULK_OUTPUT, 2, "https://h/f/3", "Patient", 7, -1);
	ck_assert_uint_eq(manifest.lists[BULK_DELETED].n, 1);
	is_file(BULK_DELETED, 0, "https://h/fhir/jobs/d", "Bundle", -1, -1);
	ck_assert_uint_eq(manifest.lists[BULK_OUTCOME].n, 2);
	is_file(BULK_OUTCOME, 0, "https://h/fhir/jobs/e", "OperationOutcome",
	    -1, -1);
	is_file(BULK_OUTCOME, 1, "https://h/fhir/jobs/o", NULL, -1, -1);
	ck_assert_ptr_null(manifest.next);
	bulk_manifest_clear(&manifest);
	ck_assert_ptr_null(manifest.transaction_time);
}
END_TEST

START_TEST(least)
{
	ck_assert_int_eq(add("\xef\xbb\xbf{" TIME ",'output':null,"
	    "'extension':{'a':1}}", URL), 0);
	ck_assert(!manifest.requires_token);
	ck_assert_uint_eq(manifest.lists[BULK_OUTPUT].n, 0);
	ck_assert_uint_eq(manifest.n_pages, 1);
	bulk_manifest_clear(&manifest);
}
END_TEST

START_TEST(pages)
{
	static const char first[] = "{" TIME ",'output':[{'type':'A',"
	    "'url':'1'}],'link':[{'relation':'next','url':'?page=2'}]}";
	static const char second[] = "{'transactionTime':"
	    "'2025-04-10T10:30:00.500+02:00','output':[{'type':'B',"
	    "'url':'2'}]}";

	ck_assert_int_eq(add(first, URL), 0);
	ck_assert_str_eq(manifest.next, "https://h/fhir/jobs/1?page=2");
	ck_assert_int_eq(add(second, manifest.next), 0);
	ck_assert_ptr_null(manifest.next);
	ck_assert_uint_eq(manifest.n_pages, 2);
	is_file(BULK_OUTPUT, 0, "https://h/fhir/jobs/1", "A", -1, -1);
	is_file(BULK_OUTPUT, 1, "https://h/fhir/jobs/2", "B", -1, -1);
	bulk_manifest_clear(&manifest);
}
END_TEST

static const struct {
	const char *json;
	const char *message;
} second_pages[] = {
	{ "{'transactionTime':'2025-04-10T08:30:01Z'}", "the manifest:"
	    " transactionTime: 2025-04-10T08:30:01Z on page 2, but"
	    " 2025-04-10T08:30:00.5Z on the first" },
	{ "{" TIME ",'requiresAccessToken':true}", "the manifest:"
	    " requiresAccessToken: page 2 differs from the first" },
	{ "{" TIME ",'link':[{'relation':'next','url':'1?x=y'}]}",
	    "the manifest: link: next leads to a page that was seen before"
	    " (page 1)" },
	{ "{" TIME ",'link':[{'relation':'next','url':'1?page=2'}]}",
	    "the manifest: link: next leads to a page that was seen before"
	    " (page 2)" },
};

START_TEST(bad_second_page)
{
	ck_assert_int_eq(add("{" TIME ",'link':[{'relation':'next',"
	    "'url':'1?page=2'}]}", URL), 0);
	ck_assert_int_eq(add(second_pages[_i].json, manifest.next), -1);
	ck_assert_str_eq(err.text, second_pages[_i].message);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	bulk_manifest_clear(&manifest);
}
END_TEST

static const struct {
	const char *json;
	const char *message;
} bad[] = {
	{ "", "no sound JSON" },
	{ "{" TIME, "no sound JSON (line 1" },
	{ "{" TIME "} {}", "no sound JSON" },
	{ "{" TIME "," TIME "}", "no sound JSON" },
	{ "[]", "the text: want an object, have a list" },
	{ "'x'", "the text: want an object, have text" },
	{ "{'resourceType':'Bundle'}",
	    "a resource (Bundle) instead of a manifest" },
	{ "{}", "transactionTime: want an instant, have nothing" },
	{ "{'transactionTime':1}",
	    "transactionTime: want text that is not empty, have a number" },
	{ "{'transactionTime':''}",
	    "transactionTime: want text that is not empty, have text" },
	{ "{'transactionTime':'2025-04-10'}", "transactionTime: no FHIR"
	    " instant (as 2025-04-10T08:30:00Z): 2025-04-10" },
	{ "{" TIME ",'requiresAccessToken':'true'}",
	    "requiresAccessToken: want true or false, have text" },
	{ "{" TIME ",'output':{}}", "output: want a list, have an object" },
	{ "{" TIME ",'outcome':true}", "outcome: want a list, have true" },
	{ "{" TIME ",'output':['x']}",
	    "output[0].: want an object, have text" },
	{ "{" TIME ",'output':[{'type':'A','url':'1'},{'type':'A'}]}",
	    "output[1].url: want a link, have nothing" },
	{ "{" TIME ",'output':[{'type':'A','url':7}]}",
	    "output[0].url: want text that is not empty, have a number" },
	{ "{" TIME ",'output':[{'type':'A','url':'ftp://h/'}]}",
	    "output[0].url: a link that is no http(s) URL: ftp://h/" },
	{ "{" TIME ",'output':[{'type':'A','url':'file:///etc'}]}",
	    "output[0].url: a link that is no http(s) URL: file:///etc" },
	{ "{" TIME ",'output':[{'type':'A','url':'http://u:p@h/'}]}",
	    "output[0].url: " },
	{ "{" TIME ",'output':[{'type':'A','url':'http://h/1'}]}",
	    "output[0].url: a link from https to http (http://h/1), where" },
	{ "{" TIME ",'output':[{'url':'1'}]}",
	    "output[0].type: want a resource type, have nothing" },
	{ "{" TIME ",'output':[{'type':'../A','url':'1'}]}",
	    "output[0].type: no resource type: ../A" },
	{ "{" TIME ",'output':[{'type':'A','url':'1','count':'3'}]}",
	    "output[0].count: want a whole number, have text" },
	{ "{" TIME ",'output':[{'type':'A','url':'1','count':1.5}]}",
	    "output[0].count: want a whole number, have a number with" },
	{ "{" TIME ",'deleted':[{'url':'1','count':-1}]}",
	    "deleted[0].count: want a number that is not below 0, have -1" },
	{ "{" TIME ",'error':[{'url':'1','fileSize':[]}]}",
	    "error[0].fileSize: want a whole number, have a list" },
	{ "{" TIME ",'link':{}}", "link: want a list, have an object" },
	{ "{" TIME ",'link':[1]}", "link[0].: want an object, have a number" },
	{ "{" TIME ",'link':[{'relation':'next'}]}",
	    "link[0].url: want a link, have nothing" },
	{ "{" TIME ",'link':[{'relation':'next','url':'1?x=y'}]}",
	    "link: next leads to a page that was seen before (page 1)" },
	{ "{" TIME ",'link':[{'relation':'next','url':'a'},"
	    "{'relation':'next','url':'b'}]}",
	    "link: more than one of them is next" },
	{ "{" TIME ",'outputOrganizedBy':'Patient'}",
	    "outputOrganizedBy: the files are organised by Patient" },
	{ "{" TIME ",'outputFormat':'text/csv'}",
	    "outputFormat: want application/fhir+ndjson, have text/csv" },
};

START_TEST(broken)
{
	ck_assert_int_eq(add(bad[_i].json, URL), -1);
	ck_assert_int_eq(err.status, STATUS_PROTOCOL);
	ck_assert_msg(strstr(err.text, bad[_i].message) != NULL, "%s",
	    err.text);
	bulk_manifest_clear(&manifest);
}
END_TEST

START_TEST(many_files)
{
	struct buf text = { 0 };
	int	   i;

	buf_print(&text, "{\"transactionTime\":\"2025-04-10T08:30:00Z\","
	    "\"deleted\":[");
	for (i = 0; i < MAX_FILES; i++)
		buf_print(&text, "%s{\"url\":\"%d\"}", i > 0 ? "," : "", i);
	buf_print(&text, "]}");
	ck_assert_int_eq(bulk_manifest_add(&manifest, text.data, text.len,
	    URL, &err), 0);
	ck_assert_uint_eq(manifest.lists[BULK_DELETED].n, MAX_FILES);
	ck_assert_int_eq(add("{'transactionTime':'2025-04-10T08:30:00Z',"
	    "'error':[{'url':'x'}]}", URL "2"), -1);
	ck_assert_str_eq(err.text, "the manifest: more than 100000 files");
	bulk_manifest_clear(&manifest);
	buf_clear(&text);
}
END_TEST

START_TEST(many_pages)
{
	char url[64], json[256];
	int  i, rc = 0;

	for (i = 0; rc == 0 && i <= MAX_MANIFEST_PAGES; i++) {
		(void)snprintf(url, sizeof(url), "https://h/%d", i);
		(void)snprintf(json, sizeof(json), "{" TIME ",'link':"
		    "[{'relation':'next','url':'%d'}]}", i + 1);
		rc = add(json, url);
	}
	ck_assert_int_eq(rc, -1);
	ck_assert_int_eq(i, MAX_MANIFEST_PAGES);
	ck_assert_str_eq(err.text, "the manifest: link: more than 1000 pages");
	bulk_manifest_clear(&manifest);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bulk_manifest");
	TCase *tests = tcase_create("bulk_manifest");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, whole);
	tcase_add_test(tests, least);
	tcase_add_test(tests, pages);
	tcase_add_loop_test(tests, bad_second_page, 0,
	    LENGTH_OF(second_pages));
	tcase_add_loop_test(tests, broken, 0, LENGTH_OF(bad));
	tcase_add_test(tests, many_files);
	tcase_add_test(tests, many_pages);
	suite_add_tcase(suite, tests);
	return test_run(suite);
}
