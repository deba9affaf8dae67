# A full disk stops nothing for good.
trap 'rm -f /var/lib/maru/full' EXIT
fallocate --length "$(df --block-size=1 --output=avail /var/lib/maru | tail -n 1 | xargs)" /var/lib/maru/full
# What is left is root's.
[ "$(df --output=avail /var/lib/maru | tail -n 1 | xargs)" = 0 ] || fail "the disk is not full"
sleep 15
for unit in $(services); do
    [ "$(property "$unit" ActiveState)" = active ] || fail "$unit is $(property "$unit" ActiveState) on a full disk"
done
rm /var/lib/maru/full
echo "every service ran on while the disk was full"
