set -eu
fail() { echo "$*"; exit 1; }
# The services that this machine is to run: what the target wants, without units whose conditions were looked at and said no.
services() {
    for unit in $(systemctl show --property=Wants --value maru.target); do
        case $unit in *.timer) continue ;; esac
        case $(systemctl show --property=ConditionResult,ConditionTimestampMonotonic --value "$unit" | xargs) in
        "no 0") echo "$unit" ;;
        no*) ;;
        *) echo "$unit" ;;
        esac
    done
}
property() { systemctl show --property="$2" --value "$1"; }
# The name of the container of a unit, if it has one.
container() { podman container exists "${1%.service}" && echo "${1%.service}"; }
# The process that does the work of a unit.
process() {
    if name=$(container "$1"); then
        podman inspect --format '{{.State.Pid}}' "$name"
    else
        property "$1" MainPID
    fi
}
# Waits at most so many seconds until a command succeeds.
within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.5
    done
}
# Which starts of the services but one this is.
invocations() { for unit in $(services); do [ "$unit" = "$1" ] || echo "$unit $(property "$unit" InvocationID)"; done; }
# Whether a service runs, started anew.
back() { [ "$(property "$1" ActiveState)" = active ] && [ "$(property "$1" InvocationID)" != "$2" ]; }
# Runs a command with the process of a unit, which is back soon, and no other unit is started again because of it.
recovers() {
    local unit=$1 before others since seconds
    shift
    before=$(property "$unit" InvocationID)
    others=$(invocations "$unit")
    "$@" "$(process "$unit")"
    since=$(cut -d . -f 1 /proc/uptime)
    within 120 back "$unit" "$before" || fail "$unit does not come back"
    seconds=$(($(property "$unit" ActiveEnterTimestampMonotonic) / 1000000 - since))
    # An emulated processor is many times slower than a real one.
    [ $seconds -le 40 ] || fail "$unit took $seconds s"
    [ "$(invocations "$unit")" = "$others" ] || fail "with $unit others were started again: $(diff <(echo "$others") <(invocations "$unit") | xargs)"
    echo "$unit: back after $seconds s"
}
