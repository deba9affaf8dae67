# A purge leaves no process, key in memory, image or unit, and keeps the network's data, with which the package runs again.
dpkg --purge maru-home > /var/tmp/purge.log 2>&1 || { cat /var/tmp/purge.log; fail "the package is not removed"; }
grep -q 'kept in /etc/maru and /var/lib/maru' /var/tmp/purge.log || fail "it does not say what is kept: $(cat /var/tmp/purge.log)"
[ -e /var/lib/maru/machine-key.json ] || fail "the machine's key is gone"
left=$(find /run/maru /usr/bin/maru* /usr/lib/maru /usr/share/maru /usr/lib/systemd/system/maru* /etc/systemd/system/*/maru* 2> /dev/null || true)
[ -z "$left" ] || fail "left: $left"
left=$(podman images --quiet --filter label=maru)
[ -z "$left" ] || fail "images are left: $left"
left=$(readlink /proc/[0-9]*/exe | grep maru || true)
[ -z "$left" ] || fail "processes are left: $left"
mount -o ro /dev/vdb /mnt/packages
dpkg --install /mnt/packages/maru-home_*.deb > /var/tmp/purge.log 2>&1 || { cat /var/tmp/purge.log; fail "the package is not installed again"; }
umount /mnt/packages
rm /var/tmp/purge.log
systemctl enable --now maru.target
echo "removed, and installed again with the same data"
