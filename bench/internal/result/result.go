package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Run is one repeat of one side.
type Run struct {
	Value    float64            `json:"value"`               // in the benchmark's unit; 0 when the run failed
	Seconds  float64            `json:"seconds"`             // length of the measured window
	Server   CPU                `json:"server"`              // of the process under test during the window
	Client   CPU                `json:"client"`              // of the process that drives it
	Busy     float64            `json:"busy,omitempty"`      // processor seconds of both processors together, whoever used them
	Extra    map[string]float64 `json:"extra,omitempty"`     // further figures, by name with unit
	GC       *GC                `json:"gc,omitempty"`        // of the process under test, from when it was ready; nil if it is not Go's
	ClientGC *GC                `json:"gc_client,omitempty"` // of the process that drives it, during the window
	Failed   string             `json:"failed,omitempty"`    // why there is no value
	Link     string             `json:"-"`                   // over which it went: MTU and offloads of both ends; kept with the side
	Mode     string             `json:"-"`                   // of the driver; kept with the side
}

// CPU is processor time used during a window, in seconds.
type CPU struct {
	Process float64 `json:"process"`           // user and system time of the process
	Receive float64 `json:"receive,omitempty"` // time of the kernel threads that receive for it, where there are any
	Core    float64 `json:"core,omitempty"`    // all busy time of the processor that it is bound to, interrupts included
}

// figure returns the value, the work per processor second or a further figure; NaN if the run failed or has no such one.
func (r *Run) figure(name string) float64 {
	switch {
	case r.Failed != "":
	case name == "":
		return r.Value
	case name == PerCPU:
		if r.Busy > 0 {
			return r.Value * r.Seconds / r.Busy
		}
	default:
		if v, ok := r.Extra[name]; ok {
			return v
		}
	}
	return math.NaN()
}

// GC is what a process's garbage collector did.
type GC struct {
	Cycles   uint64  `json:"cycles"`
	PauseMax float64 `json:"pause_max"` // seconds for which it stopped the process at most; the upper end of a bucket
	Heap     uint64  `json:"heap"`      // bytes that were live at its last cycle
	Seconds  float64 `json:"cpu"`       // processor time
}

// Side is one of the systems that a benchmark compares.
type Side struct {
	Name        string   `json:"name"`
	Setup       string   `json:"setup,omitempty"`   // how it was configured: threads, buffers
	Mode        string   `json:"mode,omitempty"`    // of the driver
	Link        string   `json:"link,omitempty"`    // MTU and offloads of both ends
	NoPeer      bool     `json:"no_peer,omitempty"` // not something to be compared with, but a cost or a limit
	Runs        []Run    `json:"runs,omitempty"`
	Skipped     string   `json:"skipped,omitempty"`      // why it has no runs
	ClientBound bool     `json:"client_bound,omitempty"` // the client had no time left while the server had
	Notes       []string `json:"notes,omitempty"`
	Value       Summary  `json:"value"`
	Ratio       Summary  `json:"ratio"`     // ours to this one, above one when ours is better; empty for ours and for what is no peer
	NetRatio    Summary  `json:"net_ratio"` // the same with the cost of measuring taken off both; empty without one
}

// Figures returns a figure of every run: "" is the value, PerCPU the work per processor second, else it is the name of a further one.
// NaN stands for a run that failed or has none: the places matter to Ratio.
func (s *Side) Figures(name string) []float64 {
	v := make([]float64, len(s.Runs))
	for i := range s.Runs {
		v[i] = s.Runs[i].figure(name)
	}
	return v
}

// Failed returns why the first failed run failed, or "".
func (s *Side) Failed() string {
	for _, r := range s.Runs {
		if r.Failed != "" {
			return r.Failed
		}
	}
	return ""
}

// Median returns the median over the good runs of a figure of a run.
func (s *Side) Median(figure func(Run) float64) Summary {
	var v []float64
	for _, r := range s.Runs {
		if r.Failed == "" {
			v = append(v, figure(r))
		}
	}
	return Summarize(v)
}

// Extra returns the median of a further figure, and whether any run has it.
func (s *Side) Extra(name string) (Summary, bool) {
	v := Summarize(s.Figures(name))
	return v, v.N > 0
}

// Benchmark is one kind of work and how each side did it.
type Benchmark struct {
	Name       string      `json:"name"`          // as -only takes it
	Row        string      `json:"row,omitempty"` // in the table of targets
	Title      string      `json:"title"`         // for people
	Unit       string      `json:"unit"`
	Lower      bool        `json:"lower_is_better,omitempty"`
	Ours       string      `json:"ours"`               // name of the side that ratios are about; "" when there are none
	Overhead   string      `json:"overhead,omitempty"` // name of the side whose value is the cost of measuring
	Targets    []Target    `json:"targets,omitempty"`
	Skipped    string      `json:"skipped,omitempty"` // why the whole benchmark was not run
	Notes      []string    `json:"notes,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"` // that hold for this one: MTU, offloads
	Profile    *Profile    `json:"profile,omitempty"`
	Sides      []*Side     `json:"sides,omitempty"`
}

// Side returns the side of a name, or nil.
func (b *Benchmark) Side(name string) *Side {
	for _, s := range b.Sides {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Finish computes the summaries and ratios.
func (b *Benchmark) Finish() {
	ours := b.Side(b.Ours)
	for _, s := range b.Sides {
		s.Value = Summarize(s.Figures(""))
		if ours == nil || s == ours || s.NoPeer {
			continue
		}
		s.Ratio = Ratio(ours.Figures(""), s.Figures(""), b.Lower)
		if o := b.Side(b.Overhead); o != nil {
			s.NetRatio = Ratio(less(ours.Figures(""), o.Figures("")), less(s.Figures(""), o.Figures("")), b.Lower)
		}
	}
}

// less subtracts the overhead, repeat by repeat. A repeat that has none is left out.
func less(v, overhead []float64) []float64 {
	v = v[:min(len(v), len(overhead))]
	for i := range v {
		v[i] -= overhead[i]
	}
	return v
}

// Condition is one fact about the circumstances of the measurement.
type Condition struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Report is all of it.
type Report struct {
	Started    time.Time     `json:"started"`
	Took       time.Duration `json:"took_ns"`
	Quick      bool          `json:"quick,omitempty"`
	Stopped    bool          `json:"stopped,omitempty"` // interrupted before the end
	Conditions []Condition   `json:"conditions"`
	Benchmarks []*Benchmark  `json:"benchmarks"`
}

// Print writes the report as JSON.
func (r *Report) Print(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// Write stores the report as JSON, making the directory when it lacks.
func (r *Report) Write(path string) error {
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the report's directory: %w", err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// Read loads a report that Write stored.
func Read(path string) (*Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the report: %w", err)
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("read the report %s: %w", path, err)
	}
	return r, nil
}
