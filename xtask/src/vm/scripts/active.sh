# Every service is active, and answers.
systemctl is-system-running --wait > /dev/null || true
# Without the spare engine.
[ "$(services | wc -l)" -ge 7 ] || fail "the target wants too few services: $(services | xargs)"
active() { [ "$(property "$1" ActiveState)" = active ]; }
for unit in maru.target $(services); do
    within 300 active "$unit" || {
        journalctl --unit="$unit" --lines=20 --no-pager
        fail "$unit is $(property "$unit" ActiveState)"
    }
done
failed=$(systemctl list-units --failed --no-legend --plain 'maru*')
[ -z "$failed" ] || fail "failed: $failed"
answers() { maru status > /run/maru-status 2>&1; }
within 300 answers || fail "maru status: $(cat /run/maru-status)"
echo "active: $(services | xargs)"
