# The TPM opened the key at this start. Once it was cleared, the passphrase does, and nothing is lost.
key=/run/maru/gateway-key/key
[ "$(sha256sum < $key)" = "$(cat /var/tmp/maru-key)" ] || fail "another key was handed over"
# TPM2_Clear under the lockout hierarchy, whose password is empty (TPM 2.0 Library, part 3, section 24.6).
exec 3<> /dev/tpm0
printf '\x80\x02\0\0\0\x1b\0\0\x01\x26\x40\0\0\x0a\0\0\0\x09\x40\0\0\x09\0\0\0\0\0' |
    dd bs=27 iflag=fullblock status=none >&3
answer=$(head --bytes=10 <&3 | od -An -v -tx1 | tr -d ' \n')
exec 3>&-
[ "${answer:12}" = 00000000 ] || fail "the TPM was not cleared: $answer"
before=$(sha256sum /var/lib/maru/machine-key.json)
umount /run/maru/gateway-key
systemctl restart --no-block maru-gateway.service
closed() { journalctl --boot --unit=maru-gateway --output=cat --no-pager | grep -q 'no longer opens its key .*maru passphrase unlock'; }
within 60 closed || fail "the gateway does not say that its key is closed"
maru doctor --output=json | grep -q 'this machine no longer opens its key' || fail "maru doctor does not say it"
[ "$(sha256sum /var/lib/maru/machine-key.json)" = "$before" ] || fail "the sealed key was changed"
maru passphrase unlock --passphrase-file=/var/tmp/maru-passphrase
maru passphrase seal --passphrase-file=/var/tmp/maru-passphrase | grep -q TPM || fail "the TPM does not seal the key anew"
[ "$(sha256sum < $key)" = "$(cat /var/tmp/maru-key)" ] || fail "the passphrase opens another key"
umount /run/maru/gateway-key
maru passphrase unlock < /dev/null || fail "the TPM does not open what it sealed"
[ "$(sha256sum < $key)" = "$(cat /var/tmp/maru-key)" ] || fail "the TPM opens another key"
systemctl restart maru-gateway.service
rm /var/tmp/maru-key /var/tmp/maru-passphrase
echo "the key opened after the start, by its passphrase after the TPM was cleared, and is sealed anew"
