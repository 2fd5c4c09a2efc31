#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Mirrors fetch from a place that the source fills; it is cleared behind them.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/nginx.sh
. "$TOP/tests/nginx.sh"
# shellcheck source=tests/s3.sh
. "$TOP/tests/s3.sh"
need python3

WRITER=$TOP/tests/sys/writer.py
HUB=$T/hub
AFAR=$T/afar
afar() { aim-manager --home "$AFAR" "$@"; }
mkdir "$HUB"

# meet GROUP SITE PATH URL [OPTION...]: a mirror at SITE (there or afar) on
# PATH, which fetches from URL, where the source sends to.
meet() {
	local group=$1 site=$2 path=$3 url=$4
	shift 4
	here group export "$group" >"$T/$group.pairing" 2>/dev/null ||
		fail "group export $group"
	quietly "$site" mirror add "$group" --pairing "$T/$group.pairing" \
		--pull "$url" --create --onto "$group=$path" "$@"
	"$site" mirror export "$group" >"$T/$group.$site" 2>/dev/null ||
		fail "mirror export $group"
	quietly here destination add "$site" --group "$group" --url "$url" \
		--hub --pairing "$T/$group.$site" "$@"
}

files_in() { find "$1" -name '*.aim' | wc -l; }
is_clear() { [ "$(files_in "$1")" -eq 0 ]; }

sites
quietly afar init --site afar
volume disk 8M
meet disk there "$T/disk.mir" "file://$HUB"
meet disk afar "$T/disk.far" "file://$HUB"
expect 2 there mirror add x --pairing "$T/disk.pairing" --onto x=/x
says 'or --pull'

say "two mirrors fetch from one folder, and it is cleared behind them"
both
start "$AFAR"
here base disk --wait --timeout 60 || fail "base: status $?"
must captured disk python3 "$WRITER" --count 1000 "$T/disk.img"
settled disk
mirrored
same "$T/disk.img" "$T/disk.far"
IN=$HUB/$(sed -n 's/^stream //p' "$T/disk.pairing")
within 40 is_clear "$IN" || fail "left there: $(ls "$IN")"
pruned() { [ "$(files_in "$HERE/sealed")" -le 2 ]; }
within 40 pruned || fail "nothing is pruned here: $(ls "$HERE/sealed/"*)"
is there disk 'g["mirror"]["pull"]["url"]' "file://$HUB" ||
	fail "status does not tell where it pulls from"

say "the fetchers are killed again and again"
captured disk python3 "$WRITER" --count 3000 --seed 2 "$T/disk.img" &
writer=$!
killed=0
while kill -0 $writer 2>/dev/null; do
	for home in "$THERE" "$AFAR"; do
		for pid in $(family "$(coordinator "$home")"); do
			[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = aim-fetch ] &&
				kill -9 "$pid" && killed=$((killed + 1))
		done
	done
	sleep 0.0$((RANDOM % 90 + 10))
done
wait $writer || fail "the writer: status $?"
[ $killed -gt 0 ] || fail "no fetcher was ever met"
settled disk
mirrored
same "$T/disk.img" "$T/disk.far"

say "damaged, cut, foreign and too large files there are refused and replaced"
within 40 is_clear "$IN" || fail "left there: $(ls "$IN")"
stop "$THERE"
stop "$AFAR"
for seed in 11 12 13 14 15 16; do
	must captured disk python3 "$WRITER" --count 20 --seed $seed \
		"$T/disk.img"
	sent() { [ "$(files_in "$IN")" -ge $((seed - 10)) ]; }
	within 40 sent || fail "only $(files_in "$IN") files were sent"
