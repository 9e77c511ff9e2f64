package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Schema is the version of the format of result files. It changes when an old reader would misunderstand a new file.
const Schema = 1

// Result is what a run of a generator, or of several workers together, has measured.
type Result struct {
	Schema   int           `json:"schema"`
	Tool     string        `json:"tool"`              // "load", "gen"
	Version  string        `json:"version,omitempty"` // of xdpstack
	Command  []string      `json:"command,omitempty"` // the command line, of the first worker
	Workers  int           `json:"workers"`           // how many work together
	Of       []int         `json:"worker"`            // the numbers, from 0, of those whose results these are
	Start    time.Time     `json:"start"`             // when measuring began
	Duration time.Duration `json:"duration_ns"`       // how long it went on
	Setup    []Setting     `json:"setup,omitempty"`   // what all workers together were to do; the same for each
	Notes    []string      `json:"notes,omitempty"`   // what a reader must know to judge the figures

	Main     string            `json:"main"`    // name of the histogram that percentiles without a name are of
	RateOf   string            `json:"rate_of"` // name of the counter that the rate is of
	Counters map[string]uint64 `json:"counters"`
	Errors   map[string]uint64 `json:"errors"` // failures by kind
	TCP      map[string]uint64 `json:"tcp,omitempty"`
	CPU      CPU               `json:"cpu"`

	Histograms map[string]*Histogram `json:"histograms"`

	// Outcomes say which expectations were met. They are of this result alone: merging leaves them out.
	Outcomes []Outcome `json:"expectations,omitempty"`
	Series   []Second  `json:"series,omitempty"`
}

// Setting is one fact about what was to be done: "rate", "10000/s".
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CPU is processor time of the generating processes.
type CPU struct {
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
}

// Total returns all of it.
func (c CPU) Total() time.Duration { return c.User + c.System }

// Second is what happened during one second of wall time. The first and the last of a run are shorter.
type Second struct {
	Time       int64                 `json:"time"`    // seconds since 1970, UTC, at its start
	Span       time.Duration         `json:"span_ns"` // how much of the second was measured
	Warmup     bool                  `json:"warmup,omitempty"`
	Counters   map[string]uint64     `json:"counters,omitempty"`
	Errors     map[string]uint64     `json:"errors,omitempty"`
	Histograms map[string]*Histogram `json:"histograms,omitempty"`
}

// Rate returns how often in a second a counter was incremented, over the whole run.
func (r *Result) Rate(counter string) float64 { return rate(r.Counters[counter], r.Duration) }

// Rate returns how often in a second a counter was incremented.
func (s *Second) Rate(counter string) float64 { return rate(s.Counters[counter], s.Span) }

func rate(n uint64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Failed returns how many errors there were of all kinds.
func (r *Result) Failed() uint64 { return sum(r.Errors) }

// ErrorShare returns the errors' share of all that has ended, well or not; 0 if nothing has.
func (r *Result) ErrorShare() float64 {
	failed := r.Failed()
	if ended := failed + r.Counters[r.RateOf]; ended > 0 {
		return float64(failed) / float64(ended)
	}
	return 0
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// Write writes the result as JSON, the entries of the series on a line each.
func (r *Result) Write(w io.Writer) error {
	head := *r
	head.Series = nil
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(head)
	b.Truncate(max(b.Len()-len("\n}\n"), 0))
	e.SetIndent("", "")
	before := ",\n  \"series\": [\n    "
	for i := 0; i < len(r.Series) && err == nil; i++ {
		b.WriteString(before)
		err = e.Encode(&r.Series[i])
		b.Truncate(max(b.Len()-len("\n"), 0))
		before = ",\n    "
	}
	if len(r.Series) > 0 {
		b.WriteString("\n  ]")
	}
	b.WriteString("\n}\n")
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// WriteFile writes the result as a file, or on w if the name is "-". A file is complete or not there at all.
func (r *Result) WriteFile(name string, w io.Writer) error {
	if name == "-" {
		return r.Write(w)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return err
	}
	return replaceFile(name, b.Bytes())
}

// replaceFile writes a file beside the one it replaces, and then renames it: a reader sees the old one or the new one. The directory
// is made where it lacks.
func replaceFile(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a pipe, a terminal: nothing to rename
		return os.WriteFile(name, b, 0o644)
	}
	tmp := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return nil
}

// maxFile bounds what is read of a result file, in bytes.
const maxFile = 1 << 30

// ReadFile reads a result file.
func ReadFile(name string) (*Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Read reads what Write wrote. The result's maps and histograms are safe to use.
func Read(from io.Reader) (*Result, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB: no result file is", maxFile>>20)
	}
	var head struct {
		Schema int    `json:"schema"`
		Tool   string `json:"tool"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("not a result file: %w", err)
	}
	switch {
	case head.Schema == 0 || head.Tool == "":
		return nil, fmt.Errorf("not a result file: it has no schema and tool (write one with --json)")
	case head.Schema != Schema:
		return nil, fmt.Errorf("its schema is version %d, and this xdpstack reads %d: use the xdpstack that wrote it", head.Schema, Schema)
	}
	r := new(Result)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("not a result file: %w", err)
	}
	return r, r.check()
}

// check finds what no Write has written.
func (r *Result) check() error {
	if r.Workers < 1 || r.Workers > maxWorkers || len(r.Of) == 0 || len(r.Of) > r.Workers {
		return fmt.Errorf("the result is of %d workers out of %d", len(r.Of), r.Workers)
	}
	for i, n := range r.Of {
		if n < 0 || n >= r.Workers || i > 0 && n <= r.Of[i-1] {
			return fmt.Errorf("worker %d of %d is not possible, or not in order", n, r.Workers)
		}
	}
	if r.Duration < 0 {
		return fmt.Errorf("the duration %v is negative", r.Duration)
	}
	if err := checkHistograms(r.Histograms); err != nil {
		return err
	}
	for i := range r.Series {
		s := &r.Series[i]
		if s.Span < 0 || i > 0 && s.Time <= r.Series[i-1].Time {
			return fmt.Errorf("entry %d of the series is not after the one before", i)
		}
		if err := checkHistograms(s.Histograms); err != nil {
			return err
		}
	}
	return nil
}

func checkHistograms(all map[string]*Histogram) error {
	for name, h := range all {
		if h == nil || h.PackedHistogram == nil {
			return fmt.Errorf("the histogram %q is missing", name)
		}
	}
	return nil
}
