# Makes `disk`, `kernel` and `initrd` of a machine with Debian 13 in this folder. Podman and nftables are what Maru needs,
# the guest agent of QEMU and WireGuard's tools are what tests need, the TSS2 libraries what systemd-creds needs for a TPM; the
# rest is Debian.
set -eu
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,udev,kmod,iproute2,nftables,podman,crun,netavark,conmon,e2fsprogs,linux-image-cloud-amd64,qemu-guest-agent,wireguard-tools,libtss2-esys-3.0.2-0t64,libtss2-mu-4.0.1-0t64,libtss2-rc0t64,libtss2-tcti-device0t64 trixie root
echo home > root/etc/hostname
echo '/dev/vda / ext4 defaults 0 1' > root/etc/fstab
echo '127.0.0.1 localhost home' > root/etc/hosts
mkdir -p root/var/log/journal
cat > root/etc/systemd/network/10-wired.network <<'END'
[Match]
Name=en*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
END
# The agent would log each question of the tests.
mkdir root/etc/systemd/system/qemu-guest-agent.service.d
cat > root/etc/systemd/system/qemu-guest-agent.service.d/quiet.conf <<'END'
[Service]
LogLevelMax=notice
END
chroot root systemctl enable systemd-networkd systemd-networkd-wait-online
cp root/boot/vmlinuz-* kernel
cp root/boot/initrd.img-* initrd
rm -rf root/var/cache/apt/archives root/var/lib/apt/lists
mke2fs -q -t ext4 -d root disk 6G
rm -rf root
