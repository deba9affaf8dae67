# The exposure that systemd sees, in tenths: at most 20. The agent configures the machine's network and starts as root to give
# its folders to its user. A container's unit is Podman, which needs root on the host: what is inside is seen in `isolation`.
for unit in $(systemctl list-unit-files --no-legend 'maru-*.service' | awk '{ print $1 }'); do
    if [ "$(property "$unit" SourcePath)" != "" ]; then continue; fi
    case $unit in
    maru-agent.service) limit=32 ;;
    *) limit=20 ;;
    esac
    said=$(systemd-analyze security --no-pager --threshold=$limit "$unit" 2>&1) ||
        fail "$(grep '✗' <<< "$said") $(tail -n 1 <<< "$said")"
    tail -n 1 <<< "$said" | sed 's/^[^O]*//'
done
