# The installed package is packed again, under higher versions: one that works, then one whose coordinator is broken.
name=maru-home
version() { dpkg-query --show --showformat='${Version}' $name; }
# Makes a package of the installed one's files and scripts, with this version; the commands after it change its files in `tree`.
repack() {
    rm -rf /tmp/tree "/tmp/$1.deb"
    mkdir -p /tmp/tree/DEBIAN
    dpkg-query --listfiles $name | while read -r path; do
        if [ -f "$path" ]; then
            mkdir -p "/tmp/tree${path%/*}"
            cp --preserve "$path" "/tmp/tree$path"
        fi
    done
    for script in preinst postinst prerm postrm; do
        cp "/var/lib/dpkg/info/$name.$script" "/tmp/tree/DEBIAN/$script"
    done
    {
        echo "Package: $name"
        echo "Version: $1"
        dpkg-query --show --showformat='Architecture: ${Architecture}\nDepends: ${Depends}\n' $name
        echo "Maintainer: test <test@localhost>"
        echo "Description: test"
    } > /tmp/tree/DEBIAN/control
}
build() { dpkg-deb --root-owner-group -Znone --build /tmp/tree "/tmp/$1.deb" > /dev/null; }
data() { find /etc/maru /var/lib/maru -path /var/lib/maru/former -prune -o -printf '%p %y %m %U %G\n' | grep -v -e -wal -e -shm | sort; }
healthy() { maru user list -o json | grep -q kim && maru status > /dev/null; }

before=$(version)
repack 8.0 && build 8.0
agent=maru-agent.service
interface() { ip -o link show maru0 | cut -d : -f 1; }
index=$(interface)
maru upgrade --dry-run /tmp/8.0.deb | grep -q '8.0 will be installed' || fail "the plan is not told"
began=$SECONDS
maru upgrade /tmp/8.0.deb < /dev/null > /tmp/upgrade.log 2>&1 || fail "$(tail -n 20 /tmp/upgrade.log)"
[ "$(version)" = 8.0 ] && within 60 healthy || fail "8.0 does not run"
[ -s /var/lib/maru/former/backup.tar ] && [ ! -e /var/lib/maru/former/stage ] || fail "$(ls /var/lib/maru/former)"
echo "updated in $((SECONDS - began)) s"
[ "$(interface)" = "$index" ] || fail "the update made another interface"
away=$((($(property $agent ActiveEnterTimestampMonotonic) - $(property $agent ActiveExitTimestampMonotonic)) / 1000))
# An emulated processor is many times slower than a real one.
[ $away -le 15000 ] || fail "the agent was away for $away ms"
echo "the agent was away for $away ms"

# An older one is refused, and nothing changes.
repack "$before" && build "$before"
if dpkg --install "/tmp/$before.deb" > /tmp/older.log 2>&1; then fail "an older version was installed"; fi
grep -q "may not be able to read the data of 8.0" /tmp/older.log || fail "$(cat /tmp/older.log)"
[ "$(version)" = 8.0 ] && healthy || fail "a refused version changed something"

# One whose coordinator does not run is taken back, with what it did to its data. It does nothing to them before they are copied,
# though the former one crashes once dpkg has replaced its program. The relay is the same program.
sums=$(sha256sum /usr/bin/maru-*)
there=$(data)
repack 9.0
mv /tmp/tree/usr/bin/maru-coordinator /tmp/tree/usr/bin/maru-coordinator-8
cat > /tmp/tree/usr/bin/maru-coordinator <<'END'
#!/bin/sh
[ "$1" = serve ] || exec maru-coordinator-8 "$@"
touch /var/lib/maru/coordinator/of-9.0
exit 1
END
chmod 755 /tmp/tree/usr/bin/maru-coordinator
sed -i '1a systemctl kill --signal=KILL maru-coordinator.service; sleep 10' /tmp/tree/DEBIAN/postinst
build 9.0
began=$SECONDS
if maru upgrade /tmp/9.0.deb < /dev/null > /tmp/broken.log 2>&1; then fail "a broken version was installed"; fi
grep -q "the update was taken back, and 8.0 is here again" /tmp/broken.log || fail "$(tail -n 20 /tmp/broken.log)"
echo "taken back in $((SECONDS - began)) s"
journalctl --unit=maru-coordinator --grep='an update is under way' --quiet | grep --quiet . || fail "the crashed coordinator did not wait"
grep -q "maru-coordinator" /tmp/broken.log || fail "the crashed coordinator was not judged: $(tail -n 20 /tmp/broken.log)"
[ "$(sha256sum /usr/bin/maru-*)" = "$sums" ] || fail "the former programs are not back"
within 60 healthy || fail "the former version does not run"
[ "$(data | cut -d ' ' -f 1-2)" = "$(cut -d ' ' -f 1-2 <<< "$there")" ] || fail "$(diff <(data) <(echo "$there"))"

# The same version as before is a repair; dpkg is content again.
dpkg --install /tmp/8.0.deb > /tmp/repair.log 2>&1 || fail "$(tail -n 20 /tmp/repair.log)"
[ "$(dpkg-query --show --showformat='${db:Status-Abbrev}' $name)" = "ii " ] && within 60 healthy || fail "no repair"
