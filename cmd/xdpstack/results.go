package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/internal/report"
)

// resultFlags say what becomes of a generator's figures, and which of several workers it is.
type resultFlags struct {
	json, hdr, html, prometheus string
	expect                      []string
	startAt, worker             string
}

func (f *resultFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.json, "json", "", "write the result as JSON to a file, or - for standard output")
	cmd.Flags().StringVar(&f.hdr, "hdr", "", "write an HdrHistogram log, with an interval for each second, to a file or -")
	cmd.Flags().StringVar(&f.html, "html", "", "write the result as a page with charts")
	cmd.Flags().StringVar(&f.prometheus, "prometheus", "", "let Prometheus read /metrics meanwhile: a port, of 127.0.0.1, or an address")
	cmd.Flags().StringArrayVar(&f.expect, "expect", nil, "exit with 1 unless this holds: p99<5ms,errors<0.1%,rate>=10k/s")
	cmd.Flags().StringVar(&f.startAt, "start-at", "", "wait until then: 2006-01-02T15:04:05Z, or seconds since 1970")
	cmd.Flags().StringVar(&f.worker, "worker", "", "which of several workers this is, from 0: 0/4, or auto/4 in a Kubernetes Job")
}

// results is what resultFlags mean.
type results struct {
	streams
	flags           resultFlags
	expectations    []report.Expectation
	start           time.Time // zero: at once
	worker, workers int
	listener        net.Listener // of the page for Prometheus; nil: none
	text            streams      // where lines and the summary go: standard output, unless that has another use
}

// prepare finds mistakes in the flags, and opens the port for Prometheus. The results must be closed.
func (f *resultFlags) prepare(io streams, known report.Vocabulary, now time.Time) (*results, error) {
	r := &results{streams: io, flags: *f, workers: 1, text: io}
	var err error
	for _, e := range f.expect {
		more, err := report.ParseExpectations(e, known)
		if err != nil {
			return nil, usagef("--expect: %w", err)
		}
		r.expectations = append(r.expectations, more...)
	}
	if f.worker != "" {
		if r.worker, r.workers, err = report.ParseWorker(f.worker, os.Getenv); err != nil {
			return nil, usagef("--worker %w", err)
		}
	}
	if f.startAt != "" {
		if r.start, err = report.ParseStart(f.startAt, now); err != nil {
			return nil, usagef("--start-at %w", err)
		}
	}
	if f.json == "-" && f.hdr == "-" {
		return nil, usagef("--json and --hdr cannot both go to standard output")
	}
	if f.json == "-" || f.hdr == "-" {
		r.text.out = io.err
	}
	if f.prometheus != "" {
		address, err := loopback(f.prometheus)
		if err != nil {
			return nil, err
		}
		if r.listener, err = net.Listen("tcp", address); err != nil {
			return nil, fmt.Errorf("--prometheus: %w", err)
		}
	}
	return r, nil
}

// loopback returns the address that a port or address stands for: who names no host means this machine alone.
func loopback(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strings.ContainsAny(host, "/ ") {
		return "", usagef("--prometheus %s: want a port such as 9090, or an address such as 0.0.0.0:9090", text)
	} else if host == "" {
		return net.JoinHostPort("127.0.0.1", fmt.Sprint(n)), nil
	}
	return text, nil
}

func (r *results) close() {
	if r.listener != nil {
		r.listener.Close()
	}
}

// announce says until when nothing happens.
func (r *results) announce() {
	if left := time.Until(r.start); left > 0 {
		at := r.start.UTC().Format("2006-01-02T15:04:05.999Z07:00")
		fmt.Fprintf(r.err, "waiting until %s, for %v\n", at, left.Round(time.Millisecond))
	}
}

// source is a generator at work.
type source struct {
	head    report.Result // what it is: tool, setup, names of the main histogram and counter
	help    map[string]string
	columns []report.Column
	since   time.Time
	totals  func() report.Totals
	done    <-chan struct{} // closed when it has ended
}

// follow prints a line each second until the generator has ended, and returns its result. The generator itself waits for the time to start,
// with its connections ready.
func (r *results) follow(s source) *report.Result {
	s.head.Version, s.head.Command = readVersion().Version, os.Args
	s.head.Workers, s.head.Of = r.workers, []int{r.worker}
	recorder := report.NewRecorder(s.head, s.since)
	lines := report.NewLines(r.text.out, s.head.Main, s.columns...)
	exporter := report.NewExporter(s.head.Tool, strconv.Itoa(r.worker), s.help)
	if r.listener != nil {
		server := &http.Server{Handler: exporter.Handler(), ReadHeaderTimeout: 10 * time.Second}
		go func() { _ = server.Serve(r.listener) }() // it ends with the listener
		defer server.Close()
		fmt.Fprintf(r.err, "Prometheus finds http://%s/metrics\n", r.listener.Addr())
	}
	r.announce()
	for {
		select {
		case <-time.After(time.Until(report.NextTick(time.Now()))):
			if time.Now().Before(r.start) {
				continue
			}
			totals := s.totals()
			exporter.Set(totals)
			second := recorder.Tick(time.Now(), totals)
			lines.Print(&second)
		case <-s.done:
			return recorder.End(time.Now(), s.totals())
		}
	}
}

// finish prints the summary, writes the files that were asked for, and fails if an expectation is not met.
func (r *results) finish(result *report.Result) error {
	report.CheckAll(r.expectations, result)
	showResult(r.text.out, result)
	if err := writeResult(r.streams, result, r.flags.json, r.flags.hdr, r.flags.html); err != nil {
		return err
	}
	return showOutcomes(r.text.out, result.Outcomes)
}

// writeResult writes the files whose names are given.
func writeResult(io streams, result *report.Result, json, hdr, html string) error {
	var err error
	if json != "" {
		err = result.WriteFile(json, io.out)
	}
	if hdr != "" {
		err = errors.Join(err, result.WriteHDRFile(hdr, io.out))
	}
	if html != "" {
		err = errors.Join(err, result.WriteHTMLFile(html, io.out))
	}
	return err
}
