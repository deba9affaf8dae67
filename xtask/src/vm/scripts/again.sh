# After a power cut during an installation: what docs/installing.md says ends it, and every file is the package's.
state() { dpkg-query --show --showformat='${db:Status-Status}' maru-home 2> /dev/null || true; }
[ -s /var/tmp/cut ] || fail "the power was not cut during an installation: $(cat /var/tmp/cut.log)"
left=$(state)
began=$SECONDS
dpkg --configure -a > /tmp/again.log 2>&1 || fail "$(cat /tmp/again.log)"
apt-get --yes --no-install-recommends install --reinstall /var/tmp/home.deb >> /tmp/again.log 2>&1 || fail "$(cat /tmp/again.log)"
[ "$(state)" = installed ] || fail "the package is $(state): $(cat /tmp/again.log)"
[ -z "$(dpkg --verify maru-home)" ] || fail "files are not whole: $(dpkg --verify maru-home)"
echo $((SECONDS - began + 1)) > /var/tmp/duration
echo "cut after $(cat /var/tmp/cut) s, which left the package ${left:-away}: installed"
rm /var/tmp/cut
