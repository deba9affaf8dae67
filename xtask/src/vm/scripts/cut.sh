# Removes the package, installs it again, and has the kernel start anew at a random moment meanwhile: what was not written to the
# disk is gone, as after a power cut. Nobody sees what this says: the next script looks at what is left.
# How long an installation takes, `again` measures.
moment=$((RANDOM % (10 * $(cat /var/tmp/duration 2> /dev/null || echo 30))))
dpkg --purge maru-home > /var/tmp/cut.log 2>&1
mount -o ro /dev/vdb /mnt/packages
cp /mnt/packages/maru-home_*.deb /var/tmp/home.deb
echo $((moment / 10)).$((moment % 10)) > /var/tmp/cut
sync
(sleep "$(cat /var/tmp/cut)"; echo b > /proc/sysrq-trigger) &
dpkg --install /var/tmp/home.deb > /var/tmp/cut.log 2>&1 || true
wait
