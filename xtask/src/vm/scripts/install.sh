# Installs the packages from the second disk, and sets a home up.
set -eu
mkdir -p /mnt/packages
mount -o ro /dev/vdb /mnt/packages
begin=$SECONDS
dpkg --install /mnt/packages/*.deb > /tmp/install.log 2>&1 || { cat /tmp/install.log; exit 1; }
umount /mnt/packages
maru setup --network maru.home.arpa --user kim --address 10.0.2.15 --model SmolLM2-135M-Instruct.Q4_1.gguf \
    < /dev/null > /tmp/setup.log 2>&1 || { cat /tmp/setup.log; journalctl --boot --unit='maru*' --lines=30 --no-pager; exit 1; }
echo "installed and set up within $((SECONDS - begin)) s, after $(systemd-analyze | head -n 1)"
