/* SPDX-License-Identifier: Apache-2.0 */
/* commands: the table. Texts are kept to 80 columns. */
#include "manager/command.h"

#define JSON                                                                   \
	{                                                                      \
		"json", NULL, "prints JSON"                                    \
	}
#define DRY_RUN                                                                \
	{                                                                      \
		"dry-run", NULL, "checks everything, changes nothing"          \
	}
#define END                                                                    \
	{                                                                      \
		NULL, NULL, NULL                                               \
	}

static const struct option_spec no_options[] = {END};
static const struct option_spec run_options[] = {
    {"no-tripwire", NULL, "without the filter for such calls"}, END};
static const struct option_spec json_only[] = {JSON, END};
static const struct option_spec dry_run_only[] = {DRY_RUN, END};

static const struct option_spec init_options[] = {
    {"site", "NAME", "the name of this site"},
    {"location", "LAT,LON", "where it is, in degrees"},
    {"adopt", NULL, "makes a copied home this machine's own"},
    END,
};
static const struct option_spec volume_add_options[] = {
    {"group", "GROUP", "its consistency group (default: NAME)"},
    {"access", "UNIXGROUP", "whose members may capture too"},
    {"spool-limit", "SIZE", "most that waits here (K M G T; 0: no limit)"},
    {"spool-policy", "passthrough|block|fail",
	"what writes do when it is reached"},
    {"compress", "CODEC[:LEVEL]", "none, zlib or zstd, for journal files"},
    {"encrypt", NULL, "journal files can be read with the group's key only"},
    DRY_RUN,
    END,
};
static const struct option_spec volume_expand_options[] = {
    {"no-wait", NULL, "does not wait for the mirrors"},
    {"timeout", "SECONDS", "waits at most so long (default: for ever)"},
    DRY_RUN,
    END,
};
static const struct option_spec group_export_options[] = {
    {"projection", "NAME", "of this projection of it"},
    {"layout", NULL, "where the members of its layout are, for 'gather'"},
    DRY_RUN,
    END,
};
static const struct option_spec group_layout_options[] = {
    {"fold", "within", "leaves out what is written over"},
    DRY_RUN,
    END,
};
static const struct option_spec projection_add_options[] = {
    {"group", "GROUP", "the group that it is made from"},
    {"volume", "VOLUME", "takes this volume (repeat; default: all)"},
    {"range", "VOLUME:OFFSET+LENGTH", "takes this part of it (repeat)"},
    {"fold", "within|lagging", "leaves out what is written over"},
    {"compress", "CODEC[:LEVEL]", "none, zlib or zstd (default: the group's)"},
    DRY_RUN,
    END,
};
static const struct option_spec mirror_add_options[] = {
    {"pairing", "FILE", "what 'group export' printed at the source"},
    {"incoming", "DIR", "the folder that the source uploads to"},
    {"pull", "URL", "or: the place that this site fetches from"},
    {"key", "FILE", "private key for that (SSH; TLS with certificate)"},
    {"known-hosts", "FILE", "sftp: that server's key, as in known_hosts(5)"},
    {"credentials", "FILE", "https: USER:PASSWORD or bearer TOKEN; s3: keys"},
    {"ca", "FILE", "https, s3: who signed its certificate (PEM)"},
    {"pin", "sha256//BASE64",
	"https, s3: the server's public key, as a digest"},
    {"proxy", "URL", "https, s3: through http://HOST:PORT (default: none)"},
    {"onto", "VOLUME=PATH", "where each volume's mirror lives (repeat)"},
    {"fingerprint", "HEX", "what 'group export' told; checked"},
    {"create", NULL, "makes mirror files that are missing"},
    {"overwrite", NULL, "content that is there may go"},
    {"as", "NAME", "calls it otherwise than the source does"},
    DRY_RUN,
    END,
};
static const struct option_spec relay_add_options[] = {
    {"pairing", "FILE", "what 'group export' printed at the source"},
    {"incoming", "DIR", "the folder that is uploaded to"},
    {"fingerprint", "HEX", "what 'group export' told; checked"},
    {"spool-limit", "SIZE", "most that waits here (K M G T; 0: no limit)"},
    {"as", "NAME", "calls it otherwise than the source does"},
    DRY_RUN,
    END,
};
static const struct option_spec pause_mirror_options[] = {
    {"fetch", NULL, "receiving alone"},
    {"apply", NULL, "redriving alone"},
    DRY_RUN,
    END,
};
static const struct option_spec destination_add_options[] = {
    {"group", "GROUP", "the group that is sent there"},
    {"url", "URL", "file:///DIR, sftp://, https://, s3://, rsync..."},
    {"via", "NAME", "or: it lies behind this destination, a relay"},
    {"pairing", "FILE", "what 'mirror export' printed at the other site"},
    {"fingerprint", "HEX", "what 'mirror export' told; checked"},
    {"key", "FILE", "private key for uploads (SSH; TLS with certificate)"},
    {"known-hosts", "FILE", "SSH: the server's key, as in known_hosts(5)"},
    {"credentials", "FILE", "passwords or keys for https, s3 or rsync"},
    {"ca", "FILE", "https, s3: who signed its certificate (PEM)"},
    {"pin", "sha256//BASE64",
	"https, s3: the server's public key, as a digest"},
    {"proxy", "URL", "https, s3: through http://HOST:PORT (default: none)"},
    {"ack-url", "URL", "where acknowledgements are read (default: URL)"},
    {"ack-key", "FILE", "private key for that (default: --key)"},
    {"ack-credentials", "FILE", "for that (default: --credentials)"},
    {"prune-at", "applied|stored|hop", "when files may go; see the manual"},
    {"limit", "RULES", "how fast, by the hour: see 'destination limit'"},
    {"retry-at", "TIMES", "after a failure: see 'destination retry'"},
    {"hub", NULL, "the mirror fetches from there (--pull)"},
    DRY_RUN,
    END,
};
static const struct option_spec test_options[] = {
    {"group", "GROUP", "the group that it belongs to"},
    END,
};
static const struct option_spec template_options[] = {
    {"folder", "DIR", "has incoming/ in it (default: /srv/aim-landing)"},
    {"user", "NAME", "sshd, rsyncd: the account (default: aim-upload)"},
    {"keys", "FILE", "sshd: its keys (default: /etc/ssh/aim/%u)"},
    {"upload-key", "FILE", "..._keys: public key that uploads"},
    {"ack-key", "FILE", "..._keys: public key that only reads"},
    {"secrets", "FILE", "rsyncd: accounts (default: /etc/rsyncd.aim)"},
    {"listen", "[ADDRESS:]PORT", "nginx: where it listens (default: 443)"},
    {"server", "NAME", "nginx: its name (default: any)"},
    {"certificate", "FILE", "nginx: its certificate"},
    {"certificate-key", "FILE", "nginx: the private key of that"},
    {"passwords", "FILE", "nginx: accounts, as of htpasswd"},
    {"client-ca", "FILE", "nginx: who signs clients' certificates"},
    {"hub", NULL, "nginx, s3, rsyncd: mirrors fetch from there, too"},
    {"bucket", "BUCKET/PREFIX", "s3: where files go"},
    END,
};
static const struct option_spec mirror_set_options[] = {
    {"alarm-after", "SECONDS", "of silence of the source (300; 0: never)"},
    DRY_RUN,
    END,
};
static const struct option_spec site_set_options[] = {
    {"location", "LAT,LON", "where it is, in degrees; 'none': not known"},
    DRY_RUN,
    END,
};
static const struct option_spec hook_add_options[] = {
    {"on", "ALARM,...", "silence, commit, spool (default: all)"},
    DRY_RUN,
    END,
};
static const struct option_spec group_set_options[] = {
    {"commit", "POLICY", "local, journal, all or 'any K of (A,B,...)'"},
    {"commit-stage", "stored|applied", "what a mirror must have done"},
    {"commit-timeout", "SECONDS", "how long a flush waits in time (10)"},
    {"commit-late", "degrade|hold", "and then: goes on, or waits on"},
    {"spool-limit", "SIZE", "most that waits here (K M G T; 0: no limit)"},
    {"spool-policy", "passthrough|block|fail",
	"what writes do when it is reached"},
    {"spool-warn", "PERCENT,...", "of the limit: an alarm at each (80,95)"},
    {"spool-age", "SECONDS", "an alarm when older things wait (0: never)"},
    DRY_RUN,
    END,
};
static const struct option_spec group_needed[] = {
    {"group", "GROUP", "the group that it belongs to"},
    DRY_RUN,
    END,
};
static const struct option_spec base_options[] = {
    {"destination", "NAME", "this one only (default: all)"},
    {"wait", NULL, "waits until it is applied"},
    {"timeout", "SECONDS", "at most so long, with --wait"},
    DRY_RUN,
    END,
};
static const struct option_spec key_list_options[] = {
    {"group", "GROUP", "of this group only"},
    JSON,
    END,
};
static const struct option_spec key_export_options[] = {
    {"to", "FILE", "a new file, which only its owner can read"},
    {"key", "ID", "this key (default: the newest)"},
    END,
};
static const struct option_spec carry_out_options[] = {
    {"to", "FOLDER", "the folder that is carried"},
    END,
};
static const struct option_spec carry_in_options[] = {
    {"timeout", "SECONDS", "waits at most so long for the receiver (30)"},
    END,
};
static const struct option_spec gather_options[] = {
    {"to", "PATH", "the file or device that gets the volume"},
    {"members", "FILE", "what 'group export --layout' printed at the source"},
    {"fingerprint", "HEX", "what that told; checked"},
    {"layout", "LAYOUT", "or: raid1, raid0:chunk=64K, raid10..., raid1e..."},
    {"member", "NAME=URL", "where a member's volume is (repeat, in order)"},
    {"pairing", "NAME=FILE", "what 'mirror export' printed at its site"},
    {"ack", "NAME=URL", "the place that has its acknowledgement"},
    {"volume", "NAME", "which one, of a group with several"},
    {"size", "BYTES", "of the volume (default: what the members tell)"},
    {"key", "[NAME=]FILE", "private key (SSH; TLS with certificate)"},
    {"known-hosts", "[NAME=]FILE", "sftp: the server's key"},
    {"credentials", "[NAME=]FILE", "https: USER:PASSWORD or TOKEN; s3: keys"},
    {"ca", "[NAME=]FILE", "https, s3: who signed its certificate (PEM)"},
    {"pin", "[NAME=]sha256//BASE64", "https, s3: the server's public key"},
    {"proxy", "[NAME=]URL", "https, s3: through http://HOST:PORT"},
    {"ack-key", "[NAME=]FILE", "private key for --ack (default: --key)"},
    {"ack-credentials", "[NAME=]FILE", "for --ack (default: --credentials)"},
    {"overwrite", NULL, "what is at PATH may go"},
    {"state", "FILE", "list of ranges to be read (default: PATH.gather)"},
    {"continue", NULL, "goes on with what was begun and broke off"},
    {"once", NULL, "does not try again: status 3 if ranges are left"},
    {"retry-at", "HH:MM,...", "tries again then (default: after 1 s to 60 s)"},
    {"compare", NULL, "reads the other copies too, and compares"},
    {"still", NULL, "no coordinator runs at the members any more"},
    {"force", NULL, "moments may be old, differ, or be unknown"},
    DRY_RUN,
    JSON,
    END,
};
static const struct option_spec wait_options[] = {
    {"applied", NULL, "until it is on the mirror (default)"},
    {"stored", NULL, "until it is safe at the other site"},
    {"destination", "NAME", "this one only (default: all)"},
    {"timeout", "SECONDS", "gives up then (default: never)"},
    END,
};
static const struct option_spec events_options[] = {
    {"count", "N", "the last N (default: 100)"},
    JSON,
    END,
};

