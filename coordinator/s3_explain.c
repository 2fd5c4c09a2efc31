/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_explain: servers differ in status, less in code; so the code counts, and
 * the status where there is none (an answer to HEAD has no body).
 */
#include "coordinator/s3_error.h"

#include <stdio.h>
#include <string.h>

enum advice {
	ADVICE_RETRY, /* it is the server's trouble, and may pass */
	ADVICE_FULL,
	ADVICE_KEY,	  /* the access key is not known */
	ADVICE_SIGNATURE, /* the secret key is wrong */
	ADVICE_TOKEN,	  /* the session has ended */
	ADVICE_CLOCK,
	ADVICE_DENIED,
	ADVICE_BUCKET,
	ADVICE_REGION,
	ADVICE_SIZE,
	ADVICE_REFUSED, /* nothing better to say than what it says */
};

static const struct {
	const char *code;
	enum advice advice;
} codes[] = {
    {"SlowDown", ADVICE_RETRY},
    {"InternalError", ADVICE_RETRY},
    {"ServiceUnavailable", ADVICE_RETRY},
    {"RequestTimeout", ADVICE_RETRY},
    {"OperationAborted", ADVICE_RETRY},
    {"ConditionalRequestConflict", ADVICE_RETRY},
    {"IncompleteBody", ADVICE_RETRY},
    {"BadDigest", ADVICE_RETRY},
    {"XAmzContentSHA256Mismatch", ADVICE_RETRY},
    {"XMinioServerNotInitialized", ADVICE_RETRY},
    {"QuotaExceeded", ADVICE_FULL},
    {"ServiceQuotaExceeded", ADVICE_FULL},
    {"InsufficientStorage", ADVICE_FULL},
    {"XMinioStorageFull", ADVICE_FULL},
    {"XMinioAdminBucketQuotaExceeded", ADVICE_FULL},
    {"InvalidAccessKeyId", ADVICE_KEY},
    {"SignatureDoesNotMatch", ADVICE_SIGNATURE},
    {"ExpiredToken", ADVICE_TOKEN},
    {"InvalidToken", ADVICE_TOKEN},
    {"TokenRefreshRequired", ADVICE_TOKEN},
    {"RequestTimeTooSkewed", ADVICE_CLOCK},
    {"RequestExpired", ADVICE_CLOCK},
    {"AccessDenied", ADVICE_DENIED},
    {"AllAccessDisabled", ADVICE_DENIED},
    {"AccountProblem", ADVICE_DENIED},
    {"NoSuchBucket", ADVICE_BUCKET},
    {"InvalidBucketName", ADVICE_BUCKET},
    {"PermanentRedirect", ADVICE_REGION},
    {"TemporaryRedirect", ADVICE_REGION},
    {"AuthorizationHeaderMalformed", ADVICE_REGION},
    {"IllegalLocationConstraintException", ADVICE_REGION},
    {"EntityTooLarge", ADVICE_SIZE},
};

static enum advice
advice_for(const struct s3_said *s)
{
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(s->error.code, codes[i].code) == 0)
			return codes[i].advice;
	if (s->status == 507)
		return ADVICE_FULL;
	if (s->status >= 500 && s->status != 501 && s->status != 505)
		return ADVICE_RETRY;
	switch (s->status) {
	case 408:
	case 409:
	case 429:
		return ADVICE_RETRY;
	case 301:
	case 302:
	case 307:
	case 308:
		return ADVICE_REGION;
	case 401:
	case 403:
		return ADVICE_DENIED;
	case 404:
		return ADVICE_BUCKET;
	case 413:
		return ADVICE_SIZE;
	default:
		return ADVICE_REFUSED;
	}
}

/* "403 AccessDenied: Access Denied." of what there is of it. */
static const char *
words(const struct s3_said *s, char out[320])
{
	(void)snprintf(out, 320, "%ld%s%s%s%s", s->status,
	    s->error.code[0] != '\0' ? " " : "", s->error.code,
	    s->error.message[0] != '\0' ? ": " : "", s->error.message);
	return out;
}

static int
explain_clock(const struct s3_asked *a, const struct s3_said *s, struct err *e)
{
	const char *theirs =
	    s->error.server_time[0] != '\0' ? s->error.server_time : s->date;

	return err_set(e, ERR_REFUSED,
	    "%s: the clocks of this machine and of the server are too far "
	    "apart: here it is %s, there %s: set this one, or let NTP do it",
	    a->url, a->when, theirs[0] != '\0' ? theirs : "another time");
}

static int
explain_region(const struct s3_asked *a, const struct s3_said *s,
    const char *text, struct err *e)
{
	const char *region =
	    s->error.region[0] != '\0' ? s->error.region : s->region;

	if (region[0] != '\0' && strcmp(region, a->region) != 0)
		return err_set(e, ERR_REFUSED,
		    "%s: bucket %s is in region %s, not %s: put region=%s "
		    "into the URL",
		    a->url, a->bucket, region, a->region, region);
	return err_set(e, ERR_REFUSED,
	    "%s: the server sends us elsewhere (%s), which is not followed: "
	    "is the endpoint or the region %s wrong?",
	    a->url, text, a->region);
}

static int
explain_denied(const struct s3_asked *a, const char *text, struct err *e)
{
	return err_set(e, ERR_REFUSED,
	    "%s: profile [%s] of %s may not %s %s (%s)%s", a->url, a->profile,
	    a->file, a->put ? "write" : "read", a->name, text,
	    a->put ? ""
		   : "; without the right to list the bucket "
		     "(s3:ListBucket) some servers say so of objects that "
		     "are not there");
}

int
s3_explain(const struct s3_asked *a, const struct s3_said *s, struct err *e)
{
	char text[320];

	(void)words(s, text);
	switch (advice_for(s)) {
	case ADVICE_RETRY:
		return err_set(e, ERR_RETRY, "%s: the server cannot now (%s)",
		    a->url, text);
	case ADVICE_FULL:
		return err_set(
		    e, ERR_FULL, "%s: no room there (%s)", a->url, text);
	case ADVICE_KEY:
		return err_set(e, ERR_REFUSED,
		    "%s: the server does not know the access key of profile "
		    "[%s] in %s (%s)",
		    a->url, a->profile, a->file, text);
	case ADVICE_SIGNATURE:
		return err_set(e, ERR_REFUSED,
		    "%s: the signature is wrong (%s): is the secret key of "
		    "profile [%s] in %s right, and the region %s?",
		    a->url, text, a->profile, a->file, a->region);
	case ADVICE_TOKEN:
		return err_set(e, ERR_REFUSED,
		    "%s: the session token of profile [%s] in %s is not valid "
		    "any more (%s): put new keys there",
		    a->url, a->profile, a->file, text);
	case ADVICE_CLOCK:
		return explain_clock(a, s, e);
	case ADVICE_DENIED:
		return explain_denied(a, text, e);
	case ADVICE_BUCKET:
		return err_set(e, ERR_REFUSED,
		    "%s: no bucket %s there (%s): make it first", a->url,
		    a->bucket, text);
	case ADVICE_REGION:
		return explain_region(a, s, text, e);
	case ADVICE_SIZE:
		return err_set(e, ERR_REFUSED,
		    "%s: %s is larger than that server takes (%s)", a->url,
		    a->name, text);
	case ADVICE_REFUSED:
		break;
	}
	return err_set(
	    e, ERR_REFUSED, "%s: %s was refused (%s)", a->url, a->name, text);
}
