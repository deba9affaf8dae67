package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/hpke"
	"github.com/google/go-tpm/tpm2"
	"github.com/openpcc/openpcc/attestation/evidence"
	stock "github.com/openpcc/openpcc/attestation/verify"
	"github.com/openpcc/openpcc/tpm"
	tpmhpke "github.com/openpcc/openpcc/tpm/hpke"
)

// judge says what to seal to, or why not; nonce is nil where the evidence is from a manifest.
type judge func(ctx context.Context, shown evidence.SignedEvidenceList, nonce []byte) (*evidence.ComputeData, error)

// verifier trusts the attestation key of this TPMT_PUBLIC, in hexadecimal; "stock" is the verifier of the stock mem-compute,
// which shares a secret with it and trusts any key.
func verifier(ak string) (judge, error) {
	if ak == "stock" {
		fake := stock.NewFakeVerifier([]byte("123456"))
		return func(ctx context.Context, shown evidence.SignedEvidenceList, _ []byte) (*evidence.ComputeData, error) {
			return fake.VerifyComputeNode(ctx, shown)
		}, nil
	}
	trusted, err := hex.DecodeString(ak)
	return func(ctx context.Context, shown evidence.SignedEvidenceList, nonce []byte) (*evidence.ComputeData, error) {
		return verify(ctx, shown, trusted, nonce)
	}, err
}

// verify has OpenPCC's verifiers judge the evidence of our TPM nodes. What they do not look at, which attestation key it
// is and whether the quote is for our nonce, is looked at here.
func verify(ctx context.Context, shown evidence.SignedEvidenceList, ak, nonce []byte) (*evidence.ComputeData, error) {
	pieces := map[evidence.EvidenceType]*evidence.SignedEvidencePiece{}
	for _, piece := range shown {
		if pieces[piece.Type] != nil {
			return nil, fmt.Errorf("there are two pieces of type %v", piece.Type)
		}
		pieces[piece.Type] = piece
	}
	// OpenPCC knows no nonces: its decoder makes a type of 0 of ours.
	for _, kind := range []evidence.EvidenceType{
		evidence.AkTPMTPublic, evidence.CertifyRekCreation, evidence.TpmQuote, evidence.TpmtPublic,
		evidence.EvidenceTypeUnspecified,
	} {
		if pieces[kind] == nil {
			return nil, fmt.Errorf("there is no piece of type %v", kind)
		}
	}
	if !bytes.Equal(pieces[evidence.AkTPMTPublic].Data, ak) {
		return nil, errors.New("it is another attestation key")
	}
	public, err := tpm2.Unmarshal[tpm2.TPMTPublic](ak)
	if err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	key, err := tpm.Pub(public)
	if err != nil {
		return nil, fmt.Errorf("attestation key: %w", err)
	}
	signer, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the attestation key is not of RSA")
	}
	created, err := stock.REKCreation(ctx, signer, pieces[evidence.CertifyRekCreation])
	if err != nil {
		return nil, fmt.Errorf("verify.REKCreation: %w", err)
	}
	contents, err := created.Contents()
	if err != nil {
		return nil, err
	}
	creation, err := contents.Attested.Creation()
	if err != nil {
		return nil, err
	}
	registers, err := stock.TPMQuote(ctx, signer, pieces[evidence.TpmQuote])
	if err != nil {
		return nil, fmt.Errorf("verify.TPMQuote: %w", err)
	}
	rek := pieces[evidence.TpmtPublic]
	if err := stock.TPMT(creation.ObjectName, rek, *registers); err != nil {
		return nil, fmt.Errorf("verify.TPMT: %w", err)
	}
	if nonce != nil {
		if err := fresh(pieces, nonce); err != nil {
			return nil, err
		}
	}
	sealTo, err := tpm2.Unmarshal[tpm2.TPMTPublic](rek.Data)
	if err != nil {
		return nil, err
	}
	point, err := tpmhpke.Pub(sealTo)
	if err != nil {
		return nil, err
	}
	encoded, err := point.MarshalBinary()
	if err != nil {
		return nil, err
	}
	return &evidence.ComputeData{
		KEM: hpke.KEM_P256_HKDF_SHA256, KDF: hpke.KDF_HKDF_SHA256, AEAD: hpke.AEAD_AES128GCM, PublicKey: encoded,
	}, nil
}

// fresh looks whether the quote is for a set of nonces that holds ours (docs/protocols/confidential.md).
func fresh(pieces map[evidence.EvidenceType]*evidence.SignedEvidencePiece, nonce []byte) error {
	var quote evidence.TPMQuoteAttestation
	if err := quote.UnmarshalBinary(pieces[evidence.TpmQuote].Data); err != nil {
		return err
	}
	attest, err := tpm2.Unmarshal[tpm2.TPMSAttest](quote.TmpstAttestQuote)
	if err != nil {
		return err
	}
	nonces := pieces[evidence.EvidenceTypeUnspecified].Data
	bound := sha256.Sum256(append([]byte("maru-confidential/1 nonces\x00"), nonces...))
	if !bytes.Equal(attest.ExtraData.Buffer, bound[:]) {
		return errors.New("the quote is for other nonces")
	}
	if !slices.ContainsFunc(slices.Collect(slices.Chunk(nonces, 32)), func(one []byte) bool { return bytes.Equal(one, nonce) }) {
		return errors.New("our nonce is not among them")
	}
	return nil
}
