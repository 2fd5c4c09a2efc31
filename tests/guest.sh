# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# guest: a small Linux under QEMU's own processor (TCG), for the system tests;
# sourced after tests/sys/lib.sh. The kernel is Debian's, unpacked into a
# folder that is kept between runs ($AIM_CACHE, /var/cache/aim-tests or
# ~/.cache/aim-tests), and never installed.

need qemu-system-x86_64 cpio busybox

# guest_fetch DIR: the kernel's package, unpacked into DIR.
guest_fetch() {
	local package deb=$1.deb
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$package" ] || return 1
	mkdir -p "$1" "$deb" &&
		(cd "$deb" && apt-get -q download "$package") &&
		dpkg -x "$deb"/*.deb "$1" && rm -rf "$deb"
}

# guest_kernel: sets GUEST_KERNEL and GUEST_MODULES. A run beside ours that
# fetches it too does no harm: each moves its own into place.
guest_kernel() {
	local cache=${AIM_CACHE:-} new
	if [ -z "$cache" ] && mkdir -p /var/cache/aim-tests 2>/dev/null &&
		[ -w /var/cache/aim-tests ]; then
		cache=/var/cache/aim-tests
	fi
	cache=${cache:-$HOME/.cache/aim-tests}
	mkdir -p "$cache" || fail "mkdir $cache"
	if ! ls "$cache"/kernel/boot/vmlinuz-* >/dev/null 2>&1; then
		new=$cache/kernel.$$
		guest_fetch "$new" >"$T/kernel.out" 2>&1 ||
			{ is_root && apt-get -q update >>"$T/kernel.out" 2>&1 &&
				guest_fetch "$new" >>"$T/kernel.out" 2>&1; } || {
			rm -rf "$new" "$new.deb"
			cat "$T/kernel.out"
			skip "the package of a kernel cannot be had"
		}
		rm -rf "$cache/kernel"
		mv -T "$new" "$cache/kernel" 2>/dev/null || rm -rf "$new"
	fi
	GUEST_KERNEL=$(find "$cache"/kernel/boot -name 'vmlinuz-*' | tail -n 1)
	GUEST_MODULES=$(find "$cache"/kernel/lib/modules -mindepth 1 \
		-maxdepth 1 | tail -n 1)
	if [ -z "$GUEST_KERNEL" ] || [ -z "$GUEST_MODULES" ]; then
		fail "no kernel in $cache"
	fi
}

# guest_initrd DIR OUT: DIR, which has `init`, with busybox and the modules for
# disks, packed into OUT. In it `init` sources /modules.
guest_initrd() {
	local module file
	mkdir -p "$1"/{bin,proc,sys,dev,root,mod} || fail "mkdir"
	cp "$(command -v busybox)" "$1/bin/busybox" || fail "busybox"
	: >"$1/modules"
	for module in virtio_ring virtio virtio_pci_legacy_dev \
		virtio_pci_modern_dev virtio_pci virtio_blk; do
		file=$(find "$GUEST_MODULES" -name "$module.ko*" | head -n 1)
		case $file in
		'') continue ;; # built in
		*.xz) xz -dc "$file" >"$1/mod/$module.ko" ;;
		*) cp "$file" "$1/mod/$module.ko" ;;
		esac || fail "the module $module"
		echo "insmod /mod/$module.ko" >>"$1/modules"
	done
	(cd "$1" && find . | cpio --quiet -o -H newc | gzip -1) >"$2" ||
		fail "pack $2"
}

# guest_run SECONDS INITRD APPEND ARGUMENT...: runs it to its end; what it says
# is in $T/guest.log.
guest_run() {
	local limit=$1 initrd=$2 append=$3
	shift 3
	timeout -k 5 "$limit" qemu-system-x86_64 -accel tcg -cpu max -m 256 \
		-smp 1 -nographic -no-reboot -nodefaults -serial stdio \
		-kernel "$GUEST_KERNEL" -initrd "$initrd" \
		-append "console=ttyS0 quiet panic=-1 $append" "$@" \
		>"$T/guest.log" 2>&1 </dev/null
}
