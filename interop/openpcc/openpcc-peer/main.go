// Command openpcc-peer drives OpenPCC's own packages against Maru's confidential chain, and stands around them where they
// lack something: TLS, keys that have not ended, a trusted root for tests.
//
// Each event is a JSON object on a line of standard output; logs go to standard error. It ends when its standard input
// does, so that nothing of it outlives the test that started it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
)

// commands by name; each reads its own arguments.
var commands = map[string]func(ctx context.Context, args []string) error{
	"chat":    chat,
	"gateway": serveGateway,
	"measure": measure,
	"node":    node,
	"proxy":   proxy,
	"tell":    tell,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		say(event{"event": "failed", "error": err.Error()})
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("usage: openpcc-peer chat|gateway|measure|node|proxy|tell …")
	}
	err := commands[args[0]](context.Background(), args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// event is one line of output.
type event map[string]any

var output sync.Mutex

func say(what event) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Println(string(line))
}

// parse reads flags, all of which must be given.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	var missing error
	flags.VisitAll(func(one *flag.Flag) {
		if one.Value.String() == "" {
			missing = fmt.Errorf("-%s is missing", one.Name)
		}
	})
	return missing
}

// untilInputEnds waits for whoever started this.
func untilInputEnds() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}
