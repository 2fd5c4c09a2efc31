/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_template: configuration for the server at the mirror's site, ready to be
 * put into a file. Each lets an account upload new journal files and read
 * acknowledgements, and nothing else, as far as the server can. The system
 * tests run servers with exactly this. @NAME@ stands for a value.
 */
#include "common/cleanup.h"
#include "common/io.h"
#include "coordinator/request.h"
#include "coordinator/url.h"
#include "manager/command.h"
#include "manager/template.h"

#include <fcntl.h>
#include <string.h>

#define PUBLIC_KEY_LIMIT 4096u

static const char nginx_text[] =
    "# AIM's way in over HTTPS, for nginx: /etc/nginx/conf.d/aim.conf. "
    "Debian:\n"
    "# nginx-light will do. Under @FOLDER@/incoming, accounts can upload new\n"
    "# journal files and read acknowledgements. They can neither list, nor "
    "read\n"
    "# back, nor replace, nor delete. For an account:\n"
    "#   printf 'NAME:%s\\n' \"$(openssl passwd -6)\" >>@PASSWORDS@\n"
    "#   chown root:www-data @PASSWORDS@; chmod 640 @PASSWORDS@\n"
    "# and once 'mirror add' has made a stream's folder, www-data may write:\n"
    "#   chown www-data @FOLDER@/incoming/*/\n"
    "#   chmod 755 @FOLDER@/incoming/*/ack\n"
    "map \"$request_method $http_overwrite $http_destination\" $aim_astray {\n"
    "\tdefault 0;\n"
    "\t\"~^MOVE F https?://[^/]+/incoming/[0-9a-f-]{36}/[0-9a-f]{8}-"
    "[0-9a-f]{16}\\.aim$\" 0;\n"
    "@HUB_MOVES@"
    "\t\"~^MOVE \" 1;\n"
    "}\n"
    "server {\n"
    "\tlisten @LISTEN@ ssl http2;\n"
    "\tserver_name @SERVER@;\n"
    "\tssl_certificate @CERTIFICATE@;\n"
    "\tssl_certificate_key @CERTIFICATE_KEY@;\n"
    "\tssl_protocols TLSv1.2 TLSv1.3;\n"
    "@WHO@"
    "\troot @FOLDER@;\n"
    "\t# On the same file system, so that a file is moved and not copied.\n"
    "\tclient_body_temp_path @FOLDER@/.nginx;\n"
    "\tclient_max_body_size 1g;\n"
    "\tclient_body_timeout 60s;\n"
    "\tdav_access group:r;\n"
    "\tautoindex off;\n"
    "\tlocation / {\n"
    "\t\treturn 403;\n"
    "\t}\n"
    "@HUB_PLACES@"
    "\tlocation ~ \"^/incoming/[0-9a-f-]{36}/$\" {\n"
    "\t\tdav_methods MKCOL;\n"
    "\t\tlimit_except MKCOL { deny all; }\n"
    "\t}\n"
    "\tlocation ~ \"^/incoming/[0-9a-f-]{36}/\\.[0-9a-f]{8}-[0-9a-f]{16}\\.aim"
    "\\.[0-9a-f]{32}\\.part$\" {\n"
    "\t\tif ($aim_astray) {\n"
    "\t\t\treturn 403;\n"
    "\t\t}\n"
    "\t\tdav_methods PUT MOVE;\n"
    "\t\tlimit_except PUT MOVE { deny all; }\n"
    "\t}\n"
    "\tlocation ~ \"^/incoming/[0-9a-f-]{36}/ack/[0-9a-f-]{36}\\.ack$\" {\n"
    "\t\tlimit_except GET { deny all; }\n"
    "\t}\n"
    "}\n";

/* Files are fetched from here too: mirrors fetch, and replace their
 * acknowledgements; sources say where to begin, and remove what all have. */
static const char nginx_hub_moves[] =
    "\t\"~^MOVE [FT] https?://[^/]+/incoming/[0-9a-f-]{36}/"
    "[0-9a-f-]{36}\\.begin$\" 0;\n"
    "\t\"~^MOVE [FT] https?://[^/]+/incoming/[0-9a-f-]{36}/ack/"
    "[0-9a-f-]{36}\\.ack$\" 0;\n";
static const char nginx_hub_places[] =
    "\tlocation ~ \"^/incoming/[0-9a-f-]{36}/([0-9a-f]{8}-[0-9a-f]{16}\\.aim|"
    "[0-9a-f-]{36}\\.begin)$\" {\n"
    "\t\tdav_methods DELETE;\n"
    "\t\tlimit_except GET DELETE { deny all; }\n"
    "\t}\n"
    "\tlocation ~ \"^/incoming/[0-9a-f-]{36}/(\\.[0-9a-f-]{36}\\.begin|ack/"
    "\\.[0-9a-f-]{36}\\.ack)\\.[0-9a-f]{32}\\.part$\" {\n"
    "\t\tif ($aim_astray) {\n"
    "\t\t\treturn 403;\n"
    "\t\t}\n"
    "\t\tdav_methods PUT MOVE;\n"
    "\t\tlimit_except PUT MOVE { deny all; }\n"
    "\t}\n"
    "\tlocation ~ \"^/incoming/[0-9a-f-]{36}/ack/$\" {\n"
    "\t\tdav_methods MKCOL;\n"
    "\t\tlimit_except MKCOL { deny all; }\n"
    "\t}\n";

