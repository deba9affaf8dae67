# What containers may do: seen from the host for each, and tried from inside with the settings of one.
for unit in $(services); do
    container "$unit" > /dev/null || continue
    pid=$(process "$unit")
    status=$(cat "/proc/$pid/status")
    for set in CapInh CapPrm CapEff CapBnd CapAmb; do
        grep -q "^$set:	0000000000000000$" <<< "$status" || fail "$unit has capabilities in $set"
    done
    grep -q '^NoNewPrivs:	1$' <<< "$status" || fail "$unit may gain privileges"
    grep -q '^Seccomp:	2$' <<< "$status" || fail "$unit has no filter of system calls"
    grep -q '^Uid:	610' <<< "$status" || fail "$unit has a user that is not its own"
    awk '$5 == "/" { split($6, options, ","); exit options[1] != "ro" }' "/proc/$pid/mountinfo" ||
        fail "$unit may write to its image"
    links=$(nsenter --net="/proc/$pid/ns/net" ip -oneline link | awk -F ': ' '{ print $2 }' | xargs)
    [ "$links" = lo ] || fail "$unit has the network interfaces $links"
    echo "$unit: no network, no capabilities, no new privileges, read-only"
done

# The gateway's settings, but programs of Debian in place of the gateway, and none of its folders.
root=/var/tmp/probe
mkdir -p $root/usr $root/etc $root/proc $root/sys $root/dev $root/tmp
for name in bin lib lib64 sbin; do ln -sfn usr/$name $root/$name; done
quadlet=/run/containers/systemd/probe.container
mkdir -p /run/containers/systemd
sed -e "s|^Image=.*|Rootfs=$root|" -e '/^Pull=/d' -e '/^Volume=/d' -e '/^Exec/d' -e '/^Restart/d' -e '/^PartOf/d' \
    -e '/^Requires/d' -e '/^After/d' -e '/^Condition/d' -e '/^ContainerName/d' \
    -e 's|^\[Container\]|&\nVolume=/usr:/usr:ro\nVolume=/var/tmp/try.sh:/tmp/try.sh:ro\nExec=/bin/bash /tmp/try.sh|' \
    -e 's|^\[Service\]|&\nType=oneshot\nRemainAfterExit=yes|' \
    /usr/share/containers/systemd/maru-gateway.container > $quadlet
cat > /var/tmp/try.sh <<'END'
refused() { "$@" 2> /dev/null && { echo "allowed: $*"; exit 1; }; }
send() { exec 3<> /dev/tcp/10.0.2.2/80; }
write() { : > "$1"; }
refused send
refused write /file
refused write /tmp/file
refused write /usr/file
refused mount -t tmpfs tmpfs /tmp
refused unshare --net true
unshare --user true 2>&1 | grep -q 'Operation not permitted' || { echo "a namespace of users"; exit 1; }
# Families of sockets (socket(2)): IPv4 and AF_VSOCK; the local one is allowed.
for family in 2 40; do refused perl -e 'exit !socket(my $socket, shift, 1, 0)' $family; done
perl -e 'exit !socket(my $socket, 1, 1, 0)' || { echo "no local socket"; exit 1; }
refused chroot / true
refused mknod /tmp/node c 1 3
refused dmesg
refused renice -n -5 $$
[ "$(id -u)" = 61002 ] || { echo "user $(id -u)"; exit 1; }
[ "$(ls /proc/sys/net/ipv4/conf | xargs)" = "all default lo" ] || { echo "more interfaces than lo"; exit 1; }
echo "tried from inside, and all refused"
END
systemctl daemon-reload
systemctl start probe.service || { journalctl --unit=probe --lines=20 --no-pager; fail "the probe failed"; }
journalctl --unit=probe --output=cat --no-pager | grep '^tried from inside' | tail -n 1 || fail "the probe did not end"
systemctl stop probe.service
rm -r $quadlet $root /var/tmp/try.sh
systemctl daemon-reload
