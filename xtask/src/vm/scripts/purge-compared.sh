# A purge with and without the network's data. The machine is compared with what it was before the installation.
gone() {
    [ -z "$(systemctl list-unit-files --no-legend 'maru*')$(systemctl list-units --all --no-legend --plain 'maru*')" ] ||
        fail "units are left: $(systemctl list-units --all --no-legend --plain 'maru*' | xargs)"
    [ -z "$(podman images --quiet --filter label=maru)$(podman ps --all --quiet)" ] || fail "images or containers are left"
    [ -z "$(nft list tables | grep maru)" ] || fail "tables are left: $(nft list tables | xargs)"
    [ -z "$(ip -oneline link | grep maru)" ] || fail "an interface is left"
    ! grep -q -i maru /etc/resolv.conf || fail "/etc/resolv.conf is still ours"
    left=$(readlink /proc/[0-9]*/exe | grep maru || true)
    [ -z "$left" ] || fail "processes are left: $left"
    [ ! -e /run/maru ] || fail "/run/maru is left"
}
data() { find /etc/maru /var/lib/maru -type f -not -path '*/models/*' -exec sha256sum {} + | sort; }
# shellcheck disable=SC1091
. /var/tmp/maru-host.sh

systemctl stop maru.target 'maru-*.service' 'maru-*.timer'
kept=$(data)
dpkg --purge maru-home maru-model-smollm2 > /tmp/purge.log 2>&1 || { cat /tmp/purge.log; fail "the purge failed"; }
grep -q 'data are kept' /tmp/purge.log || fail "the purge does not say where the data are"
gone
[ "$(data)" = "$kept" ] || fail "a purge changed the network's data"
diff /var/tmp/maru-host.before <(host) | grep '^[<>]' | grep -v -E ' /(etc|var/lib|var/backups)/maru(/|$)' > /tmp/left || true
[ ! -s /tmp/left ] || fail "the machine is another than before: $(head -n 20 /tmp/left | xargs)"
echo "a purge keeps the network's data, and nothing else"

mount -o ro /dev/vdb /mnt/packages
dpkg --install /mnt/packages/*.deb > /tmp/install.log 2>&1 || { cat /tmp/install.log; fail "it cannot be installed again"; }
umount /mnt/packages
[ "$(data)" = "$kept" ] || fail "an installation changed the network's data"
touch /etc/maru/purge-data
dpkg --purge maru-home maru-model-smollm2 > /tmp/purge.log 2>&1 || { cat /tmp/purge.log; fail "the purge failed"; }
gone
diff /var/tmp/maru-host.before <(host) | grep '^[<>]' | grep -v ' /var/backups/maru' > /tmp/left || true
[ ! -s /tmp/left ] || fail "the machine is another than before: $(head -n 20 /tmp/left | xargs)"
echo "with /etc/maru/purge-data the machine is as before, with its backups"
