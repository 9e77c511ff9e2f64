package result

import (
	"fmt"
	"slices"
	"strings"
)

// Target is a mark that a benchmark is to reach, and after Judge whether it did.
//
// With Against, it is about how many times better one side is than the sides whose names begin so, repeat by repeat; the one that
// comes out worst decides. Without, it bounds the side's own figure.
type Target struct {
	Side    string  `json:"side,omitempty"`    // whose; "" is ours
	Figure  string  `json:"figure,omitempty"`  // "" is the value, PerCPU the work per processor second, else the name of an extra figure
	Lower   bool    `json:"lower,omitempty"`   // less is better; the value goes by its benchmark
	Against string  `json:"against,omitempty"` // the peers, by how their names begin
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"` // with AtMost 0 and AtLeast 0: at most nothing, less than a thousandth
	Aim     float64 `json:"aim,omitempty"`     // where it should go from there; with Against and AtLeast 0, all that there is to say
	Bound   string  `json:"bound,omitempty"`   // what is known to bound it, shown when it is not met

	Verdict  Verdict `json:"verdict,omitempty"`
	Decided  string  `json:"decided,omitempty"` // the peer that decided
	Measured Summary `json:"measured"`          // the ratio, or the figure
}

// PerCPU is the figure of work done per second of processor time, both processors together.
const PerCPU = "per CPU s"

// Verdict says what came of a target.
type Verdict string

// The verdicts. Unproven is a figure that the client bounded; Unknown is one that was not measured; Reported is one of which nothing is
// asked.
const (
	Met      Verdict = "met"
	Reported Verdict = "reported"
	NotMet   Verdict = "not met"
	Unproven Verdict = "unproven"
	Unknown  Verdict = "not measured"
)

// String says what is asked.
func (t *Target) String() string {
	var b strings.Builder
	if t.Side != "" {
		b.WriteString(t.Side + ": ")
	}
	if t.Figure != "" {
		b.WriteString(t.Figure + " ")
	}
	switch {
	case t.aims():
		fmt.Fprintf(&b, "aim %g× %s", t.Aim, t.Against)
		return b.String()
	case t.Against != "":
		fmt.Fprintf(&b, "≥ %g× %s", t.AtLeast, t.Against)
	case t.AtLeast > 0:
		fmt.Fprintf(&b, "≥ %g", t.AtLeast)
	default:
		fmt.Fprintf(&b, "≤ %g", t.AtMost)
	}
	if t.Aim > 0 {
		fmt.Fprintf(&b, " (aim %g)", t.Aim)
	}
	return b.String()
}

// aims reports whether there is nothing but an aim.
func (t *Target) aims() bool { return t.Against != "" && t.AtLeast == 0 }

// Judge decides on the targets. It is called after Finish, when all notes are made.
func (b *Benchmark) Judge() {
	for i := range b.Targets {
		b.judge(&b.Targets[i])
	}
}

// Missed reports whether a target is not met, or is unproven.
func (b *Benchmark) Missed() bool {
	return slices.ContainsFunc(b.Targets, func(t Target) bool { return t.Verdict == NotMet || t.Verdict == Unproven })
}

func (b *Benchmark) judge(t *Target) {
	t.Verdict = Unknown
	name := t.Side
	if name == "" {
		name = b.Ours
	}
	side := b.Side(name)
	if side == nil {
		return
	}
	if t.Against == "" {
		t.Measured = Summarize(side.Figures(t.Figure))
		t.decide(t.AtLeast > 0 && t.Measured.Median >= t.AtLeast || t.AtLeast == 0 && t.Measured.Median <= max(t.AtMost, 0.001),
			side.ClientBound)
		return
	}
	lower := t.Lower || t.Figure == "" && b.Lower
	bound := side.ClientBound
	for _, peer := range b.Sides {
		if peer == side || !strings.HasPrefix(peer.Name, t.Against) {
			continue
		}
		r := Ratio(side.Figures(t.Figure), peer.Figures(t.Figure), lower)
		if r.N > 0 && (t.Measured.N == 0 || r.Median < t.Measured.Median) {
			t.Measured, t.Decided, bound = r, peer.Name, side.ClientBound || peer.ClientBound
		}
	}
	t.decide(t.Measured.Median >= t.AtLeast, bound)
}

func (t *Target) decide(met, clientBound bool) {
	switch {
	case t.Measured.N == 0:
	case t.aims():
		t.Verdict = Reported
	case clientBound:
		t.Verdict = Unproven
	case met:
		t.Verdict = Met
	default:
		t.Verdict = NotMet
	}
}
