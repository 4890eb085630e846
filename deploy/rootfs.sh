#!/bin/bash
# Makes the file system of an image: the program at /NAME, the shared libraries that it needs and the loader, the system's
# certificate authorities, where names are looked up, /tmp, and nothing else: no shell. Called by deploy/Dockerfile and by the end-to-end tests, so that
# both are the same.
#   rootfs.sh PROGRAM DIRECTORY [LINK...]    LINK: a path that is a symbolic link to the program
set -euo pipefail
program=$1 root=$2; shift 2
mkdir -p "$root"
install -D -m 0755 "$program" "$root/${program##*/}"
# "name => path (address)" and, for the loader, "path (address)"; the kernel's own part has no path.
ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
  install -D -m 0755 "$library" "$root$library"
done
authorities=/etc/ssl/certs/ca-certificates.crt
if [ -e "$authorities" ]; then install -D -m 0644 "$authorities" "$root$authorities"; fi
# Without it the C library asks DNS before /etc/hosts, also for localhost.
mkdir -p "$root/etc"
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
mkdir -p "$root/tmp"
chmod 1777 "$root/tmp"
for link; do
  mkdir -p "$root${link%/*}"
  ln -sfn "/${program##*/}" "$root$link"
done
