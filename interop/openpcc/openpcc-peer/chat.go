package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/openpcc/openpcc"
	"github.com/openpcc/openpcc/transparency"
)

// question is a line of standard input; an answer is a "status", a "piece" for each read, and an "end".
type question struct {
	Path string          `json:"path"`
	Body json.RawMessage `json:"body"`
}

// chat asks what comes by standard input, one question a line.
func chat(ctx context.Context, args []string) error {
	client, model, err := connect(ctx, flag.NewFlagSet("chat", flag.ContinueOnError), args)
	if err != nil {
		return err
	}
	say(event{"event": "ready"})
	// The end of standard input is the end.
	for lines := json.NewDecoder(stdin()); ; {
		var asked question
		switch err := lines.Decode(&asked); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := ask(ctx, client, model, asked); err != nil {
			say(event{"event": "error", "error": err.Error()})
		}
	}
}

// connect makes the stock client: for our chain, or with -paid for the stock one, with credits. It returns which nodes to
// ask, too.
func connect(ctx context.Context, flags *flag.FlagSet, args []string) (*openpcc.Client, string, error) {
	relay := flags.String("relay", "", "the relay's `URL`")
	key := flags.String("key", "", "the gateway's key configuration, in `hex`")
	ak := flags.String("ak", "", "the attestation key that is trusted: TPMT_PUBLIC in `hex`; `stock` for the stock mem-compute")
	model := flags.String("model", "", "which nodes to ask")
	paid := flags.String("paid", "no", "`URL` of the stock mem-auth: pay by its credits, take evidence from manifests")
	if err := parse(flags, args); err != nil {
		return nil, "", err
	}
	judge, err := verifier(*ak)
	if err != nil {
		return nil, "", fmt.Errorf("-ak: %w", err)
	}
	config, err := keyConfig(*key)
	if err != nil {
		return nil, "", fmt.Errorf("-key: %w", err)
	}
	cache, err := os.MkdirTemp("", "openpcc-peer")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(cache)
	if err := trustedRoot(cache); err != nil {
		return nil, "", fmt.Errorf("no trusted root: %w", err)
	}
	anonymous, err := overRelay(config, *relay)
	if err != nil {
		return nil, "", err
	}
	finder := &finder{client: anonymous, verify: judge}
	settings := openpcc.DefaultConfig()
	settings.APIKey, settings.APIURL = "test-key", *paid
	settings.TransparencyIdentityPolicy = &transparency.IdentityPolicy{OIDCIssuer: "none", OIDCSubject: "none"}
	settings.TransparencyVerifier.LocalTrustedRootCachePath = cache
	settings.DefaultRequestParams.CreditAmount = 1024
	// As the stock client does it for itself: what was verified holds for a minute.
	cached := openpcc.NewCachedNodeFinder(finder, openpcc.DefaultCachedNodeFinderConfig())
	options := []openpcc.Option{openpcc.WithVerifiedNodeFinder(cached)}
	if *paid == "no" {
		options = append(options, openpcc.WithAuthClient(unpaid{config, *relay}), openpcc.WithWallet(emptyWallet{}))
	} else {
		auth, err := stockAuth(ctx, *paid, *relay, config)
		if err != nil {
			return nil, "", fmt.Errorf("no stock auth client: %w", err)
		}
		finder.auth = auth
		options = append(options, openpcc.WithAuthClient(auth))
	}
	// The client makes its own transport of the key and the relay, and pings the router through it.
	client, err := openpcc.NewFromConfig(ctx, settings, options...)
	if err != nil {
		return nil, "", fmt.Errorf("no stock client: %w", err)
	}
	return client, *model, nil
}

// ask sends one question, and says each piece of the answer as it is read.
func ask(ctx context.Context, client *openpcc.Client, model string, asked question) error {
	answer, err := send(ctx, client, model, asked)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	say(event{"event": "status", "status": answer.StatusCode, "type": answer.Header.Get("Content-Type")})
	buffer := make([]byte, 64<<10)
	for {
		count, err := answer.Body.Read(buffer)
		if count > 0 {
			say(event{"event": "piece", "text": string(buffer[:count])})
		}
		if errors.Is(err, io.EOF) {
			say(event{"event": "end"})
			return nil
		}
		if err != nil {
			return fmt.Errorf("the answer was cut: %w", err)
		}
	}
}

// send sends one question.
func send(ctx context.Context, client *openpcc.Client, model string, asked question) (*http.Response, error) {
	url := "http://confsec.invalid" + asked.Path
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(asked.Body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set(openpcc.NodeTagsHeader, "model="+model)
	return client.RoundTrip(request)
}
