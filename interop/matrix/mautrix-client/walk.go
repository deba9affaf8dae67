package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// patience is how long the other person may take for a step.
const patience = time.Minute

// What is written, in its order.
const (
	text    = "good morning"
	edited  = "good evening"
	answer  = "an answer"
	bye     = "bye"
	emoji   = "👍"
	room    = "Kitchen"
	renamed = "Living room"
)

// step is a part of a walk, of one role or of both.
type step struct {
	name string
	role string
	run  func() error
}

// walk runs the steps of this role, up to the first that fails: the rest needs it.
func walk(steps []step) {
	role := os.Getenv("MARU_ROLE")
	wanted := strings.Split(os.Getenv("MARU_STEPS"), ",")
	for _, step := range steps {
		if step.role != "both" && step.role != role || !slices.Contains(wanted, step.name) {
			continue
		}
		if err := step.run(); err != nil {
			fmt.Printf("not ok %s: %s\n", step.name, strings.ReplaceAll(err.Error(), "\n", " "))
			os.Exit(1)
		}
		fmt.Printf("ok %s\n", step.name)
	}
}

// until waits until look finds something.
func until(what string, look func() bool) error {
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(50 * time.Millisecond) {
		if look() {
			return nil
		}
	}
	return errors.New(what + ": never seen")
}

// expect is an error unless the condition holds.
func expect(condition bool, what any) error {
	if condition {
		return nil
	}
	return fmt.Errorf("%v", what)
}
