#include <stdlib.h>
#include <string.h>

#include "secret.h"
#include "store_place.h"
#include "text.h"
#include "xalloc.h"

/* What a user's name and password may not hold as they are (RFC 3986, 3.2.1):
 * the server's name would begin in the middle of them. */
#define RESERVED "/?#[]@"

static const char file_scheme[] = "sqlite:";
static const char *const server_schemes[] = { "mongodb://", "mongodb+srv://" };

/* What stands behind the scheme of a server's URI; NULL: it is none. */
static const char *
find_authority(const char *uri)
{
	size_t i, len;

	for (i = 0; i < sizeof(server_schemes) / sizeof(server_schemes[0]);
	    i++) {
		len = strlen(server_schemes[i]);
		if (strncmp(uri, server_schemes[i], len) == 0)
			return uri + len;
	}
	return NULL;
}

/*
 * Where the user of a URI ends; NULL: it names none.  An '@' among the options
 * is no such end, unless a password holds what should be the end of the path.
 */
static const char *
find_user_end(const char *authority)
{
	const char *end;
	size_t	    len;

	len = strcspn(authority, "?");
	end = memrchr(authority, '@', len);
	if (end == NULL && memchr(authority, '/', len) == NULL)
		end = strrchr(authority, '@');
	return end;
}

/*
 * The password between authority and end, an '@' or NULL: where it begins.
 * False when there is none.
 */
static bool
find_password(const char *authority, const char *end, const char **start)
{
	*start = end != NULL ?
	    memchr(authority, ':', (size_t)(end - authority)) : NULL;
	if (*start == NULL)
		return false;
	(*start)++;
	return true;
}

/* Undoes %XX in place (RFC 3986, 2.1); false: a % without two digits, or %00,
 * which would end the text. */
static bool
decode(char *text)
{
	char *out = text;
	int   high, low;

	for (; *text != '\0'; text++) {
		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		high = text_hex_value((uint8_t)text[1]);
		low = high != -1 ? text_hex_value((uint8_t)text[2]) : -1;
		if (low == -1 || (high == 0 && low == 0))
			return false;
		*out++ = (char)(high * 16 + low);
		text += 2;
	}
	*out = '\0';
	return true;
}

static const char *
take_password(struct store_place *place, const char *start, const char *end)
{
	struct error err;
	const char  *rule = NULL;
	char	    *text;

	text = xstrndup(start, (size_t)(end - start));
	if (!decode(text))
		rule = "want two hex digits behind each % of the password, and"
		       " no %00";
	else if (text[0] == '\0')
		rule = "want a password behind the user's name and :, or no :";
	else if (secret_from_text("the password", text, &place->password,
	    &err) == -1)
		rule = "want a password of at most 4096 bytes, without control"
		       " characters";
	secret_wipe(text);
	free(text);
	return rule;
}

/* A server's URI; authority is what stands behind its scheme. */
static const char *
set_server(struct store_place *place, const char *uri, const char *authority)
{
	const char *at, *start, *rule;

	at = find_user_end(authority);
	if (at != NULL && strcspn(authority, RESERVED) <
	    (size_t)(at - authority))
		return "want / ? # [ ] @ in a user's name or password written"
		       " as %XX";
	if (at != NULL && (at == authority || *authority == ':'))
		return "want a user's name before the @";
	if (!find_password(authority, at, &start)) {
		place->uri = xstrdup(uri);
		return NULL;
	}
	rule = take_password(place, start, at);
	if (rule == NULL)
		place->uri = xasprintf("%.*s%s", (int)(start - 1 - uri), uri,
		    at);
	return rule;
}

const char *
store_place_set(struct store_place *place, const char *uri)
{
	struct store_place next = { NULL, NULL };
	const char	  *authority, *rule = NULL;

	authority = find_authority(uri);
	if (strlen(uri) > MAX_STORE_URI_BYTES)
		rule = "want at most 4096 bytes";
	else if (authority != NULL)
		rule = set_server(&next, uri, authority);
	else if (strncmp(uri, file_scheme, strlen(file_scheme)) == 0 &&
	    uri[strlen(file_scheme)] != '\0')
		next.uri = xstrdup(uri);
	else if (strchr(uri, ':') == NULL)
		rule = "want a store's kind before its name: write"
		       " sqlite:PATH for a file";
	else
		rule = "want sqlite:PATH or mongodb://HOST/DATABASE";
	if (rule == NULL) {
		store_place_clear(place);
		*place = next;
	} else
		store_place_clear(&next);
	return rule;
}

enum store_kind
store_place_kind(const struct store_place *place)
{
	if (strncmp(place->uri, file_scheme, strlen(file_scheme)) == 0)
		return STORE_SQLITE;
	return find_authority(place->uri) != NULL ? STORE_MONGODB :
	    STORE_KIND__MAX;
}

char *
store_place_name(const struct store_place *place)
{
	const char *authority, *end;

	authority = find_authority(place->uri);
	if (authority == NULL)
		return xstrdup(place->uri + strlen(file_scheme));
	end = find_user_end(authority);
	end = end != NULL ? end + 1 : authority;
	return xasprintf("%.*s%.*s", (int)(authority - place->uri),
	    place->uri, (int)strcspn(end, "?"), end);
}

bool
store_place_wants_password(const struct store_place *place)
{
	const char *authority;

	authority = find_authority(place->uri);
	return authority != NULL && find_user_end(authority) != NULL &&
	    place->password == NULL;
}

/* The secrets among the options of a URI: the password of a certificate's key,
 * the token of a session. */
static void
blank_options(char *text, const char *name)
{
	size_t len;

	while ((text = strcasestr(text, name)) != NULL) {
		text += strlen(name);
		len = strcspn(text, "&");
		memset(text, '*', len);
		text += len;
	}
}

void
store_place_blank(char *text)
{
	const char *authority, *start, *end;

	for (; *text != '\0'; text++) {
		authority = find_authority(text);
		if (authority == NULL)
			continue;
		/* To the last one: better too much than too little. */
		end = strrchr(authority, '@');
		if (find_password(authority, end, &start))
			memset(text + (start - text), '*',
			    (size_t)(end - start));
		blank_options(text, "password=");
		blank_options(text, "authMechanismProperties=");
		return;
	}
}

void
store_place_clear(struct store_place *place)
{
	free(place->uri);
	secret_free(place->password);
	*place = (struct store_place){ NULL, NULL };
}
