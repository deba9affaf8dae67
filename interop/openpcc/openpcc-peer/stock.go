package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"flag"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/openpcc/ohttp"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
	"google.golang.org/protobuf/proto"

	authclient "github.com/openpcc/openpcc/auth/client"
	"github.com/openpcc/openpcc/gateway"
	"github.com/openpcc/openpcc/gen/protos"
	"github.com/openpcc/openpcc/transparency"
	"github.com/openpcc/openpcc/transparency/statements"
)

// testCurrency is the modulus of the key that the stock mem-auth, mem-bank and mem-router share for tests
// (dev/sigstore-bundles, internal/test/anonpaytest); its exponent is 65537.
const testCurrency = "E1BDC53B4BC443661C40356B016D408A492E16A063FFB16FE1C0B6D11B077BF7AD18885770D22B8A357DA9872AC6806E667A" +
	"35D5D10C1191A11249D29C3B4DCB4124B8C9A0D7CC3E19D8F171E88A24D36D9B3259B3E10CF4A6D40019F780291F3946C83D56226E81CAE5" +
	"75365B95FD01C17B5ED30B1D9A53C5E3030EE5144C75"

// seed of the stock gateway's key, for tests alone.
var seed = bytes.Repeat([]byte{7}, 32)

// serveGateway runs OpenPCC's gateway, whose program has a key that ended in March 2026, with one that is active.
func serveGateway(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("gateway", flag.ContinueOnError)
	listen := flags.String("listen", "localhost:3200", "`address`")
	if err := parse(flags, args); err != nil {
		return err
	}
	active := period()
	handler, err := gateway.NewGateway(gateway.Config{
		Keys: []gateway.Key{{
			ID: 0, Seed: hex.EncodeToString(seed), ActiveFrom: active.ActiveFrom, ActiveUntil: active.ActiveUntil,
		}},
		BankURL:   "http://localhost:3500",
		RouterURL: "http://localhost:3600",
	})
	if err != nil {
		return err
	}
	configs, err := gateway.GenerateKeyConfigs([][]byte{seed})
	if err != nil {
		return err
	}
	key, err := configs[0].MarshalBinary()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	say(event{"event": "ready", "key": hex.EncodeToString(key)})
	go http.Serve(listener, handler)
	return untilInputEnds()
}

// stockAuth is OpenPCC's auth client, which has credits from the stock mem-auth. The configuration is made here: that
// program's is signed by Sigstore, for a gateway's key that has ended.
func stockAuth(ctx context.Context, url, relay string, config ohttp.KeyConfig) (*authclient.Client, error) {
	settings := authclient.DefaultConfig()
	settings.BaseURL, settings.APIKey = url, "test-key"
	settings.TransparencyIdentityPolicy = &transparency.IdentityPolicy{}
	entry := protos.OHTTPRelay{}
	entry.SetUrl(relay)
	name, bank := router, "http://confsec-bank.invalid"
	made, err := proto.Marshal(protos.AuthConfigResponse_builder{
		RouterUrl: &name, BankUrl: &bank, Relays: []*protos.OHTTPRelay{&entry},
		CurrencyKeyBundle: []byte("currency"), OhttpKeyConfigsBundle: []byte("keys"),
	}.Build())
	if err != nil {
		return nil, err
	}
	return authclient.New(ctx, settings, statementsOf{config}, &http.Client{Transport: configured(made)})
}

// configured answers for the configuration; everything else is sent.
type configured []byte

func (c configured) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Path != "/api/config" {
		return http.DefaultTransport.RoundTrip(request)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader(c)), Request: request,
	}, nil
}

// statementsOf stands for Sigstore: the statements about the gateway's key and the test currency's.
type statementsOf struct {
	config ohttp.KeyConfig
}

func (s statementsOf) VerifyStatementPredicate(
	_ []byte, key string, _ transparency.IdentityPolicy,
) (*transparency.Statement, transparency.BundleMetadata, error) {
	var statement *transparency.Statement
	var err error
	switch key {
	case "ohttpKeys":
		periods := []gateway.KeyRotationPeriodWithID{{Period: period(), KeyID: s.config.KeyID}}
		statement, err = statements.FromOHTTPKeyConfigs(ohttp.KeyConfigs{s.config}, periods)
	case "jwkRaw":
		modulus, _ := new(big.Int).SetString(testCurrency, 16)
		public := &rsa.PublicKey{N: modulus, E: 65537}
		statement, err = statements.FromRSAPublicKey(public, statements.RSAPublicKeyClaims{KeyID: "test", Use: jwkset.UseSig})
	default:
		err = errors.New("no statement " + key)
	}
	return statement, transparency.BundleMetadata{}, err
}

// trustedRoot leaves an empty root of trust where the stock client looks for Sigstore's before it asks the internet, as a
// TUF repository of an hour's life. Nothing is verified by it.
func trustedRoot(folder string) error {
	folder = filepath.Join(folder, "tuf-repo-cdn.sigstore.dev")
	if err := os.MkdirAll(filepath.Join(folder, "targets"), 0o700); err != nil {
		return err
	}
	const name = "trusted_root.json"
	file := filepath.Join(folder, "targets", name)
	empty := []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
	if err := os.WriteFile(file, empty, 0o600); err != nil {
		return err
	}
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	signer, err := signature.LoadSigner(private, crypto.Hash(0))
	if err != nil {
		return err
	}
	key, err := metadata.KeyFromPublicKey(private.Public())
	if err != nil {
		return err
	}
	until := time.Now().Add(time.Hour).UTC()
	root, targets := metadata.Root(until), metadata.Targets(until)
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		if err := root.Signed.AddKey(key, role); err != nil {
			return err
		}
	}
	if targets.Signed.Targets[name], err = metadata.TargetFile().FromFile(file, "sha256"); err != nil {
		return err
	}
	return errors.Join(
		write(root, signer, folder, metadata.ROOT),
		write(targets, signer, folder, metadata.TARGETS),
		write(metadata.Snapshot(until), signer, folder, metadata.SNAPSHOT),
		write(metadata.Timestamp(until), signer, folder, metadata.TIMESTAMP),
	)
}

func write[T metadata.Roles](role *metadata.Metadata[T], signer signature.Signer, folder, name string) error {
	if _, err := role.Sign(signer); err != nil {
		return err
	}
	return role.ToFile(filepath.Join(folder, name+".json"), false)
}
