package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/openpcc/openpcc"
)

// warmUp is how many requests make what is made once: connections, credits, verified nodes.
const warmUp = 10

// patience is how long a request may take before it counts as not answered.
const patience = 2 * time.Second

// fixed is what is asked; the stock node answers the same whatever it is.
var fixed = question{Path: "/v1/chat/completions", Body: []byte(`{"model":"fixed","messages":[]}`)}

// took is when an answer began and ended.
type took struct {
	first, total time.Duration
}

// measure asks many times, one by one and then several at once, and says once what it took.
func measure(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("measure", flag.ContinueOnError)
	sequential := flags.Int("sequential", 200, "requests one by one")
	parallel := flags.Int("parallel", 8, "requests at once")
	requests := flags.Int("requests", 800, "how many in all of these")
	client, model, err := connect(ctx, flags, args)
	if err != nil {
		return err
	}
	if err := ready(ctx, client, model); err != nil {
		return err
	}
	var firsts []time.Duration
	failed := 0
	for number := range *sequential + warmUp {
		one, err := timed(ctx, client, model)
		switch {
		case err != nil:
			failed++
		case number >= warmUp:
			firsts = append(firsts, one.first)
		}
	}
	totals, seconds := atOnce(ctx, client, model, *parallel, *requests)
	say(event{
		"event": "measured", "first_added_us": percentiles(firsts), "failed": failed,
		"per_second": float64(len(totals)) / seconds, "failed_parallel": *requests - len(totals),
		"parallel_us": percentiles(totals),
	})
	return nil
}

// ready waits until the chain answers: its router knows a node once its health was looked at.
func ready(ctx context.Context, client *openpcc.Client, model string) error {
	begun := time.Now()
	for {
		_, err := timed(ctx, client, model)
		if err == nil {
			return nil
		}
		if time.Since(begun) > time.Minute {
			return fmt.Errorf("the chain does not answer: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// atOnce asks several at once: what each that was answered took, and the seconds for all.
func atOnce(ctx context.Context, client *openpcc.Client, model string, parallel, requests int) ([]time.Duration, float64) {
	var (
		lock   sync.Mutex
		group  sync.WaitGroup
		totals []time.Duration
	)
	left := make(chan struct{}, requests)
	for range requests {
		left <- struct{}{}
	}
	close(left)
	begun := time.Now()
	for range parallel {
		group.Go(func() {
			for range left {
				one, err := timed(ctx, client, model)
				if err == nil {
					lock.Lock()
					totals = append(totals, one.total)
					lock.Unlock()
				}
			}
		})
	}
	group.Wait()
	return totals, time.Since(begun).Seconds()
}

// timed asks once.
func timed(ctx context.Context, client *openpcc.Client, model string) (took, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begun := time.Now()
	answer, err := send(ctx, client, model, fixed)
	if err != nil {
		return took{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return took{}, fmt.Errorf("status %d", answer.StatusCode)
	}
	if _, err := io.ReadFull(answer.Body, make([]byte, 1)); err != nil {
		return took{}, errors.Join(errors.New("an answer without a word"), err)
	}
	first := time.Since(begun)
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return took{}, err
	}
	return took{first, time.Since(begun)}, nil
}

// percentiles are in microseconds; none where there are no samples.
func percentiles(samples []time.Duration) map[string]float64 {
	if len(samples) == 0 {
		return nil
	}
	slices.Sort(samples)
	at := func(percent int) float64 {
		index := min(len(samples)*percent/100, len(samples)-1)
		return float64(samples[index].Nanoseconds()) / 1e3
	}
	return map[string]float64{"p50": at(50), "p99": at(99)}
}
