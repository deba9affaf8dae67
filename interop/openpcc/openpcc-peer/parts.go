package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/openpcc/ohttp"
	obhttp "github.com/openpcc/ohttp/encoding/bhttp"
	"github.com/openpcc/openpcc/anonpay"
	"github.com/openpcc/openpcc/anonpay/currency"
	"github.com/openpcc/openpcc/anonpay/wallet"
	authclient "github.com/openpcc/openpcc/auth/client"
	"github.com/openpcc/openpcc/auth/credentialing"
	"github.com/openpcc/openpcc/gateway"
	"github.com/openpcc/openpcc/gen/protos"
	"github.com/openpcc/openpcc/keyrotation"
	"github.com/openpcc/openpcc/messages"
)

// stdin is read through one buffer.
func stdin() io.Reader {
	return bufio.NewReader(os.Stdin)
}

func keyConfig(text string) (ohttp.KeyConfig, error) {
	var config ohttp.KeyConfig
	bytes, err := hex.DecodeString(text)
	if err != nil {
		return config, err
	}
	return config, config.UnmarshalBinary(bytes)
}

// period is one in which a key is active now.
func period() keyrotation.Period {
	return keyrotation.Period{ActiveFrom: time.Now().Add(-time.Hour), ActiveUntil: time.Now().Add(time.Hour)}
}

// overRelay is a client with the stock transport, as the stock client makes it for itself.
func overRelay(config ohttp.KeyConfig, relay string) (*http.Client, error) {
	encoder, err := obhttp.NewRequestEncoder(
		obhttp.FixedLengthRequestChunks(),
		obhttp.MaxRequestChunkLen(messages.EncapsulatedChunkLen()),
	)
	if err != nil {
		return nil, err
	}
	transport, err := ohttp.NewTransport(config, relay, ohttp.WithRequestEncoder(encoder))
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: time.Minute, Transport: transport}, nil
}

// unpaid is an auth client where there are no credits: it has the gateway's key and the relay.
type unpaid struct {
	config ohttp.KeyConfig
	relay  string
}

func (u unpaid) RemoteConfig() authclient.RemoteConfig {
	return authclient.RemoteConfig{
		RouterURL:               router,
		OHTTPRelayURLs:          []string{u.relay},
		OHTTPKeyConfigs:         ohttp.KeyConfigs{u.config},
		OHTTPKeyRotationPeriods: []gateway.KeyRotationPeriodWithID{{Period: period(), KeyID: u.config.KeyID}},
	}
}

var errNoCredits = errors.New("there are no credits")

func (unpaid) GetAttestationToken(context.Context) (*anonpay.BlindedCredit, error) {
	return nil, errNoCredits
}

func (unpaid) GetCredit(context.Context, int64) (*anonpay.BlindedCredit, error) {
	return nil, errNoCredits
}

func (unpaid) PutCredit(context.Context, *anonpay.BlindedCredit) error {
	return errNoCredits
}

func (unpaid) GetBadge(context.Context) (credentialing.Badge, error) {
	return credentialing.Badge{}, nil
}

func (unpaid) Payee() *anonpay.Payee {
	return nil
}

// emptyWallet pays with what nobody issued: the client wants to send a credit, and our chain takes no notice of it.
type emptyWallet struct{}

func (emptyWallet) BeginPayment(_ context.Context, amount int64) (wallet.Payment, error) {
	value, err := currency.Rounded(float64(amount), 1)
	if err != nil {
		return nil, err
	}
	encoded, err := value.MarshalProto()
	if err != nil {
		return nil, err
	}
	nonce, err := anonpay.RandomNonce()
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 128)
	if _, err := rand.Read(signature); err != nil {
		return nil, err
	}
	credit := &anonpay.BlindedCredit{}
	made := protos.Credit_builder{Value: encoded, Nonce: nonce.MarshalProto(), Signature: signature}
	return payment{credit}, credit.UnmarshalProto(made.Build())
}

func (emptyWallet) Status() wallet.Status {
	return wallet.Status{}
}

func (emptyWallet) SetDefaultCreditAmount(int64) error {
	return nil
}

func (emptyWallet) Close(context.Context) error {
	return nil
}

type payment struct {
	credit *anonpay.BlindedCredit
}

func (p payment) Credit() *anonpay.BlindedCredit {
	return p.credit
}

func (payment) Success(*anonpay.UnblindedCredit) error {
	return nil
}

func (payment) Cancel() error {
	return nil
}
