#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# All of it works for an ordinary user, SFTP server included.
# shellcheck source=tests/sys/lib.sh
. "$(dirname "$0")/lib.sh"
need python3 sshd setpriv

# A copy that the user can read, wherever the source tree is.
mkdir -p "$T/tree/tests" "$T/work"
cp -r "$TOP/tests/sys" "$TOP/tests/sshd.sh" "$T/tree/tests/"
for file in manager/aim-manager coordinator/aim-coordinator \
	manager/aimdump/aimdump libaim-preload.so; do
	mkdir -p "$T/tree/build/$(dirname "$file")"
	cp "$BUILD/$file" "$T/tree/build/$file" || fail "no $BUILD/$file"
done
drop=()
if is_root; then
	# Not nobody: for that one some hosts make up a locked account.
	chown -R daemon "$T/work" "$T/tree"
	drop=(setpriv --reuid daemon --regid daemon --clear-groups)
	[ "$("${drop[@]}" id -un)" = daemon ] || fail "cannot become daemon"
fi
for script in e2e_sftp once_cron kill_writer unclean full_disk; do
	say "$script"
	rc=0
	PATH=/usr/local/bin:/usr/bin:/bin "${drop[@]}" env -u AIM_TEST_T \
		AIM_TEST_DIR="$T/work" HOME="$T/work" \
		AIM_BUILD="$T/tree/build" \
		bash "$T/tree/tests/sys/$script.sh" >"$T/$script.log" 2>&1 ||
		rc=$?
	# In a chroot only root has namespaces; as root it runs by itself.
	if [ $rc -eq 77 ] && is_root; then
		tail -n 1 "$T/$script.log"
	elif [ $rc -ne 0 ]; then
		fail "status $rc from $script as $("${drop[@]}" id -un)"
	fi
done
pass
