# Installs the packages from the second disk, and sets a home up.
set -eu
# What `purge` compares: files, users and tables. Users of ours stay.
cat > /var/tmp/maru-host.sh <<'END'
host() {
    find /etc /usr /opt /srv /var -xdev \( -path /var/log -o -path /var/cache -o -path /var/tmp -o -path /var/lib/dpkg \
        -o -path /var/lib/systemd -o -path /var/lib/containers -o -path /var/lib/apt -o -name ld.so.cache \) -prune \
        -o -printf 'file %p\n' | grep -v -E ' /etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$' | sort
    cut -d : -f 1 /etc/passwd | grep -v '^maru-' | sed 's/^/user /'
    nft list ruleset
    cat /etc/resolv.conf
}
END
. /var/tmp/maru-host.sh
host > /var/tmp/maru-host.before
mkdir -p /mnt/packages
mount -o ro /dev/vdb /mnt/packages
begin=$SECONDS
dpkg --install /mnt/packages/*.deb > /tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }
umount /mnt/packages
maru setup --network maru.home.arpa --user kim --address 10.0.2.15 --model SmolLM2-135M-Instruct.Q4_1.gguf \
    < /dev/null > /tmp/setup.log 2>&1 || { cat /tmp/setup.log; journalctl --boot --unit='maru*' --lines=30 --no-pager; exit 1; }
echo "installed and set up within $((SECONDS - begin)) s, after $(systemd-analyze | head -n 1)"
