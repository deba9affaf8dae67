# The jobs of the timers: a backup that was restored to see that it is whole, and what expires soon.
for timer in maru-backup.timer maru-notices.timer; do
    [ "$(property $timer ActiveState)" = active ] || fail "$timer is $(property $timer ActiveState)"
    unit=${timer%.timer}.service
    systemctl start "$unit" || { journalctl --unit="$unit" --lines=20 --no-pager; fail "$unit failed"; }
done
[ "$(stat --format='%a %u' /var/backups/maru)" = "700 0" ] || fail "the folder of the backups is open"
file=$(find /var/backups/maru -name 'maru-*.tar' | tail -n 1)
[ "$(stat --format='%a %u' "$file")" = "600 0" ] || fail "$file is open"
[ -z "$(ls -A /var/lib/maru/.verify)" ] || fail "what was restored is still there"
journalctl --unit=maru-backup --output=cat --no-pager | grep -q 'every database in it can be read' ||
    fail "the backup was not verified"
# Nothing is written where others could read it, and then no older backup goes.
before=$(ls /var/backups/maru)
chmod 755 /var/backups/maru
! systemctl start maru-backup.service 2> /dev/null || fail "a backup was written where others can read it"
chmod 700 /var/backups/maru
[ "$(ls /var/backups/maru)" = "$before" ] || fail "an older backup is gone"
systemctl reset-failed maru-backup.service
maru doctor --output=json | grep -q '"id": "backups"' || fail "maru doctor does not tell of backups"
echo "a backup of $(stat --format=%s "$file") bytes was made and restored"