done
mapfile -t sent < <(find "$IN" -name '*.aim' | sort)
printf '\xff' | dd of="${sent[0]}" bs=1 seek=700 conv=notrunc status=none
truncate -s 1000 "${sent[1]}"
head -c 30000 /dev/urandom >"${sent[2]}"
truncate -s 2G "${sent[3]}"
cp "${sent[5]}" "${sent[4]}"
echo hello >"$IN/readme"
start "$THERE"
start "$AFAR"
# While a mirror is stalled, waiting for it is of no use.
arrived() { here wait disk --applied --timeout 1 >"$T/wait" 2>&1; }
within 60 arrived || fail "it does not go on: $(cat "$T/wait")"
mirrored
same "$T/disk.img" "$T/disk.far"
# Each was refused by whoever met it first, and then replaced.
refused=$(grep -ho "'0000[^']*' was put into quarantine" \
	"$T/there.log" "$T/afar.log" | sort -u | wc -l)
[ "$refused" -eq 5 ] || fail "$refused of 5 were refused"
within 40 is_clear "$IN" || fail "left there: $(ls "$IN")"
[ -e "$IN/readme" ] || fail "a foreign file was removed"

say "the place goes away and comes back: told, and nothing is lost"
mv "$HUB" "$HUB.gone"
must captured disk python3 "$WRITER" --count 200 --seed 3 "$T/disk.img"
stalled() { is there disk 'g["state"]' stalled; }
within 40 stalled || fail "the mirror does not say so"
OUT=$(there status)
says "$HUB"
mv "$HUB.gone" "$HUB"
within 60 arrived || fail "it does not go on: $(cat "$T/wait")"
mirrored
same "$T/disk.img" "$T/disk.far"

say "the first file of a base comes cut, or is one of another group"
for name in cut other; do
	stop "$THERE"
	volume $name 1M
	meet $name there "$T/$name.mir" "file://$HUB"
	FIRST=$HUB/$(sed -n 's/^stream //p' "$T/$name.pairing")
	here base $name || fail "base: status $?"
	is_sent() { [ "$(files_in "$FIRST")" -ge 1 ]; }
	within 20 is_sent || fail "nothing is sent"
	file=$(find "$FIRST" -name '*.aim' | sort | head -n 1)
	if [ $name = cut ]; then
		truncate -s 1000 "$file"
	else
		cat "$(find "$HERE/sealed/$(basename "$IN")" -name '*.aim' |
			head -n 1)" >"$file"
	fi
	start "$THERE"
	arrived() { here wait "$name" --applied --timeout 1 >"$T/wait" 2>&1; }
	within 60 arrived || fail "it does not begin: $(cat "$T/wait")"
done
mirrored

if command -v sshd >/dev/null; then
	say "over SFTP, with a server that dies meanwhile"
	mkdir -p "$T/landing/hub"
	serve
	! is_root || chown "$SSHD_USER" "$T/landing/hub"
	volume web 4M
	meet web there "$T/web.mir" \
		"sftp://$SSHD_USER@127.0.0.1:$SSHD_PORT$SSHD_ROOT/hub" \
		--key "$SSHD_HUB_KEY" --known-hosts "$SSHD_KNOWN_HOSTS"
	here base web --wait --timeout 60 || fail "base: status $?"
	must captured web python3 "$WRITER" --count 500 "$T/web.img"
	unserve
	must captured web python3 "$WRITER" --count 500 --seed 2 "$T/web.img"
	export SSHD_FIXED_PORT=$SSHD_PORT
	serve
	settled web
	mirrored
	within 40 is_clear "$T/landing/hub" || fail "left on the server"
fi

if command -v openssl >/dev/null; then
	say "from one bucket, two mirrors"
	mkdir -p "$T/landing/incoming"
	s3_start "$T/s3" "$T/landing" || fail "no S3 server"
	volume bucket 4M
	set -- "$(s3_url '')" --ca "$S3_CA" --credentials "$S3_KEYS"
	meet bucket there "$T/bucket.one" "$@"
	meet bucket afar "$T/bucket.two" "$@"
	here base bucket --wait --timeout 60 || fail "base: status $?"
	must captured bucket python3 "$WRITER" --count 500 "$T/bucket.img"
	settled bucket
	same "$T/bucket.img" "$T/bucket.one"
	same "$T/bucket.img" "$T/bucket.two"
	within 40 is_clear "$T/landing/incoming" || fail "left in the bucket"
fi
stop "$HERE"
stop "$THERE"
stop "$AFAR"
pass
