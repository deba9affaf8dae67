# `maru setup` sealed the machine's key by the machine's TPM: no file holds it. It opens by itself after the next start.
file=/var/lib/maru/machine-key.json
grep -q '"holder":"tpm"' $file || fail "the TPM does not seal $file: $(tr -d '\n' < $file | cut -c 1-60)"
key=/run/maru/gateway-key/key
bytes=$(od -An -v -tx1 $key | tr -d ' \n' | sed 's/../\\x&/g')
[ ${#bytes} -eq 128 ] || fail "$key has not 32 bytes"
text=$(base64 --wrap=0 $key | tr '+/' '-_' | tr -d =)
# What is looked for is found where it is.
LC_ALL=C grep -qaP "$bytes" $key || fail "the key is not found in $key"
! LC_ALL=C grep -rlaP --exclude-dir=models "$bytes" /etc /var || fail "these files hold the key"
! LC_ALL=C grep -rlaF --exclude-dir=models -e "$text" /etc /var || fail "these files hold the key as text"
maru audit --output=json | grep -q '"key": "tpm"' || fail "maru audit does not say that the TPM seals the key"
# What the next steps compare and need, until they have it.
sha256sum < $key > /var/tmp/maru-key
grep -E '^([0-9a-f]{4}-){7}[0-9a-f]{4}$' /tmp/setup.log > /var/tmp/maru-passphrase || fail "maru setup showed no passphrase"
chmod 600 /var/tmp/maru-passphrase
echo "the TPM seals the key; after another start:"
