/* SPDX-License-Identifier: Apache-2.0 */
/* template_rsync: what `destination template` prints for rsync. */
#include "manager/template.h"

#define MODULE                                                                 \
	"\tpath = @FOLDER@/incoming\n"                                         \
	"\tauth users = *\n"                                                   \
	"\tsecrets file = @SECRETS@\n"

#define HEAD                                                                   \
	"# AIM's way in for an rsync daemon: /etc/rsyncd.conf, or a file "     \
	"that "                                                                \
	"it\n"                                                                 \
	"# includes. All that travels can be read on the way, and nothing "    \
	"proves to\n"                                                          \
	"# the source which server it talks to: for lines that are yours, or " \
	"for groups\n"                                                         \
	"# with a key ('aim-manager key generate'). Passwords do not "         \
	"travel.\n"                                                            \
	"# Accounts are lines NAME:PASSWORD in @SECRETS@:\n"                   \
	"#   chown root @SECRETS@; chmod 600 @SECRETS@\n"

const char rsyncd_text[] = HEAD
    "# Accounts can send new journal files to [aim] and read acknowledgements "
    "in\n"
    "# [aim-ack]; they can neither list, nor read back, nor delete. The "
    "source\n"
    "# names rsync://HOST/aim as --url and rsync://HOST/aim-ack as --ack-url.\n"
    "#   useradd --system --no-create-home --shell /usr/sbin/nologin @USER@\n"
    "# and once 'mirror add' has made a stream's folder:\n"
    "#   chown @USER@ @FOLDER@/incoming/*/; chmod 755 @FOLDER@/incoming/*/ack\n"
    "uid = @USER@\n"
    "gid = *\n"
    "use chroot = yes\n"
    "list = no\n"
    "timeout = 120\n"
    "max verbosity = 1\n"
    "\n"
    "[aim]\n" MODULE "\tread only = no\n"
    "\twrite only = yes\n"
    "\tincoming chmod = F640\n"
    "\t# Journal files, in folders that are there.\n"
    "\tfilter = + /* + /*/. + /*/*.aim - **\n"
    "\trefuse options = * !n !c !p !W !ignore-existing !fsync !timeout "
    "!log-format\n"
    "\n"
    "[aim-ack]\n" MODULE "\tread only = yes\n"
    "\tfilter = + /*/ + /*/ack/ + /*/ack/*.ack - **\n";

const char rsyncd_hub_text[] = HEAD
    "# Accounts can do all that sources and mirrors need that meet here "
    "(--hub,\n"
    "# --pull) at rsync://HOST/aim.\n"
    "#   useradd --system --no-create-home --shell /usr/sbin/nologin @USER@\n"
    "#   chown @USER@ @FOLDER@/incoming\n"
    "uid = @USER@\n"
    "gid = *\n"
    "use chroot = yes\n"
    "list = no\n"
    "timeout = 120\n"
    "max verbosity = 1\n"
    "\n"
    "[aim]\n" MODULE "\tread only = no\n"
    "\tincoming chmod = D755,F644\n"
    "\tfilter = + /* + /*/. + /*/*.aim + /*/*.begin + /*/ack + /*/ack/. + "
    "/*/ack/*.ack - **\n";

const char rsync_keys_text[] =
    "# AIM's way in for rsync over SSH: the authorized_keys of an account that "
    "owns\n"
    "# the streams' folders and has a shell (/bin/sh: sshd runs the command by "
    "it).\n"
    "# rrsync comes with rsync; one before 3.4 does not know -no-overwrite.\n"
    "# The source names rsync+ssh://HOST/ as --url, with the account before "
    "HOST.\n"
    "restrict,command=\"rrsync -wo -no-del -no-overwrite -no-lock "
    "@FOLDER@/incoming\" @UPLOAD_KEY@\n"
    "restrict,command=\"rrsync -ro @FOLDER@/incoming\" @ACK_KEY@\n";
