package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/openpcc/openpcc"
	"github.com/openpcc/openpcc/ahttp"
	"github.com/openpcc/openpcc/attestation/evidence"
	"github.com/openpcc/openpcc/auth/credentialing"
	routerpb "github.com/openpcc/openpcc/gen/protos/router"
	"github.com/openpcc/openpcc/router/api"
	"github.com/openpcc/openpcc/tags"
)

// router is the name that the stock client gives it inside the outer encryption.
const router = "http://confsec-router.invalid"

// most is the longest evidence that our chain has, in bytes.
const most = 1 << 20

// finder finds nodes, and has OpenPCC's own functions verify what they show.
type finder struct {
	client *http.Client
	verify judge
	// auth pays where credits are asked for. There nobody asks nodes for evidence either, so it is from manifests.
	auth openpcc.AuthClient
}

func (f *finder) FindVerifiedNodes(ctx context.Context, count int, wanted tags.Tags) ([]openpcc.VerifiedNode, error) {
	query := &routerpb.ComputeManifestRequest{}
	query.SetLimit(int32(count))
	query.SetTags(wanted.Slice())
	asked, err := proto.Marshal(query)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	if f.auth != nil {
		token, err := f.auth.GetAttestationToken(ctx)
		if err != nil {
			return nil, fmt.Errorf("no attestation token: %w", err)
		}
		credit, err := token.MarshalText()
		if err != nil {
			return nil, err
		}
		header.Set(ahttp.CreditHeader, string(credit))
	}
	answer, err := f.post(ctx, "/compute-manifests", header, asked)
	if err != nil {
		return nil, err
	}
	var manifests api.ComputeManifestList
	if err := manifests.UnmarshalBinary(answer); err != nil {
		return nil, err
	}
	var found []openpcc.VerifiedNode
	for _, manifest := range manifests {
		node, err := f.verified(ctx, manifest)
		if err != nil {
			say(event{"event": "refused", "node": manifest.ID.String(), "error": err.Error()})
			continue
		}
		say(event{"event": "verified", "node": manifest.ID.String()})
		found = append(found, node)
	}
	// Where the router knows none yet, the stock cache asks again.
	if len(found) == 0 && len(manifests) > 0 {
		return nil, errors.New("no node was verified")
	}
	return found, nil
}

// verified verifies what a node shows, for a nonce of our own where it can be asked for that.
func (f *finder) verified(ctx context.Context, manifest api.ComputeManifest) (openpcc.VerifiedNode, error) {
	shown, nonce := manifest.Evidence, []byte(nil)
	if f.auth == nil {
		nonce = make([]byte, 32)
		if _, err := rand.Read(nonce); err != nil {
			return openpcc.VerifiedNode{}, err
		}
		asked := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), manifest.ID.String())
		asked = protowire.AppendBytes(protowire.AppendTag(asked, 2, protowire.BytesType), nonce)
		answer, err := f.post(ctx, "/attest", http.Header{}, asked)
		if err != nil {
			return openpcc.VerifiedNode{}, err
		}
		shown = evidence.SignedEvidenceList{}
		if err := shown.UnmarshalBinary(answer); err != nil {
			return openpcc.VerifiedNode{}, err
		}
	}
	data, err := f.verify(ctx, shown, nonce)
	if err != nil {
		return openpcc.VerifiedNode{}, err
	}
	return openpcc.VerifiedNode{Manifest: manifest, TrustedData: *data, VerifiedAt: time.Now()}, nil
}

func (f *finder) post(ctx context.Context, path string, header http.Header, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, router+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/octet-stream")
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(io.LimitReader(answer.Body, most))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d: %q", path, answer.StatusCode, content)
	}
	return content, nil
}

func (*finder) ListCachedVerifiedNodes() ([]openpcc.VerifiedNode, error) {
	return nil, nil
}

func (f *finder) GetBadge(ctx context.Context) (credentialing.Badge, error) {
	if f.auth == nil {
		return credentialing.Badge{}, nil
	}
	return f.auth.GetBadge(ctx)
}

func (*finder) Close() error {
	return nil
}