static const char nginx_passwords[] = "\tauth_basic \"AIM\";\n"
				      "\tauth_basic_user_file @PASSWORDS@;\n";
static const char nginx_certificates[] =
    "\tssl_client_certificate @CLIENT_CA@;\n"
    "\tssl_verify_client on;\n";

static const char sshd_text[] =
    "# AIM's way in over SFTP, for OpenSSH: /etc/ssh/sshd_config.d/aim.conf, "
    "or\n"
    "# at the end of /etc/ssh/sshd_config. @FOLDER@ and all above it must be\n"
    "# root's. What each key may do is in @KEYS@: see\n"
    "# 'aim-manager destination template authorized_keys'.\n"
    "#   useradd --system --no-create-home --shell /usr/sbin/nologin @USER@\n"
    "# and once 'mirror add' has made a stream's folder:\n"
    "#   chown @USER@ @FOLDER@/incoming/*/; chmod 755 @FOLDER@/incoming/*/ack\n"
    "Match User @USER@\n"
    "\tChrootDirectory @FOLDER@\n"
    "\tAuthorizedKeysFile @KEYS@\n"
    "\tAuthenticationMethods publickey\n"
    "\tDisableForwarding yes\n"
    "\tPermitTTY no\n"
    "\tPermitTunnel no\n"
    "\tX11Forwarding no\n";

static const char keys_text[] =
    "restrict,command=\"internal-sftp -p realpath,open,write,close,rename\" "
    "@UPLOAD_KEY@\n"
    "restrict,command=\"internal-sftp -R\" @ACK_KEY@\n";

static const char s3_hub[] = "    {\n"
			     "      \"Sid\": \"AimHub\",\n"
			     "      \"Effect\": \"Allow\",\n"
			     "      \"Action\": [\n"
			     "        \"s3:GetObject\",\n"
			     "        \"s3:PutObject\",\n"
			     "        \"s3:DeleteObject\"\n"
			     "      ],\n"
			     "      \"Resource\": \"arn:aws:s3:::@BUCKET@/*\"\n"
			     "    },\n";

static const char s3_text[] =
    "{\n"
    "  \"Version\": \"2012-10-17\",\n"
    "  \"Statement\": [\n"
    "    {\n"
    "      \"Sid\": \"AimUpload\",\n"
    "      \"Effect\": \"Allow\",\n"
    "      \"Action\": \"s3:PutObject\",\n"
    "      \"Resource\": [\n"
    "        \"arn:aws:s3:::@BUCKET@/*.aim\",\n"
    "        \"arn:aws:s3:::@BUCKET@/*/.aim-conditional.part\"\n"
    "      ]\n"
    "    },\n"
    "    {\n"
    "      \"Sid\": \"AimAcknowledgements\",\n"
    "      \"Effect\": \"Allow\",\n"
    "      \"Action\": \"s3:GetObject\",\n"
    "      \"Resource\": \"arn:aws:s3:::@BUCKET@/*/ack/*.ack\"\n"
    "    },\n"
    "@S3_HUB@"
    "    {\n"
    "      \"Sid\": \"AimAbsenceIsNotDenied\",\n"
    "      \"Effect\": \"Allow\",\n"
    "      \"Action\": \"s3:ListBucket\",\n"
    "      \"Resource\": \"arn:aws:s3:::@BUCKET_ALONE@\"\n"
    "    }\n"
    "  ]\n"
    "}\n";

struct value {
	const char *name;   /* between @ and @ */
	const char *option; /* of the command */
	const char *usual;
};

static const struct value values[] = {
    {"FOLDER", "folder", "/srv/aim-landing"},
    {"USER", "user", "aim-upload"},
    {"KEYS", "keys", "/etc/ssh/aim/%u"},
    {"LISTEN", "listen", "443"},
    {"SERVER", "server", "_"},
    {"CERTIFICATE", "certificate", "/etc/nginx/aim.crt"},
    {"CERTIFICATE_KEY", "certificate-key", "/etc/nginx/aim.key"},
    {"PASSWORDS", "passwords", "/etc/nginx/aim.passwords"},
    {"CLIENT_CA", "client-ca", ""},
    {"SECRETS", "secrets", "/etc/rsyncd.aim"},
    {"BUCKET", "bucket", "BUCKET/aim"},
};
#define VALUES (sizeof(values) / sizeof(values[0]))

static int expand(
    struct args *a, const char *text, struct buf *out, struct err *e);

/* The first line of a file with a public key. */
static int
add_public_key(
    struct args *a, const char *option, struct buf *out, struct err *e)
{
	const char *path = args_option(a, option), *text;
	AUTO(buf_release) struct buf b = {0};
	size_t len;

