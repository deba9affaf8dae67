package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cloudflare/circl/hpke"
	"github.com/openpcc/openpcc/messages"
	"github.com/openpcc/twoway"
)

// sealed is a line of standard input: an inner request, in hexadecimal.
type sealed struct {
	Type string `json:"type"`
	Key  string `json:"key"`
	Body string `json:"body"`
}

// kems that nodes have.
var kems = map[string]hpke.KEM{"p-256": hpke.KEM_P256_HKDF_SHA256, "x-wing": hpke.KEM_XWING}

// node opens inner requests as a node of OpenPCC's does, and answers each with what it was asked.
func node(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	name := flags.String("kem", "", "p-256 or x-wing")
	if err := parse(flags, args); err != nil {
		return err
	}
	kem, ok := kems[*name]
	if !ok {
		return errors.New("-kem is p-256 or x-wing")
	}
	public, private, err := kem.Scheme().GenerateKeyPair()
	if err != nil {
		return err
	}
	encoded, err := public.MarshalBinary()
	if err != nil {
		return err
	}
	suite := hpke.NewSuite(kem, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES128GCM)
	receiver, err := twoway.NewMultiRequestReceiver(suite, 0, private, rand.Reader)
	if err != nil {
		return err
	}
	say(event{"event": "ready", "key": hex.EncodeToString(encoded)})
	for lines := json.NewDecoder(stdin()); ; {
		var asked sealed
		switch err := lines.Decode(&asked); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := answer(ctx, receiver, asked); err != nil {
			say(event{"event": "refused", "error": err.Error()})
		}
	}
}

// answer opens one, says what was in it, and seals it as the answer: of known length, and in chunks where it asks for
// a stream.
func answer(ctx context.Context, receiver *twoway.MultiRequestReceiver, asked sealed) error {
	key, err := hex.DecodeString(asked.Key)
	if err != nil {
		return err
	}
	body, err := hex.DecodeString(asked.Body)
	if err != nil {
		return err
	}
	request, opener, err := messages.DecapsulateRequest(ctx, receiver, key, asked.Type, bytes.NewReader(body))
	if err != nil {
		return err
	}
	content, err := io.ReadAll(request.Body)
	if err != nil {
		return fmt.Errorf("content: %w", err)
	}
	response := &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": []string{request.Header.Get("Content-Type")}},
		Body:       io.NopCloser(bytes.NewReader(content)),
		// A length that is not known is sealed in chunks.
		ContentLength: -1,
	}
	if !strings.Contains(string(content), `"stream":true`) {
		response.ContentLength = int64(len(content))
	}
	sealer, media, err := messages.EncapsulateResponse(opener, response)
	if err != nil {
		return err
	}
	encoded, err := io.ReadAll(sealer)
	if err != nil {
		return err
	}
	say(event{
		"event": "opened", "method": request.Method, "host": request.Host, "path": request.URL.Path,
		"badge": request.Header.Get("X-Confsec-Badge"), "content": string(content),
		"type": media, "answer": hex.EncodeToString(encoded),
	})
	return nil
}
