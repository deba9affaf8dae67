# A full disk stops nothing for good.
trap 'rm -f /var/lib/maru/full' EXIT
dd if=/dev/zero of=/var/lib/maru/full bs=1M 2> /dev/null || true
[ "$(df --output=avail /var/lib/maru | tail -n 1 | xargs)" = 0 ] || fail "the disk is not full"
sleep 15
for unit in $(services); do
    [ "$(property "$unit" ActiveState)" = active ] || fail "$unit is $(property "$unit" ActiveState) on a full disk"
done
rm /var/lib/maru/full
echo "every service ran on while the disk was full"
