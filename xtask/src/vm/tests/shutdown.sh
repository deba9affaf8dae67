# Before the machine started anew, every service ended by itself within ten seconds.
said=$(journalctl --boot=-1 --no-pager --output=cat --unit='maru-*')
! grep -E 'timed out|Killing process|SIGKILL' <<< "$said" || fail "services did not end by themselves"
stamp() { journalctl --boot=-1 --no-pager --output=short-unix "$@" | awk '{ print int($1) }'; }
begin=$(stamp --identifier=systemd --grep='^Stopp(ing|ed) maru-' | head -n 1)
end=$(stamp --identifier=systemd --grep='^Stopped maru-' | tail -n 1)
[ -n "$begin" ] && [ -n "$end" ] || fail "the journal says nothing of the end of services"
seconds=$((end - begin))
[ $seconds -le 40 ] || fail "stopping took $seconds s"
echo "stopped within $seconds s"