	if (path == NULL)
		return err_set(e, ERR_REFUSED,
		    "--%s FILE is needed: the public half, as ssh-keygen made "
		    "it (FILE.pub)",
		    option);
	if (io_read_file(AT_FDCWD, path, PUBLIC_KEY_LIMIT, &b, e) < 0)
		return -1;
	text = (const char *)b.data;
	len = b.len == 0 ? 0 : strcspn(text, "\r\n");
	if (len < 20 || !url_is_plain(text, len, " -+/=@._") ||
	    (strncmp(text, "ssh-ed25519 ", 12) != 0 &&
		strncmp(text, "ecdsa-sha2-", 11) != 0))
		return err_set(e, ERR_REFUSED,
		    "%s is no public key of kind Ed25519 or ECDSA", path);
	return buf_add(out, text, len, e);
}

/* Who may come in to nginx: by password, by certificate, or with both. */
static int
add_who(struct args *a, struct buf *out, struct err *e)
{
	bool certificates = args_has(a, "client-ca");

	if (certificates && expand(a, nginx_certificates, out, e) < 0)
		return -1;
	return certificates && !args_has(a, "passwords")
		   ? 0
		   : expand(a, nginx_passwords, out, e);
}

static int
add_if_hub(struct args *a, const char *text, struct buf *out, struct err *e)
{
	return args_has(a, "hub") ? buf_add(out, text, strlen(text), e) : 0;
}

static int
add_value(struct args *a, const struct value *v, bool alone, struct buf *out,
    struct err *e)
{
	const char *text = args_option(a, v->option);
	size_t len;

	if (text == NULL)
		text = v->usual;
	len = alone ? strcspn(text, "/") : strlen(text);
	if (!url_is_plain(text, len, "/._-+@,~:%[]*"))
		return err_set(e, ERR_REFUSED,
		    "--%s \"%s\": of letters, digits and / . _ - + @ , ~ : "
		    "only",
		    v->option, text);
	return buf_add(out, text, len, e);
}

/* What stands between two @. */
static int
add_word(struct args *a, const char *word, size_t len, struct buf *out,
    struct err *e)
{
	size_t i;

	if (len == 3 && strncmp(word, "WHO", len) == 0)
		return add_who(a, out, e);
	if (len == 9 && strncmp(word, "HUB_MOVES", len) == 0)
		return add_if_hub(a, nginx_hub_moves, out, e);
	if (len == 10 && strncmp(word, "HUB_PLACES", len) == 0)
		return add_if_hub(a, nginx_hub_places, out, e);
	if (len == 6 && strncmp(word, "S3_HUB", len) == 0)
		return args_has(a, "hub") ? expand(a, s3_hub, out, e) : 0;
	if (len == 10 && strncmp(word, "UPLOAD_KEY", len) == 0)
		return add_public_key(a, "upload-key", out, e);
	if (len == 7 && strncmp(word, "ACK_KEY", len) == 0)
		return add_public_key(a, "ack-key", out, e);
	if (len == 12 && strncmp(word, "BUCKET_ALONE", len) == 0)
		return add_value(a, &values[VALUES - 1], true, out, e);
	for (i = 0; i < VALUES; i++)
		if (strlen(values[i].name) == len &&
		    strncmp(values[i].name, word, len) == 0)
			return add_value(a, &values[i], false, out, e);
	return err_set(
	    e, ERR_FATAL, "@%.*s@ stands for nothing", (int)len, word);
}

static int
expand(struct args *a, const char *text, struct buf *out, struct err *e)
{
	const char *at, *end;

	while ((at = strchr(text, '@')) != NULL) {
		end = strchr(at + 1, '@');
		if (end == NULL)
			break;
		if (buf_add(out, text, (size_t)(at - text), e) < 0 ||
		    add_word(a, at + 1, (size_t)(end - at) - 1, out, e) < 0)
			return -1;
		text = end + 1;
	}
	return buf_add(out, text, strlen(text), e);
}

int
run_destination_template(struct args *a)
{
	static const struct {
		const char *name, *text;
	} kinds[] = {{"nginx", nginx_text}, {"sshd", sshd_text},
	    {"authorized_keys", keys_text}, {"s3", s3_text},
	    {"rsyncd", rsyncd_text}, {"rsyncd --hub", rsyncd_hub_text},
	    {"rsync_keys", rsync_keys_text}};
	const char *kind = a->words[0];
	AUTO(buf_release) struct buf out = {0};
	struct err e = {0};
	size_t i;

	if (strcmp(kind, "rsyncd") == 0 && args_has(a, "hub"))
		kind = "rsyncd --hub";
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		if (expand(a, kinds[i].text, &out, &e) < 0)
			return tell_err(&e);
		return tell_out(out.data, out.len);
	}
	return tell(EXIT_USAGE,
	    "there is no template '%s': nginx, sshd, authorized_keys, s3, "
	    "rsyncd "
	    "or rsync_keys",
	    a->words[0]);
}