static const struct option_spec logwrites_attach_options[] = {
    {"device", "NAME", "the device is /dev/mapper/NAME"},
    {"log", "PATH", "a block device for the log (repeat: used in turn)"},
    DRY_RUN,
    JSON,
    END,
};
static const struct option_spec logwrites_rotate_options[] = {
    {"device", "NAME", "the device is /dev/mapper/NAME"},
    {"log", "PATH", "the block device for the next log"},
    DRY_RUN,
    JSON,
    END,
};
static const struct option_spec logwrites_detach_options[] = {
    {"device", "NAME", "the device is /dev/mapper/NAME"},
    DRY_RUN,
    JSON,
    END,
};

const struct command commands[] = {
    {"init", NULL, "--site NAME", 0, 0, false, "makes the home of a site",
	"Makes the home, the folder that holds all that AIM keeps on this "
	"host: the\nsite's key, its configuration, journal files on their "
	"way. It must be a\nlocal file system, and not on a disk that will be "
	"protected.\n\n"
	"  aim-manager --home /var/lib/aim init --site berlin\n\n"
	"A home that was copied from another machine is refused by all "
	"commands. If\nthat one will never run again, 'init --adopt' gives "
	"the copy a new identity\nand a new key; then pair again.",
	init_options, run_init},
    {"site", "set", "", 0, 0, false, "says where this site is",
	"Sets where this site is: latitude and longitude in degrees, north and "
	"east\npositive. It goes into the pairing texts that are made from now "
	"on, and status\ntells how far apart sites are. Under 40 km one "
	"disaster "
	"may take both.\n\n"
	"  aim-manager site set --location 52.5186,13.4083",
	site_set_options, run_site_set},
    {"volume", "add", "NAME PATH", 2, 2, false, "protects a disk",
	"Puts a file or block device under protection. Volumes of one group "
	"share one\norder of writes: put disks that belong together into one "
	"--group.\n\n"
	"  aim-manager volume add db /srv/db.img\n"
	"  aim-manager volume add log /dev/vdc --group shop\n\n"
	"Nothing is captured before the group has a destination and a base.",
	volume_add_options, run_volume_add},
    {"volume", "expand", "NAME SIZE", 2, 2, false, "makes a disk larger",
	"Makes a volume larger, and its mirrors at just that point of their "
	"history.\nA file is grown; a block device must have been enlarged "
	"already (lvextend,\nlosetup -c), and takes no write beyond its old "
	"end before. Waits until every\nmirror has grown; a mirror on a block "
	"device that is too small stops there\nuntil it has been enlarged. "
	"Nothing is ever made smaller.\n\n"
	"  lvextend -L 20G /dev/vg/db && aim-manager volume expand db 20G",
	volume_expand_options, run_volume_expand},
    {"volume", "list", "", 0, 0, false, "lists protected disks",
	"Lists the protected disks.", json_only, run_volume_list},
    {"group", "export", "GROUP", 1, 1, false, "prints the pairing text",
	"Prints what the mirror's site needs to know of this group; its "
	"fingerprint\ngoes to standard error, to be compared by telephone. "
	"After it the group's\nvolumes are fixed.\n\n"
	"  aim-manager group export db > db.pairing",
	group_export_options, run_group_export},
    {"group", "layout", "GROUP LAYOUT", 2, 2, false,
	"lays a group over several mirrors",
	"Lays each volume of the group over several mirrors, its members, "
	"chunk "
	"by chunk:\nraid0, raid10 or raid1e. Each member is a projection of "
	"that "
	"name: export it,\nand add its mirror as a destination, as usual. "
	"'gather' puts a volume together\nagain from enough of them.\n\n"
	"  aim-manager group layout db raid1e:chunk=1M:members=rome,oslo,bern\n"
	"  aim-manager group export db --projection rome > rome.pairing",
	group_layout_options, run_group_layout},
    {"group", "set", "GROUP", 1, 1, false, "says how a group is kept",
	"Sets what the group's programs wait for when they flush (fsync, FUA, "
	"O_DSYNC):\nthe disk alone (local), the journal too, or mirrors. What "
	"is not named stays as\nit is. 'any 1 of (paris,rome)' with stage "
	"'stored' means that what was flushed\nis durable at one of these "
	"sites, too. Mirrors that do not answer in time:\n'degrade' goes on "
	"without them, with an event, until they have caught up; 'hold'\n"
	"waits on.\n\n"
	"  aim-manager group set db --commit 'any 1 of (paris,rome)' \\\n"
	"      --commit-timeout 5 --commit-late degrade\n"
	"  aim-manager group set db --spool-limit 100G --spool-warn 50,80,95",
	group_set_options, run_group_set},
    {"group", "digest", "GROUP SECONDS", 2, 2, false,
	"how long a recovery asks before it copies",
	"After a crash of this host the mirrors are asked what they have of "
	"the extents\nin doubt, and what is equal is not sent. So long is "
	"waited for a mirror that\ndoes not answer; then all is copied. 0: it "
	"is not asked (default: 60).\n\n  aim-manager group digest db 600",
	dry_run_only, run_group_digest},
    {"group", "list", "", 0, 0, false, "lists protected groups",
	"Lists the groups of which this site is the source.", json_only,
	run_group_list},
    {"mirror", "add", "GROUP", 1, 1, false, "makes a mirror of a group",
	"Prepares this site to hold a mirror: checks the pairing text and "
	"every path,\nand makes the folder that the source uploads to.\n\n"
	"  aim-manager mirror add db --pairing db.pairing --incoming "
	"/srv/incoming \\\n      --onto db=/srv/db-mirror.img --create\n\n"
	"Where the source cannot reach this host, both meet at a third place: "
	"this site\nfetches from it with --pull, and the source sends there "
	"with --hub.\n\n"
	"  aim-manager mirror add db --pairing db.pairing --pull \\\n"
	"      sftp://aim@hub.example/aim --key /root/aim_key \\\n"
	"      --known-hosts /root/aim_known_hosts --onto "
	"db=/srv/db-mirror.img",
	mirror_add_options, run_mirror_add},
    {"mirror", "export", "GROUP", 1, 1, false, "prints the pairing text",
	"Prints what the source needs to know of this mirror; the fingerprint "
	"goes to\nstandard error.\n\n"
	"  aim-manager mirror export db > db-mirror.pairing",
	no_options, run_mirror_export},
    {"mirror", "list", "", 0, 0, false, "lists mirrors",
	"Lists the mirrors at this site.", json_only, run_mirror_list},
    {"mirror", "pause", "GROUP", 1, 1, false, "holds a mirror where it is",
	"Stops receiving and redriving, or one of them. What arrives waits.\n\n"
	"  aim-manager mirror pause db --apply",
	pause_mirror_options, run_mirror_pause},
    {"mirror", "resume", "GROUP", 1, 1, false, "lets a mirror go on",
	"Ends a pause.\n\n  aim-manager mirror resume db", pause_mirror_options,
	run_mirror_resume},
    {"relay", "add", "GROUP", 1, 1, false, "passes a group's files on",
	"Prepares this site to take a group's files and to pass them on, "
	"without a\nmirror and, if they are encrypted, without their key. "
	"Where to is said with\n'destination add' here. (A mirror passes "
	"files on as well, once it has a\ndestination.)\n\n"
	"  aim-manager relay add db --pairing db.pairing --incoming "
	"/srv/incoming",
	relay_add_options, run_relay_add},
    {"relay", "export", "GROUP", 1, 1, false, "prints the pairing text",
	"Prints what the hop before this relay needs to know of it; the "
	"fingerprint goes\nto standard error.\n\n"
	"  aim-manager relay export db > db-relay.pairing",
	no_options, run_relay_export},
    {"relay", "list", "", 0, 0, false, "lists relays",
	"Lists the groups whose files this site passes on without a mirror.",
	json_only, run_relay_list},
    {"mirror", "set", "GROUP", 1, 1, false, "says when it is an alarm",
	"At the mirror's site: sets after how long without a word of the "
	"source an alarm\nis raised: an event, in status, and the hooks are "
	"run. A source speaks at least\nevery 30 seconds.\n\n"
	"  aim-manager mirror set db --alarm-after 120",
	mirror_set_options, run_mirror_set},
    {"destination", "add", "NAME", 1, 1, false, "sends a group somewhere",
	"Names a place where a group is mirrored. The URL is the mirror's "
	"--incoming\nfolder as this host sees it, or with --hub the place that "
	"the mirror pulls\nfrom. For sftp the server's key "
	"must be in the\n--known-hosts file: an unknown server is never "
	"trusted.\nA relay is a destination, and each mirror behind it is one "
	"with --via.\n\n"
	"  aim-manager destination add paris --group db --pairing "
	"db-mirror.pairing \\\n      --url sftp://aim@paris.example/incoming "
	"--key /root/aim_key \\\n      --known-hosts /root/aim_known_hosts",
	destination_add_options, run_destination_add},
    {"destination", "list", "", 0, 0, false, "lists destinations",
	"Lists where groups are sent.", json_only, run_destination_list},
    {"destination", "pause", "NAME", 1, 1, false, "stops sending for a while",
	"Stops sending to a destination; its files wait here, up to the spool "
	"limit.\n\n  aim-manager destination pause paris --group db",
	group_needed, run_destination_pause},
    {"destination", "resume", "NAME", 1, 1, false, "goes on sending",
	"Ends a pause.\n\n  aim-manager destination resume paris --group db",
	group_needed, run_destination_resume},
    {"destination", "limit", "NAME RULES", 2, 2, false,
	"limits how fast it is sent to",
	"Limits the speed by rules with commas between, each SPEED or "
	"HH:MM-HH:MM=SPEED\nby local time. SPEED is bytes in a second (500K, "
	"2M, 1G), 'full' or 'none'. The\nlast rule that is about the hour "
	"counts; '' has no limits.\n\n"
	"  aim-manager destination limit paris --group db \\\n"
	"      full,08:00-18:00=500K,12:00-12:30=none",
	group_needed, run_destination_limit},
    {"destination", "retry", "NAME TIMES", 2, 2, false,
	"tries again at given times",
	"After a failure a destination is tried again soon, then ever more "
	"rarely, in the\nend every minute; or, with this, at these times of "
	"day alone, HH:MM with commas\nbetween, by local time. '' goes "
	"back.\n\n"
	"  aim-manager destination retry paris --group db 02:00,12:30",
	group_needed, run_destination_retry},
    {"destination", "remove", "NAME", 1, 1, false, "sends there no more",
	"Forgets a destination. Its mirror stays as it is. To mirror there "
	"again, a\nnew base is needed.\n\n"
	"  aim-manager destination remove paris --group db",
	group_needed, run_destination_remove},
    {"destination", "test", "NAME", 1, 1, false, "tries the link",
	"Reads the acknowledgement there, and sends the last file again that "
	"is stored\nthere, which is dropped as a duplicate. Says how long it "
	"took, or what is wrong.\nA coordinator may run meanwhile.\n\n"
	"  aim-manager destination test paris --group db",
	test_options, run_destination_test},
    {"destination", "template", "KIND", 1, 1, false, "configures a server",
	"Prints configuration for the server at the mirror's site: nginx, "
	"sshd,\nauthorized_keys (of that sshd), s3 (a policy), rsyncd or "
	"rsync_keys (for rsync\nover SSH). With it an account can upload new "
	"journal files and read\nacknowledgements, and nothing else.\n\n"
	"  aim-manager destination template nginx --server paris.example \\\n"
	"      >/etc/nginx/conf.d/aim.conf",
	template_options, run_destination_template},
    {"projection", "add", "NAME", 1, 1, false,
	"defines what some destinations get",
	"Defines another stream that is made from the group's: only some of "
	"its volumes,\nor a range of one; addresses stay as they are, and "
	"what is outside is never\nwritten at the mirror. Or all of it, "
	"folded, or compressed in another way.\nExport the group with "
	"--projection for such a mirror.\n\n"
	"  aim-manager projection add logs --group shop --volume log\n"
	"  aim-manager projection add low --group shop --range db:0+64G\n"
	"  aim-manager projection add far --group shop --compress zstd:19",
	projection_add_options, run_projection_add},
    {"projection", "list", "", 0, 0, false, "lists projections",
	"Lists what was defined with 'projection add', and how much of what "
	"is written\nit sends.",
	json_only, run_projection_list},
    {"projection", "remove", "NAME", 1, 1, false, "forgets a projection",
	"Forgets a projection that no destination gets any more.\n\n"
	"  aim-manager projection remove logs --group shop",
	group_needed, run_projection_remove},
    {"base", NULL, "GROUP", 1, 1, false, "copies a group to its mirrors",
	"Asks for a full copy-in, while the group is in use. Returns at once; "
	"the\ncoordinator does it. The mirror is consistent when it has all "
	"of it.\n\n"
	"  aim-manager base db --wait",
	base_options, run_base},
    {"key", "generate", "GROUP", 1, 1, false, "makes a key for encryption",
	"The first key of a group turns encryption on, for ever: from the "
	"next file on\nnobody without it can read what is sent. Mirrors "
	"wait until they have it. A\nlater key is used after 'key rotate', "
	"so that it can be everywhere before.\n\n"
	"  aim-manager key generate db\n"
	"  aim-manager key export db --to db.key",
	dry_run_only, run_key_generate},
    {"key", "rotate", "GROUP", 1, 1, false, "goes over to the new key",
	"Encrypts with the key that was generated last. The one before is "
	"kept for\nreading until it is retired.\n\n"
	"  aim-manager key rotate db",
	dry_run_only, run_key_rotate},
    {"key", "list", "", 0, 0, false, "lists keys",
	"Lists the keys of encrypted groups by their ids: next (made, not yet "
	"used),\ncurrent, kept (for reading), retired (gone). Never a key "
	"itself.",
	key_list_options, run_key_list},
    {"key", "export", "GROUP", 1, 1, false, "writes a key to a file",
	"Writes a group's key to a new file of mode 0600, to be carried to "
	"the sites\nof its mirrors by a way that nobody else can look into. "
	"Remove it there and\nhere afterwards.\n\n"
	"  aim-manager key export db --to db.key",
	key_export_options, run_key_export},
    {"key", "import", "GROUP FILE", 2, 2, false, "takes a key from a file",
	"Takes the key that 'key export' wrote. A mirror that has been waiting "
	"for it\ngoes on at once.\n\n"
	"  aim-manager key import db db.key",
	dry_run_only, run_key_import},
    {"key", "retire", "GROUP ID", 2, 2, false, "removes a key",
	"Removes a key from this site when no file here needs it any more.\n\n"
	"  aim-manager key retire db 0123456789abcdef0123456789abcdef",
	dry_run_only, run_key_retire},
    {"carry", "out", "GROUP --to FOLDER", 1, 1, false,
	"copies files into a folder to be carried",
	"Copies what the group's carried destinations (--url carry://) have "
	"not stored\nyet into a folder, with a manifest. Broken off or "
	"repeated, the folder is as it\nwas before, or whole.\n\n"
	"  aim-manager carry out db --to /media/disk",
	carry_out_options, run_carry_out},
    {"carry", "in", "FOLDER", 1, 1, false, "takes what a folder has brought",
	"At the mirror's site: checks all files against the manifest, takes "
	"them, waits\nuntil they are received, and leaves the "
	"acknowledgement in the folder. At the\nsource's site: takes the "
	"acknowledgements.\n\n"
	"  aim-manager carry in /media/disk",
	carry_in_options, run_carry_in},
    {"gather", NULL, "--to PATH --layout LAYOUT", 0, 0, false,
	"puts a volume together from its members",
	"Reads the members of a layout, wherever they are, and puts the volume "
	"together\nagain, at one moment of its history: that at which all are "
	"that are read, by\ntheir signed acknowledgements. As many members may "
	"be missing as the level\nbears. Needs no home. Pause the mirrors "
	"first ('mirror pause GROUP --apply').\n\n"
	"  aim-manager gather --to /srv/db.img --layout raid1 \\\n"
	"      --member rome=sftp://aim@rome.example/mirrors/db.img \\\n"
	"      --pairing rome=rome.pairing --ack "
	"rome=sftp://aim@rome.example/in \\\n"
	"      --member oslo=https://oslo.example/mirrors/db.img \\\n"
	"      --pairing oslo=oslo.pairing --ack "
	"oslo=https://oslo.example/in \\\n"
	"      --key rome=rome_key --known-hosts rome=rome_hosts\n\n"
	"What is still to be read is kept in PATH.gather: after a crash, "
	"'--continue --to\nPATH' goes on. Status 3: ranges are left "
	"(--once).",
	gather_options, run_gather},
    {"run", NULL, "[OPTION...] GROUP -- COMMAND [ARG...]", 1, 1, true,
	"runs a program and captures its writes",
	"Runs COMMAND and captures its writes to every protected volume of "
	"the home.\nThe exit status is COMMAND's; 128+N when signal N ended "
	"it; 125 when capture\ncould not start; 126 when COMMAND cannot be "
	"captured or run; 127 when it is\nnot found.\n\n"
	"On x86-64 system calls that go past the C library are captured or "
	"stopped\nby a seccomp filter (the tripwire), which lasts as long as "
	"COMMAND and what\nit starts; on other machines they are not "
	"seen.\n\n"
	"  aim-manager run db -- sqlite3 /srv/db.img 'insert ...'",
	run_options, run_run},
    {"status", NULL, "[GROUP]", 0, 1, false, "tells how mirrors are",
	"Tells of each group: its state, how far it is captured, stored and "
	"applied,\nand the command to run next.\n\n"
	"  aim-manager status db --json",
	json_only, run_status},
    {"wait", NULL, "GROUP", 1, 1, false, "waits for the mirrors",
	"Waits until all that was written before is applied at (or stored by) "
	"all\ndestinations. Copy-ins that are queued or under way count. On a "
	"mirror's\nhome: until all that has arrived is applied.\n\n"
	"  aim-manager wait db --timeout 60\n\n"
	"Exit code 3 on time-out, 4 when it cannot come true.",
	wait_options, run_wait},
    {"marker", NULL, "GROUP NAME", 2, 2, false, "names this moment",
	"Puts a named point into the stream and prints its transaction "
	"number.\n\n  aim-manager marker db before-upgrade",
	no_options, run_marker},
    {"logwrites", "attach", "VOLUME", 1, 1, false,
	"logs a disk's writes in the kernel",
	"Makes /dev/mapper/NAME with dmsetup(8), which writes to the volume, "
	"a block\ndevice, and logs each write to the first --log "
	"(dm-log-writes). Use it instead\nof the volume from then on, and "
	"let aim-logwrites(1) follow the same logs. The\nbase must be done, "
	"with nobody writing. --dry-run prints the exact commands.\n\n"
	"  aim-manager logwrites attach db --device dblog \\\n"
	"      --log /dev/sdc --log /dev/sdd",
	logwrites_attach_options, run_logwrites_attach},
    {"logwrites", "rotate", "VOLUME", 1, 1, false, "changes to another log",
	"Lets the device log to another block device, while it is in use, "
	"when nobody\nfollows the log (who follows it changes it by himself). "
	"Import the logs in\norder at the end.\n\n"
	"  aim-manager logwrites rotate db --device dblog --log /dev/sdd",
	logwrites_rotate_options, run_logwrites_rotate},
    {"logwrites", "detach", "", 0, 0, false, "ends logging",
	"Takes the device down, when nobody uses it any more, and tells which "
	"log was\nthe last.\n\n"
	"  aim-manager logwrites detach --device dblog",
	logwrites_detach_options, run_logwrites_detach},
    {"logwrites", "list", "", 0, 0, false, "lists write logs",
	"Lists the chains of write logs that were prepared for volumes of "
	"this site, the\nnewest first, and how far each is imported.",
	json_only, run_logwrites_list},
    {"hook", "add", "NAME PATH", 2, 2, false, "runs a program at an alarm",
	"Registers a program that the coordinator runs when an alarm is "
	"raised, and again\nwhen it is cleared: 'silence' (nothing came from "
	"the source for long), 'commit'\n(flushes are not confirmed in time), "
	"'spool' (it fills up). It is run without a\nshell and finds "
	"AIM_ALARM, "
	"AIM_STATE (raised, cleared), AIM_GROUP, AIM_SITE and\nAIM_TEXT in its "
	"environment. It, and the folders above it, must belong to root\nor "
	"the "
	"home's owner, and nobody else may change them.\n\n"
	"  aim-manager hook add pager /usr/local/sbin/page-me --on silence",
	hook_add_options, run_hook_add},
    {"hook", "remove", "NAME", 1, 1, false, "forgets such a program",
	"Forgets a hook; the program stays.", dry_run_only, run_hook_remove},
    {"hook", "list", "", 0, 0, false, "lists such programs",
	"Lists the hooks of this site.", json_only, run_hook_list},
    {"hook", "test", "NAME", 1, 1, false, "runs such a program now",
	"Runs a hook as an alarm would, with AIM_ALARM=test, and shows what it "
	"says.",
	no_options, run_hook_test},
    {"events", NULL, "", 0, 0, false, "tells what was changed when",
	"Lists the history of this site's configuration and troubles.",
	events_options, run_events},
    {"catalogue", "restore", "", 0, 0, false, "puts the configuration back",
	"Replaces a damaged or lost catalogue.db by the copy that was kept at "
	"the last\nchange. Stop the coordinator first.\n\n"
	"  aim-manager catalogue restore",
	no_options, run_catalogue_restore},
};

const size_t command_count = sizeof(commands) / sizeof(commands[0]);
