package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/openpcc/openpcc/router/agent"
)

// machine is the certificate that a machine of a deployment has, and the authority that it trusts.
type machine struct {
	authority, certificate, key *string
}

func machineFlags(flags *flag.FlagSet) machine {
	return machine{
		authority:   flags.String("ca", "", "the authority's certificate, a `file`"),
		certificate: flags.String("certificate", "", "our certificate, a `file`"),
		key:         flags.String("certificate-key", "", "its key, a `file`"),
	}
}

func (m machine) config() (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(*m.certificate, *m.key)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(*m.authority)
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(authority) {
		return nil, errors.New("-ca holds no certificate")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, RootCAs: trusted, ClientCAs: trusted,
	}, nil
}

// passing sends everything on to another server, as it comes.
func passing(to *url.URL, config *tls.Config) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     &http.Transport{TLSClientConfig: config, DisableCompression: true},
		Rewrite:       func(request *httputil.ProxyRequest) { request.SetURL(to) },
	}
}

// proxy takes plain HTTP on loopback and asks a server of ours over TLS: OpenPCC's router has no TLS, our node nothing else.
func proxy(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ContinueOnError)
	listen := flags.String("listen", "", "`address`, on loopback")
	to := flags.String("to", "", "`URL` of the node")
	files := machineFlags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	target, err := url.Parse(*to)
	if err != nil {
		return err
	}
	config, err := files.config()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	say(event{"event": "ready", "address": listener.Addr().String()})
	go http.Serve(listener, passing(target, config))
	return untilInputEnds()
}

// tell stands between the stock mem-compute and a router of ours: it takes TLS for the node, and passes the node's events
// on over TLS, with the address where it takes it. What the node shows stays as it is.
func tell(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("tell", flag.ContinueOnError)
	events := flags.String("events", "localhost:3600", "`address` where the node tells its events")
	listen := flags.String("listen", "", "`address` where the node is reached over TLS")
	to := flags.String("node", "http://localhost:3700", "`URL` of the node")
	ours := flags.String("router", "", "`URL` of our router")
	files := machineFlags(flags)
	if err := parse(flags, args); err != nil {
		return err
	}
	config, err := files.config()
	if err != nil {
		return err
	}
	target, err := url.Parse(*to)
	if err != nil {
		return err
	}
	node, err := tls.Listen("tcp", *listen, config)
	if err != nil {
		return err
	}
	go http.Serve(node, passing(target, nil))
	listener, err := net.Listen("tcp", *events)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	at := "https://" + node.Addr().String()
	go http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		id, status, err := pass(client, *ours, at, request.Body)
		if err != nil {
			say(event{"event": "error", "error": err.Error()})
			http.Error(answer, err.Error(), http.StatusBadGateway)
			return
		}
		say(event{"event": "told", "node": id, "status": status})
		answer.WriteHeader(status)
	}))
	say(event{"event": "ready"})
	return untilInputEnds()
}

// pass sends a node's event on, with another address in it.
func pass(client *http.Client, to, at string, body io.Reader) (string, int, error) {
	encoded, err := io.ReadAll(io.LimitReader(body, 2<<20))
	if err != nil {
		return "", 0, err
	}
	var told agent.NodeEvent
	if err := told.UnmarshalBinary(encoded); err != nil {
		return "", 0, fmt.Errorf("no event of a node: %w", err)
	}
	if told.Heartbeat != nil && told.Heartbeat.RoutingInfo != nil {
		root, err := url.Parse(at)
		if err != nil {
			return "", 0, err
		}
		told.Heartbeat.RoutingInfo.URL = *root.JoinPath("/")
		told.Heartbeat.RoutingInfo.HealthcheckURL = *root.JoinPath("/_health")
	}
	if encoded, err = told.MarshalBinary(); err != nil {
		return "", 0, err
	}
	answer, err := client.Post(to+"/node-events", "application/octet-stream", bytes.NewReader(encoded))
	if err != nil {
		return "", 0, err
	}
	defer answer.Body.Close()
	return told.NodeID.String(), answer.StatusCode, nil
}
