# A clock that is set back a day stops nothing.
restarts() { for unit in $(services); do echo "$unit $(property "$unit" InvocationID)"; done; }
before=$(restarts)
date --set='-1 day' > /dev/null
trap "date --set='+1 day' > /dev/null" EXIT
sleep 15
maru status > /dev/null || fail "maru status fails a day earlier"
[ "$(restarts)" = "$before" ] || fail "a service ended"
echo "a day earlier all goes on"
