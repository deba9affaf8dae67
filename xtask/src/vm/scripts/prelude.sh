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
